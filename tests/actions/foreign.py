"""A repository of somebody else: a tiny service, its description and its environments, and nothing of ours."""

from pathlib import Path

from kickoff.release.targets.ports import free_port
from tests.repository import Repository

SERVER = '''"""A service of the standard library alone."""
import json, os, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORKS = {works}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        good = WORKS or self.path == "/healthz"
        body = json.dumps({{"hello": "{text}"}} if good else {{}}).encode()
        self.send_response(200 if good else 500)
        self.send_header("X-Release", os.environ["KICKOFF_RELEASE"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
'''
SERVICE = """\
name: things
bundle: [server.py]
processes: {web: {command: [python3, server.py, "{port}"]}}
health: {live: /healthz, ready: /healthz}
required_checks: [smoke-candidate]
quality_gate: [{name: syntax, run: [python3, -m, py_compile, server.py]}]
smoke: [{name: hello, path: /, expect: {hello: world}}]
"""
ENVIRONMENT = """\
APP_ENV={name}
ENVIRONMENT_CLASS={kind}
DEPLOY_TARGET=local
PUBLIC_PORT={port}
RELEASE_STRATEGY=blue-green
BAKE_TIME=1s
WATCH_TIME=0s
PROMOTE_WAIT=0s
"""
LOCUSTFILE = '''"""One visitor."""
from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    @task
    def look(self) -> None:
        self.client.get("/", headers={"X-Kickoff-Check": "performance"}, name="look")
'''


class Foreign(Repository):
    """A git repository outside this one.

    Args:
        folder: Temporary folder that holds it and its state.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "foreign")
        self.state = folder / "state"
        self.ports = {name: free_port() for name in ("staging", "production")}
        self.write("kickoff.yml", SERVICE)
        for name, port in self.ports.items():
            text = ENVIRONMENT.format(name=name, kind=name, port=port)
            self.write(f"configs/environments/{name}.env", text)
        self.write(".gitignore", ".kickoff/\n__pycache__/\n")
        self.serve()

    def serve(self, text: str = "world", *, works: bool = True) -> None:
        """Write the service, so that it says this, or fails on everything but its health."""
        self.write("server.py", SERVER.format(text=text, works=works))
