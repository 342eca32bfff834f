"""The functional test: what the tests are given, what is hidden, and what is recorded."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kickoff import masking
from kickoff import service as services
from kickoff.checks import functional
from kickoff.cli import main as cli
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, Verdict
from kickoff.service import Command, OwnCheck, Service

ROOT = Path(__file__).resolve().parents[3]
SECRET = "0123456789abcdef"
ECHO = "import os, sys; print(*sys.argv[1:], os.environ['KICKOFF_CHECK_HEADERS'])"


def test_the_tests_get_address_release_and_headers_and_the_secret_is_hidden(tmp_path: Path) -> None:
    masking.hide(SECRET)
    shown: list[str] = []
    outcome = functional.run(
        Command("interface", (sys.executable, "-c", ECHO, "{url}/x", "{release}"), 60),
        url="http://127.0.0.1:1",
        release="abc-1",
        headers={"X-API-Key": SECRET, "X-Empty": ""},
        root=tmp_path,
        logs=tmp_path / "logs",
        environ={},
        show=shown.append,
    )
    said = 'http://127.0.0.1:1/x abc-1 {"X-API-Key": "***", "X-Empty": ""}'
    assert shown == [said + "\n"]
    assert outcome.log.read_text() == said + "\n"
    assert outcome.log.name == "functional-candidate-interface.log"
    found = functional.rule(outcome)
    assert (found.verdict, found.measured) == (Verdict.PASS, f"exit 0 in {outcome.seconds:.1f} s: {said}")


@pytest.mark.parametrize(
    ("command", "measured", "reason"),
    [
        (
            Command("t", (sys.executable, "-c", "print('1 failed'); exit(3)"), 60),
            "exit 3: 1 failed",
            "exit code 3",
        ),
        (
            Command("t", (sys.executable, "-c", "import time; time.sleep(60)"), 1),
            "no exit code",
            "within 1 s",
        ),
        (Command("t", ("no-such-program",), 60), "no exit code", "not on PATH"),
    ],
)
def test_anything_but_success_is_a_failure(
    tmp_path: Path, command: Command, measured: str, reason: str
) -> None:
    outcome = functional.run(
        command,
        url="http://127.0.0.1:1",
        release="abc-1",
        headers={},
        root=tmp_path,
        logs=tmp_path / "logs",
        environ={},
        show=lambda _line: None,
    )
    found = functional.rule(outcome)
    assert found.verdict is Verdict.FAIL
    assert found.measured.startswith(measured)
    assert reason in found.reason


@dataclass
class Session:
    """Stands for an environment with a candidate."""

    service: Service
    recorded: list[tuple[str, Evidence]] = field(default_factory=list)
    lost: bool = False
    live_already: bool = False

    @contextmanager
    def reach(self, which: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(url="http://127.0.0.1:1", headers={"X-Reached": which})

    def check_headers(self) -> dict[str, str]:
        return {"X-API-Key": SECRET}

    def expected_release(self, which: str) -> str:
        return f"{which}-1"

    def unchanged(self, attempt: str) -> bool:
        return self.live_already

    def require_own(self, attempt: str) -> None:
        assert attempt

    def record_check(self, attempt: str, evidence: Evidence, _problem: str) -> None:
        if self.lost:
            raise KickoffError("the lock is gone")
        self.recorded.append((attempt, evidence))


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    masking.hide(SECRET)
    found = Session(services.load(ROOT))
    module = SimpleNamespace(open_session=lambda _name, _root: found, Session=Session)
    monkeypatch.setitem(sys.modules, "kickoff.release.session", module)
    monkeypatch.setenv("KICKOFF_EVIDENCE_DIR", str(tmp_path / "evidence"))
    for name in ("GITHUB_OUTPUT", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def run(session: Session, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    monkeypatch.chdir(ROOT)
    return lambda: cli.run(cli.parse(["functional", "--env=staging", "--attempt=a-7"]))


def test_a_passing_candidate_is_recorded(
    session: Session, run: Callable[[], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (sys.executable, "-c", ECHO, "{release}")
    session.service = replace(session.service, functional=OwnCheck(Command("interface", command, 60)))
    assert run() == 0
    ((attempt, document),) = session.recorded
    assert (attempt, document.stage, document.release) == ("a-7", "functional-candidate", "candidate-1")
    assert document.verdict is Verdict.PASS
    text = (tmp_path / "evidence" / "functional-candidate.staging.json").read_text()
    assert json.loads(text)["rules"][0]["measured"].split(": ", 1)[1].startswith("candidate-1 ")
    assert SECRET not in text + capsys.readouterr().out
    assert session.recorded[0][1].log_tail == []


def test_a_failing_candidate_is_rejected_with_its_log(session: Session, run: Callable[[], int]) -> None:
    command = (sys.executable, "-c", "print('1 failed'); exit(1)")
    session.service = replace(session.service, functional=OwnCheck(Command("interface", command, 60)))
    assert run() == 1
    ((_, document),) = session.recorded
    assert (document.verdict, document.log_tail) == (Verdict.FAIL, ["1 failed"])


def test_a_release_that_was_live_already_is_not_tested(session: Session, run: Callable[[], int]) -> None:
    command = (sys.executable, "-c", "exit(1)")
    session.service = replace(session.service, functional=OwnCheck(Command("interface", command, 60)))
    session.live_already = True
    assert run() == 0
    assert session.recorded == []


def test_without_a_functional_test_the_step_says_so(session: Session, run: Callable[[], int]) -> None:
    session.service = replace(session.service, functional=None)
    assert run() == 0
    ((_, document),) = session.recorded
    assert document.verdict is Verdict.NOT_APPLICABLE


def test_a_verdict_that_cannot_be_recorded_is_no_success(session: Session, run: Callable[[], int]) -> None:
    session.service = replace(
        session.service, functional=OwnCheck(Command("t", (sys.executable, "-c", ""), 60))
    )
    session.lost = True
    with pytest.raises(KickoffError, match="the lock is gone"):
        run()


def test_it_runs_where_the_description_says_and_nowhere_else(
    session: Session, run: Callable[[], int]
) -> None:
    command = Command("interface", (sys.executable, "-c", "exit(1)"), 60)
    session.service = replace(session.service, functional=OwnCheck(command, ("production",)))
    assert run() == 0
    ((_, document),) = session.recorded
    assert (document.verdict, document.summary) == (
        Verdict.NOT_APPLICABLE,
        "kickoff.yml has no functional test in staging",
    )


def test_the_services_own_checks_run_too_and_each_is_recorded(
    session: Session, run: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    good = Command("headers", (sys.executable, "-c", ECHO, "{release}"), 60)
    bad = Command("contract", (sys.executable, "-c", "print('two paths are gone'); exit(4)"), 60)
    elsewhere = Command("elsewhere", (sys.executable, "-c", "exit(1)"), 60)
    session.service = replace(
        session.service,
        functional=None,
        checks=(OwnCheck(bad, ("staging",)), OwnCheck(good), OwnCheck(elsewhere, ("production",))),
    )
    assert run() == 1
    found = {document.stage: document.verdict for _, document in session.recorded}
    assert found == {
        "functional-candidate": Verdict.NOT_APPLICABLE,
        "check-contract": Verdict.FAIL,
        "check-headers": Verdict.PASS,
    }
    written = json.loads((tmp_path / "evidence" / "check-contract.staging.json").read_text())
    assert written["rules"][0]["id"] == "check.contract"
    assert written["log_tail"] == ["two paths are gone"]
    assert "fail" in outputs.read_text().split("verdict")[-1]
    assert session.service.checks_for("staging")[-2:] == ("check-contract", "check-headers")
