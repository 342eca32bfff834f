"""The smoke script inside the pipeline: what it asks of the session and what it records there."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from kickoff import service as services
from kickoff.cli import main as cli
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence
from kickoff.service import Service
from tests.unit.checks.web import Answer, Server

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., int]


@dataclass
class Session:
    """Stands for an open environment whose candidate and live release are ``url``."""

    url: str
    service: Service
    recorded: list[tuple[str, Evidence]] = field(default_factory=list)
    lost: bool = False
    live_already: bool = False

    @contextmanager
    def reach(self, which: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(url=self.url, headers={"X-Reached": which})

    def check_headers(self) -> dict[str, str]:
        return {"X-API-Key": "the key of the environment"}

    def unsent_headers(self, reason: str) -> str:
        return "no key is set" if "401" in reason else ""

    def expected_release(self, which: str) -> str:
        return f"{which}-1"

    def record_of_log(self, which: str, *, settled: bool) -> list[str]:
        return [f"log of {which}"]

    def unchanged(self, attempt: str) -> bool:
        return self.live_already

    def require_own(self, attempt: str) -> None:
        assert attempt

    def record_check(self, attempt: str, evidence: Evidence, _problem: str) -> None:
        if self.lost:
            raise KickoffError("the lock is gone")
        self.recorded.append((attempt, evidence))


@pytest.fixture
def session(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    found = Session(server.url, services.load(ROOT / "tests" / "e2e" / "service"))
    module = SimpleNamespace(open_session=lambda name, root: found)
    monkeypatch.setitem(sys.modules, "kickoff.release.session", module)
    monkeypatch.setenv("KICKOFF_EVIDENCE_DIR", str(tmp_path / "evidence"))
    for name in ("GITHUB_OUTPUT", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(ROOT)

    def call(*arguments: str) -> int:
        return cli.run(cli.parse(["smoke", "--env=development", *arguments]))

    return call


def healthy(server: Server, release: str) -> None:
    body = {"service": "fixture", "text": "hello"}
    server.answer = lambda seen: Answer(
        status=201 if seen.method == "POST" else 200, body=json.dumps(body).encode(), release=release
    )


def test_a_passing_candidate_is_recorded(server: Server, session: Session, run: Run, tmp_path: Path) -> None:
    healthy(server, "candidate-1")
    assert run("--phase=candidate", "--attempt=a-7") == 0
    ((attempt, document),) = session.recorded
    assert (attempt, document.stage, document.release) == ("a-7", "smoke-candidate", "candidate-1")
    assert document.log_tail == []
    assert {seen.headers["X-Reached"] for seen in server.seen} == {"candidate"}
    assert {seen.headers["X-API-Key"] for seen in server.seen} == {"the key of the environment"}
    written = json.loads((tmp_path / "evidence" / "smoke-candidate.development.json").read_text())
    assert (written["verdict"], written["attempt"]) == ("pass", "a-7")


def test_a_failing_candidate_is_recorded_with_its_log(server: Server, session: Session, run: Run) -> None:
    healthy(server, "other-2")
    assert run("--phase=candidate", "--attempt=a-7") == 1
    ((_, document),) = session.recorded
    assert document.log_tail == ["log of candidate"]
    assert document.summary == ("1 of 3 checks of candidate-1 failed: answers come from the expected release")


def test_a_refused_check_says_which_header_was_not_sent(server: Server, session: Session, run: Run) -> None:
    server.answer = lambda _: Answer(status=401, release="candidate-1")
    assert run("--phase=candidate", "--attempt=a-7") == 1
    ((_, document),) = session.recorded
    assert document.summary == "2 of 3 checks of candidate-1 failed: root, echo; no key is set"


def test_live_is_checked_but_not_recorded(server: Server, session: Session, run: Run, tmp_path: Path) -> None:
    healthy(server, "live-1")
    assert run("--phase=live", "--attempt=a-7") == 0
    assert session.recorded == []
    written = json.loads((tmp_path / "evidence" / "smoke-live.development.json").read_text())
    assert (written["release"], written["attempt"]) == ("live-1", "a-7")


def test_a_release_that_was_live_already_has_no_candidate_to_check(
    session: Session,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    session.live_already = True
    assert run("--phase=candidate", "--attempt=a-7") == 0
    assert "nothing to check" in capsys.readouterr().out
    assert session.recorded == [] and not (tmp_path / "evidence").exists()
    assert "not-applicable" in (tmp_path / "outputs").read_text()


def test_what_was_live_already_is_still_checked_as_live(server: Server, session: Session, run: Run) -> None:
    session.live_already = True
    assert run("--phase=live", "--attempt=a-7") == 1
    assert server.seen


def test_a_verdict_that_cannot_be_recorded_is_no_success(server: Server, session: Session, run: Run) -> None:
    healthy(server, "candidate-1")
    session.lost = True
    with pytest.raises(KickoffError, match="lock is gone"):
        run("--phase=candidate", "--attempt=a-7")
