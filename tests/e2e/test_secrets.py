"""No secret that the pipeline is given is in anything that a run leaves, whatever fails and whoever prints it."""

import base64
import gzip
import html
import json
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
import yaml

from kickoff.service import CONFIG
from tests.e2e.project import REPOSITORY, Project
from tests.runner_log import commands

pytestmark = pytest.mark.e2e

KICKOFF = REPOSITORY / "src" / "kickoff"
# A test or check that prints whatever it can reach, the environment of its parent included, and fails if asked to.
TELLS = """
import os, sys
sys.path.insert(0, os.getcwd())
from fixture.telling import everything
print({name: value for name, value in os.environ.items()})
with open(f"/proc/{os.getppid()}/environ") as stream:
    os.environ.update(pair.split("=", 1) for pair in stream.read().split("\\0") if pair)
print(os.environ.get("DEPLOY_SSH_KEY", ""))
print(everything())
sys.exit(int(sys.argv[1]))
"""
LOCUSTFILE = """
import os
from locust import FastHttpUser, task
from fixture.telling import everything

class Visitor(FastHttpUser):
    @task
    def root(self):
        with self.client.get("/", name="/", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{'x' * 170} {answer.text}")
        if answer.status_code != 200:
            raise RuntimeError(f"{everything(dict(self.kickoff.arms[0].headers))}")
"""


def scenarios() -> str:
    """Return the load of the project: this repository's, short, by one visitor."""
    document = yaml.safe_load((REPOSITORY / "configs/performance/scenarios.yml").read_text())
    smoke = document["scenarios"]["smoke"] | {"mix": {"Visitor": 1}, "duration": "2s"}
    comparison = document["comparison"] | {"max_duration": "4s"}
    return yaml.safe_dump({"scenarios": {"smoke": smoke}, "comparison": comparison})


def planted() -> dict[str, str]:
    """A secret for everything that the pipeline may be given, each with what breaks quoting."""

    def some() -> str:
        return secrets.token_urlsafe(15)

    key = "\n".join(
        ["-----BEGIN OPENSSH PRIVATE KEY-----", some() + some(), some() + some(), "-----END-----"]
    )
    return {
        "API_KEY": f"{some()}\"'<&>$%\\/{some()}",
        "DATABASE_URL": f"postgresql+psycopg://shop:{some()}%40%2Fé%27{some()}@db.invalid/shop",
        "REDIS_URL": f"rediss://:{some()}@cache.invalid:6379/0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": some(),
        "ACTIONS_RUNTIME_TOKEN": some(),
        "ALERT_WEBHOOK_URL": f"https://hooks.invalid/services/{some()}/{some()}",
        "DEPLOY_SSH_KEY": key,
        "GHCR_TOKEN": f"ghs_{some()}",
        "GH_TOKEN": f"ghp_{some()}",
        "GITHUB_TOKEN": f"gho_{some()}",
        "REGISTRY_PASSWORD": f"{some()} {some()}",
        "SOPS_AGE_KEY": f"AGE-SECRET-KEY-1{some().upper()}",
        "https_proxy": f"http://me:{some()}@127.0.0.1:9",
    }


def forms(value: str) -> set[str]:
    """The secret, its password, its lines and halves, and what encoders make of each."""
    parts = {value, *value.splitlines()} if "://" not in value else {value}
    password = urlsplit(value).password if "://" in value else None
    if password:
        parts = {password, unquote(password), *([value] if "hooks" in value else [])}
    parts = {part for part in parts if len(part) >= 12 and not part.startswith("-----")}
    parts |= {
        half for part in parts for half in (part[: len(part) // 2], part[len(part) // 2 :]) if len(half) >= 12
    }
    found = set()
    for part in parts:
        found |= {part, quote(part, safe=""), quote(part), html.escape(part), repr(part)[1:-1]}
        found |= {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]}
        for pad in range(3):
            encoded = base64.b64encode(b"x" * pad + part.encode()).decode()
            found.add(encoded[4 : (pad + len(part.encode())) * 8 // 6 - 1])
    return found


class Run:
    """Commands on one project, each in a step of a workflow of its own; what each leaves is searched."""

    def __init__(self, project: Project, given: dict[str, str]) -> None:
        self.project, self.given = project, given
        self.folder = project.root.parent
        self.needles = {form: name for name, value in given.items() for form in forms(value)}
        self.outputs = self.stages = 0
        self.leaks: list[str] = []
        self.said = ""

    def step(self, script: str, *arguments: str, code: int | None = 0, env: bool = True) -> str:
        """Run a script as a step does; return what it printed. It ends with ``code``; ``None`` for any."""
        self.stages += 1
        files = {
            name: str(self.folder / f"step-{self.stages}-{name.lower()}")
            for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH")
        }
        done = subprocess.run(
            [
                sys.executable,
                str(KICKOFF),
                *script.split(),
                *arguments,
                *(["--env", "development"] if env else []),
            ],
            cwd=self.project.root,
            env=self.project.environ | self.given | files | {"GITHUB_ACTIONS": "true"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        what = f"{script} {arguments[0] if arguments else ''}"
        assert code in (None, done.returncode), (
            f"{what} ended with {done.returncode}: {done.stdout}{done.stderr}"
        )
        for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
            self._search(text, f"{what}: {name}")
            # An annotation of ours may quote what was forged; a line that begins with it is not ours.
            obeyed = [
                one for one in commands(text) if not re.match("::(error|group|endgroup)\\b(?!::forged)", one)
            ]
            assert obeyed == [], f"{what}: {name}"
        for name in ("GITHUB_ENV", "GITHUB_PATH"):
            assert not Path(files[name]).exists(), f"{what} let somebody write {name}"
        self.said = done.stdout + done.stderr
        return self.said

    def search_files(self) -> None:
        """Search everything below the project's folder, the state included but for what must hold secrets."""
        for path in sorted(self.folder.rglob("*")):
            if not path.is_file() or ".git" in path.parts or "artifacts" in path.parts:
                continue
            if path.is_relative_to(self.project.state) and held(path):
                assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"
                continue
            raw = path.read_bytes()
            text = gzip.decompress(raw) if path.suffix == ".gz" else raw
            self._search(text.decode(errors="replace"), str(path.relative_to(self.folder)))

    def _search(self, text: str, where: str) -> None:
        self.outputs += 1
        self.leaks += [
            f"{where}: {name} as {form[:40]}" for form, name in self.needles.items() if form in text
        ]


def held(path: Path) -> bool:
    """Whether a state file has to hold secrets: what a colour is started with, and what it says itself."""
    started = path.name == "environment.json" or (path.parent.name == "supervisor" and path.suffix == ".json")
    return started or (path.parent.name == "logs" and path.stem in ("blue", "green"))


@pytest.fixture
def run(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    given = planted()
    project.set(API_KEY="${API_KEY}", REDIS_URL="${REDIS_URL}", BAKE_TIME="2s")
    (project.root / "tells.py").write_text(TELLS)
    for name, text in (
        ("tests/performance/locustfile.py", LOCUSTFILE),
        ("configs/performance/scenarios.yml", scenarios()),
    ):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_text(text)
    named = "{locustfile: tests/performance/locustfile.py, scenarios: configs/performance/scenarios.yml}"
    with (project.root / CONFIG).open("a", encoding="utf-8") as description:
        description.write(f"performance: {named}\n")
    for key in ("API_KEY", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.setenv(key, given[key])  # for what the fixture asks of the project in this process
    yield Run(project, given)


def checked(run: Run, code: int) -> None:
    """Let tests and checks print what they can reach, and end with ``code``."""
    service = run.project.root / CONFIG
    text = service.read_text().partition("quality_gate:")[0]
    text += f"""quality_gate:
  - {{name: lint, run: [{sys.executable}, tells.py, "{code}"]}}
functional: {{name: interface, run: [{sys.executable}, tells.py, "{code}"], environment: [CACHE_TTL]}}
check_headers: {{X-API-Key: API_KEY}}
"""
    service.write_text(text)


def staged(run: Run, code: int = 0, **faults: object) -> str:
    """Stage a candidate; return the attempt."""
    commit = run.project.commit(**faults)
    run.step("stage", *run.project.stage_arguments(commit), code=code)
    return str(run.project.evidence("stage")["attempt"])


def all_is_well(run: Run) -> None:
    checked(run, 0)
    attempt = f"--attempt={staged(run, tells_in='start')}"
    run.step("check", env=False)
    assert "'CACHE_TTL': '30s'" in run.step("functional", attempt)
    assert "KICKOFF_CHECK_HEADERS" in run.said
    run.step("smoke", "--phase=candidate", attempt)
    run.step("perf", "--candidate", attempt, "--report")
    run.step("promote", attempt)
    run.step("smoke", "--phase=live")
    assert "API_KEY=***" in run.step("logs")
    for command in ("status", "history", "metrics"):
        run.step(command)
    run.step("env validate", "--with-secrets")
    run.step("env load")


def kept(run: Run, stage: str = "stage") -> str:
    """The evidence of a stage, with more of the log than the terminal shows."""
    return (run.folder / "evidence" / f"{stage}.development.json").read_text(encoding="utf-8")


def the_hook_fails(run: Run) -> None:
    staged(run, 1, tells_in="hook")
    assert "API_KEY=***" in kept(run)


def the_candidate_crashes(run: Run) -> None:
    staged(run, 1, tells_in="start", crash_at_start=True)
    assert "API_KEY=***" in kept(run)


def every_check_and_the_bake_fail(run: Run) -> None:
    checked(run, 1)
    attempt = f"--attempt={staged(run, tells_in='start page', error_share=1)}"
    run.step("check", env=False, code=1)
    assert "API_KEY=***" in run.step("smoke", "--phase=candidate", attempt, code=1)
    assert "API_KEY=***" in run.step("functional", attempt, code=1)
    run.step("perf", "--candidate", attempt, "--report", code=1)
    run.step("promote", attempt, code=5)
    assert "API_KEY=***" in kept(run, "promote")
    run.step("logs", "--process=candidate")


def a_person_aborts(run: Run) -> None:
    staged(run, tells_in="start", delay_ms=1)
    run.step("abort", f"--reason=not with {run.given['API_KEY']}")


def the_secrets_are_changed(run: Run) -> None:
    """What still runs with the old ones says them, and only the record knows them."""
    run.given |= {"API_KEY": secrets.token_urlsafe(24), "DATABASE_URL": "sqlite+aiosqlite:////tmp/other.db"}
    assert "API_KEY=***" in run.step("logs")


STAGES: tuple[Callable[[Run], None], ...] = (
    all_is_well, the_hook_fails, the_candidate_crashes, every_check_and_the_bake_fail, a_person_aborts,
    the_secrets_are_changed,
)  # fmt: skip


def test_no_planted_secret_is_found_in_what_a_run_leaves(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, needles = len(run.given), len(run.needles)
    for stage in STAGES:
        stage(run)
        run.step(
            "report", "--evidence", str(run.folder / "evidence"),
            "--output", str(run.folder / f"report-{stage.__name__}"), "--summary", str(run.folder / "summary.md"),
            env=False, code=None,
        )  # fmt: skip
        run.search_files()
    with capsys.disabled():
        print(
            f"\n{keys} keys ({needles} forms) x {run.stages} commands of {len(STAGES)} runs: "
            f"{run.outputs} outputs searched, {len(run.leaks)} secrets found"
        )
    assert run.leaks == []
    evidence = json.loads((run.folder / "evidence" / "promote.development.json").read_text())
    assert evidence["release"] and evidence["facts"]["serving"]["release"], "what is no secret is still there"
    assert (run.folder / "evidence" / "promote.development.json").stat().st_mode & 0o777 == 0o644
