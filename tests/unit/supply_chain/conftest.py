"""A database of vulnerabilities on the loopback, which speaks as OSV and as npm's registry do."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kickoff.supply_chain import pip
from tests.repository import Repository
from tests.servers import running


@dataclass
class Database:
    """What is known by package, what was asked, and a whole answer that stands for all others."""

    url: str
    known: dict[str, Any] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    broken: tuple[int, bytes] | None = None

    def answer(self, path: str, asked: Any) -> bytes:
        self.asked.append(asked)
        if path.endswith("/advisories/bulk"):
            return json.dumps({name: self.known[name] for name in asked if name in self.known}).encode()
        found = self.known.get(asked["package"]["name"])
        return json.dumps({"vulns": found} if found else {}).encode()


def osv(identity: str, package: str, *, aliases: tuple[str, ...] = (), fixed: str = "") -> dict[str, Any]:
    """An entry in OSV's schema, https://ossf.github.io/osv-schema."""
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    affected = {
        "package": {"name": package, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {
        "schema_version": "1.7.0",
        "id": identity,
        "aliases": list(aliases),
        "summary": "bad",
        "affected": [affected],
    }


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            status, body = found.broken or (200, found.answer(self.path, json.loads(raw)))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Database(f"http://127.0.0.1:{httpd.server_port}")
    monkeypatch.setenv(pip.URL, f"{found.url}/v1/query")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running(httpd):
        yield found


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A committed project with a lock of two packages, which is the working directory."""
    made = Repository(tmp_path / "project")
    made.write(
        "kickoff.yml", "name: shop\nrun: [serve, '{port}']\nhealth: /health\nrequirements: locked.txt\n"
    )
    made.write("locked.txt", LOCK)
    made.commit()
    monkeypatch.chdir(made.root)
    return made


LOCK = f"alpha==1.0 \\\n    --hash=sha256:{'a' * 64}\nbeta==2.0 \\\n    --hash=sha256:{'b' * 64}\n"
