"""A stand-in for ``gh``: answers from a file, refuses what GitHub would refuse, keeps what it was sent."""

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.servers import running

PROGRAM = """#!{python}
import base64, hashlib, json, os, pathlib, sys
folder = pathlib.Path({folder!r})
if sys.argv[1:3] == ["attestation", "verify"]:
    file, *rest = sys.argv[3:]
    method, path = "VERIFY", hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()
    document = dict(zip(rest[::2], rest[1::2]))
elif sys.argv[1] == "release":
    method, (path, *rest) = "RELEASE", sys.argv[2:]
    document = rest
else:
    command, flag, method, path, *rest = sys.argv[1:]
    assert (command, flag) == ("api", "--method"), sys.argv
    assert rest in ([], ["--input", "-"]), rest
    document = None
if not os.environ.get("GH_TOKEN"):
    sys.stderr.write("To get started with GitHub CLI, please run:  gh auth login")
    sys.exit(4)
if document is None and rest:
    document = json.load(sys.stdin)
with (folder / "calls.jsonl").open("a") as stream:
    stream.write(json.dumps([method, path, document]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
answer = answers.get(method + " " + path)
if answer is None:
    answer = {{"status": 404, "message": "Not Found"}}
if isinstance(answer, dict) and "status" in answer and "message" in answer:
    print(json.dumps(answer))
    sys.exit("gh: " + answer["message"] + " (HTTP " + str(answer["status"]) + ")")
if isinstance(answer, dict) and "refusal" in answer:
    sys.exit(answer["refusal"])
if isinstance(answer, dict) and "base64" in answer:
    sys.stdout.buffer.write(base64.b64decode(answer["base64"]))
elif answer != "":
    print(json.dumps(answer))
"""


class GitHub:
    """What the stand-in answers, by ``METHOD path``; paths it does not know are not found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, Any] = {}
        program = folder / "bin" / "gh"
        program.parent.mkdir(parents=True)
        program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
        program.chmod(0o755)
        self.keep()

    @property
    def environ(self) -> dict[str, str]:
        """Variables under which ``gh`` is the stand-in, with a token."""
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "GH_TOKEN": "t"}

    def keep(self) -> None:
        (self.folder / "answers.json").write_text(json.dumps(self.answers), encoding="utf-8")

    def answer(self, request: str, document: Any) -> None:
        self.answers[request] = document
        self.keep()

    def refuse(self, request: str, status: int, message: str) -> None:
        self.answer(request, {"status": status, "message": message})

    def calls(self) -> list[tuple[str, str, Any]]:
        path = self.folder / "calls.jsonl"
        if not path.is_file():
            return []
        return [tuple(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]

    def forget(self) -> None:
        """Forget what was asked."""
        (self.folder / "calls.jsonl").unlink(missing_ok=True)

    @contextmanager
    def api(self) -> Iterator[str]:
        """Answer the same by HTTP, as the API does; yield its root."""
        github = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                request = f"{self.command} {self.path.lstrip('/')}"
                given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with (github.folder / "calls.jsonl").open("a") as stream:
                    stream.write(json.dumps([*request.split(" ", 1), json.loads(given or "null")]) + "\n")
                found = github.answers.get(request, {"status": 404, "message": "Not Found"})
                if self.headers["Authorization"] != "Bearer t":
                    found = {"status": 401, "message": "Bad credentials"}
                refused = isinstance(found, dict) and "status" in found and "message" in found
                raw = isinstance(found, dict) and "base64" in found
                body = base64.b64decode(found["base64"]) if raw else json.dumps(found).encode()
                self.send_response(found["status"] if refused else 204 if found == "" else 200)
                self.send_header("Content-Length", "0" if found == "" else str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if found == "" else body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
            yield f"http://127.0.0.1:{server.server_port}"

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process find the stand-in."""
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)
