"""A repository of somebody else's: outside this one, with a service that knows nothing of Kickoff."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kickoff.release.targets.ports import free_port
from tests.repository import Repository

REPOSITORY = Path(__file__).resolve().parents[2]
KICKOFF = (sys.executable, str(REPOSITORY / "src" / "kickoff"))
SERVICE = """import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = b"TEXT"
        self.send_response(200 if self.path in ("/", "/healthz") else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class Foreign(Repository):
    """The repository, with a state folder and a port of its own.

    Args:
        folder: Temporary folder that holds it.
        branch: Its default branch.
        kickoff: How the command is started.

    Attributes:
        variables: Further variables of the environment that commands run in.
    """

    def __init__(self, folder: Path, *, branch: str = "main", kickoff: tuple[str, ...] = KICKOFF) -> None:
        super().__init__(folder / "things", branch)
        self.port, self._kickoff = free_port(), kickoff
        self._state = folder / "state"
        self.variables: dict[str, str] = {}
        self.write("server.py", SERVICE.replace("TEXT", "one"))

    @property
    def environ(self) -> dict[str, str]:
        """The environment commands run in: nothing of the machine's but what starts programs."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        own = {"KICKOFF_STATE_ROOT": str(self._state), "KICKOFF_PORT": str(self.port)}
        return kept | own | self.variables

    @property
    def address(self) -> str:
        """The public address."""
        return f"http://127.0.0.1:{self.port}"

    def kickoff(self, *arguments: str, code: int = 0, limit: float = 60, said: str = "stdout") -> str:
        """Run a verb that must end with ``code``; return what it prints there."""
        done = subprocess.run(
            [*self._kickoff, *arguments],
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return str(getattr(done, said))

    def json(self, *arguments: str) -> Any:
        """Run a verb and return its document."""
        return json.loads(self.kickoff(*arguments, "--json"))
