"""Services of few lines, as a newcomer describes them: they ship, and each first mistake is answered."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import httpx
import pytest

from kickoff.release.targets.ports import free_port
from tests.e2e.project import RELEASE, Project

pytestmark = pytest.mark.e2e

DESCRIPTION = """\
name: things
run: python3 server.py
health: /healthz
"""
SERVER = """
import http.server, json, os, time

with open("settings.json") as file:
    settings = json.load(file)
print("things: starts", flush=True)
if settings.get("crash"):
    raise SystemExit("things: no database")
time.sleep(settings.get("sleep", 0))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        known = self.path in ("/healthz", "/")
        self.send_response(200 if known and self.path != settings.get("lost") else 404)
        if not settings.get("unnamed"):
            self.send_header("X-Release", os.environ["KICKOFF_RELEASE"])
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


port = int(settings.get("port") or os.environ["PORT"])
http.server.ThreadingHTTPServer((os.environ["HOST"], port), Handler).serve_forever()
"""
ENVIRONMENT = """\
DEPLOY_TARGET=local
READY_TIMEOUT=5s
BAKE_TIME=1s
PUBLIC_PORT=8000
"""


class Things(Project):
    """A repository with one file of code, a description and an environment."""

    bundle: ClassVar[tuple[str, ...]] = (".",)

    def _fill(self) -> None:
        for name, text in (
            ("kickoff.yml", DESCRIPTION),
            ("server.py", SERVER),
            ("configs/environments/development.env", ENVIRONMENT),
        ):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text, encoding="utf-8")

    def commit(self, **settings: object) -> str:
        """Commit the service with these settings; return the commit."""
        (self.root / "settings.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", "things")
        return self.head()

    def describe(self, text: str) -> None:
        """Write another description."""
        (self.root / "kickoff.yml").write_text(dedent(text), encoding="utf-8")

    def verb(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a verb that needs no environment."""
        return subprocess.run(
            [sys.executable, str(RELEASE), *arguments],
            cwd=self.root, env=self.environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def refused(self, **settings: object) -> Mapping[str, Any]:
        """Stage a commit with these settings; return what the refusal left."""
        done = self.stage(self.commit(**settings))
        assert done.returncode == 1, done.stdout + done.stderr
        assert "launch.py" not in done.stdout + done.stderr
        return self.evidence("stage")


@pytest.fixture
def things(tmp_path: Path) -> Iterator[Things]:
    project = Things(tmp_path)
    with project.entered():
        yield project
        project.describe(DESCRIPTION)
        project.close()


def released(project: Things, checks: tuple[tuple[str, ...], ...], build: Callable[[str], str]) -> str:
    """Take a commit to its users by commands, as a workflow does; return the release."""
    commit = project.commit()
    digest = build(commit)
    staged = project.command(
        "stage", f"--artifact-digest={digest}", f"--commit={commit}",
        f"--artifact-directory={project.root.parent / 'artifacts'}",
    )  # fmt: skip
    assert staged.returncode == 0, staged.stdout + staged.stderr
    attempt = str(project.evidence("stage")["attempt"])
    for verb, *options in (*checks, ("promote",)):
        done = project.command(verb, *options, "--attempt", attempt)
        assert done.returncode == 0, done.stdout + done.stderr
    return str(project.evidence("promote")["release"])


def test_three_lines_ship(things: Things) -> None:
    release = released(things, (("smoke", "--phase", "candidate"), ("perf", "--candidate")), things.build)
    assert httpx.get(things.address, trust_env=False).headers["X-Release"] == release
    load = things.evidence("perf-baseline")
    assert load["verdict"] == "pass", load["summary"]
    assert {endpoint["name"] for endpoint in load["facts"]["endpoints"]} == {"GET /healthz"}


def test_what_a_build_leaves_is_what_runs(things: Things) -> None:
    things.describe("""\
        name: things
        run: bin/serve
        health: /healthz
        load: none
        build:
          - {run: sh -c 'mkdir bin && printf "#!/bin/sh\\nexec python3 server.py\\n" > bin/serve', outputs: [bin]}
          - {run: chmod +x bin/serve, outputs: [bin/serve]}
        """)

    def build(commit: str) -> str:
        made = things.root.parent / "artifacts"
        done = things.verb("build", f"--commit={commit}", f"--output={made}")
        assert done.returncode == 0, done.stdout + done.stderr
        return str(
            json.loads((things.root.parent / "evidence" / "build.json").read_text())["facts"]["digest"]
        )

    release = released(things, (("smoke", "--phase", "candidate"), ("perf", "--candidate")), build)
    assert things.serving() == release
    load = things.evidence("perf-baseline")
    assert (load["verdict"], load["summary"]) == (
        "not-applicable", "no load test (load: none in kickoff.yml)",
    )  # fmt: skip


ENV = "configs/environments/development.env"
MISTAKES: Mapping[str, tuple[dict[str, object], str, str]] = {
    "a port of its own": ({"port": "free"}, "ignores PORT and listens on", "kickoff.yml:2: listen on"),
    "a slow start": ({"sleep": 30}, "still starting", f"{ENV}: raise READY_TIMEOUT"),
    "no release header": ({"unnamed": True}, "without X-Release", "or write `release_header: none`"),
    "a crash": ({"crash": True}, "exited with code 1", "kickoff.yml:2: its log says why"),
    "a wrong health path": ({"lost": "/healthz"}, "404", "kickoff.yml:3: correct the path"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_first_mistake_is_answered(things: Things, what: str) -> None:
    settings, cause, hint = MISTAKES[what]
    # Looked for now: what was free when the tests were collected may long be somebody's.
    found = things.refused(**{key: free_port() if key == "port" else it for key, it in settings.items()})
    assert cause in found["summary"]
    assert hint in found["facts"]["hint"]
    assert "things: starts" in found["log_tail"]
    if what == "a crash":
        assert "things: no database" in found["log_tail"]


def test_a_port_in_use_is_answered(things: Things) -> None:
    things.session().target.prepare()  # the proxy holds the public port
    found = things.refused(port=things.port)
    assert "a port that is in use" in found["summary"]
    assert found["facts"]["hint"].startswith("kickoff.yml:2: listen on the port that PORT holds")


def test_a_missing_program_is_answered_before_anything_starts(things: Things) -> None:
    things.describe(DESCRIPTION.replace("python3", "no-such-program"))
    done = things.stage(things.commit())
    assert done.returncode == 2, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "the program 'no-such-program' was not found" in said
    assert "kickoff.yml:2" in said
    assert "Traceback" not in said


def test_a_program_of_the_caller_s_path_is_found_again(things: Things) -> None:
    tools = things.root.parent / "tools"
    tools.mkdir()
    (tools / "node").write_text('#!/bin/sh\nexec python3 "$@"\n')
    (tools / "node").chmod(0o755)
    things.describe(DESCRIPTION.replace("python3", "node"))
    staged = things.stage(things.commit(), PATH=f"{tools}:{os.environ['PATH']}")
    assert staged.returncode == 0, staged.stdout + staged.stderr
