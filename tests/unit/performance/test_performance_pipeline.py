"""The script as the pipeline calls it: ``--candidate``, with a stand-in for the release engine's session."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import socket
from types import ModuleType

import pytest

from kickoff import evidence
from kickoff import service as services
from kickoff.checks import performance
from kickoff.checks.check import Context
from kickoff.cli.main import main
from kickoff.evidence import Evidence, Verdict
from kickoff.evidence.rules import WARNING
from kickoff.performance import live_release
from kickoff.performance.scenarios import Catalogue
from kickoff.release.progress import Progress
from kickoff.report import measures
from kickoff.service import Service
from tests.unit.performance.toy import Toy

ROOT = Path(__file__).parents[3]


@dataclass
class Endpoint:
    url: str
    headers: Mapping[str, str]


@dataclass
class FakeEnvironment:
    values: Mapping[str, str]

    def text(self, key: str) -> str:
        return self.values[key]

    def integer(self, key: str) -> int:
        return int(self.values[key])


@dataclass
class FakeState:
    pid: int


class FakeTarget:
    def state(self, colour: str) -> FakeState:
        return FakeState(os.getpid())


@dataclass
class FakeStore:
    perf_allow_once: str = ""

    def attempt(self, identity: str) -> Progress:
        return Progress(identity, "release", perf_allow_once=self.perf_allow_once)


@dataclass
class FakeSession:
    candidate: Toy
    live: Toy | None
    environment: FakeEnvironment
    target: FakeTarget = field(default_factory=FakeTarget)
    store: FakeStore = field(default_factory=FakeStore)
    recorded: list[tuple[str, Evidence]] = field(default_factory=list)
    service: Service = field(default_factory=lambda: services.load(ROOT))

    def colour_of(self, which: str) -> str | None:
        return None if which == "live" and self.live is None else "blue"

    def expected_release(self, which: str) -> str:
        toy = self.candidate if which == "candidate" else self.live
        return toy.release if toy else ""

    def check_headers(self) -> dict[str, str]:
        return {}

    @contextmanager
    def reach(self, which: str) -> Iterator[Endpoint]:
        toy = {"candidate": self.candidate, "live-direct": self.live}[which]
        assert toy is not None
        yield Endpoint(toy.url, {"X-Colour": "blue"})

    def unchanged(self, attempt: str) -> bool:
        return False

    def require_own(self, attempt: str) -> None:
        """It always is."""

    def record_check(self, attempt: str, found: Evidence, _problem: str) -> None:
        self.recorded.append((attempt, found))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    """Return a function that runs the script with a session and gives its exit code."""

    def invoke(session: FakeSession) -> int:
        module = ModuleType("kickoff.release.session")
        module.open_session = lambda name, root: session  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "kickoff.release.session", module)
        monkeypatch.chdir(ROOT)
        given = ["--candidate", "--env", "development", "--attempt", "a7", "--evidence", str(tmp_path)]
        return main(["perf", *given])

    whole = performance._catalogue

    def brief(context: Context) -> Catalogue:
        found = whole(context)
        short = {name: replace(one, duration=2.0) for name, one in found.scenarios.items()}
        return replace(found, scenarios=short, comparison=replace(found.comparison, max_duration=2.0))

    monkeypatch.setattr(performance, "_catalogue", brief)
    before = signal.getsignal(signal.SIGTERM)
    yield invoke
    signal.signal(signal.SIGTERM, before)


VALUES = {"PERF_SCENARIO": "smoke", "PERF_INCONCLUSIVE": "block", "PERF_MAX_RPS": "40", "API_KEY": ""}


def test_a_first_release_is_judged_by_absolute_rules(call: object, candidate: Toy, tmp_path: Path) -> None:
    assert callable(call)
    session = FakeSession(candidate, None, FakeEnvironment(VALUES))
    assert call(session) == 0
    attempt, found = session.recorded[0]
    assert (attempt, found.release, found.attempt, found.verdict) == ("a7", "new", "a7", Verdict.PASS)
    assert found.rules[-1].verdict is Verdict.NOT_APPLICABLE
    assert evidence.read(tmp_path)[0].stage == "perf-baseline"


def test_no_load_test_is_recorded_as_one_that_does_not_apply(call: object, candidate: Toy) -> None:
    assert callable(call)
    quiet = replace(services.load(ROOT), load=False)
    session = FakeSession(candidate, None, FakeEnvironment(VALUES), service=quiet)
    assert call(session) == 0
    found = session.recorded[0][1]
    assert (found.verdict, found.release) == (Verdict.NOT_APPLICABLE, "new")
    assert found.summary == "no load test (load: none in kickoff.yml)"


def test_a_rejected_candidate_is_recorded_too(call: object, pair: tuple[Toy, Toy]) -> None:
    assert callable(call)
    new, old = pair
    new.probabilities = (0.9, 0.9, 0.9)
    session = FakeSession(new, old, FakeEnvironment(VALUES))
    assert call(session) == 1
    found = session.recorded[0][1]
    assert found.verdict is Verdict.FAIL
    assert "error rate" in found.summary
    assert found.inputs["max_rps"] == 40
    # The cap holds for both sides together: 40 a second for two seconds, and a second's backlog.
    assert sum(entry["requests"] for entry in found.facts["endpoints"]) <= 20 * 3 + 2


def test_a_live_release_that_is_down_stops_nobody(call: object, candidate: Toy) -> None:
    assert callable(call)
    with closing(socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        dead = Toy("old", url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        session = FakeSession(candidate, dead, FakeEnvironment(VALUES))
        assert call(session) == 0
        candidate.probabilities = (0.9, 0.9, 0.9)
        assert call(session) == 1
    good, bad = (found for _, found in session.recorded)
    assert good.rules[-1].verdict is Verdict.NOT_APPLICABLE
    assert good.rules[-1].reason.startswith(live_release.DOWN)
    assert good.facts["live_down"]["release"] == "old"
    assert "refused" in good.facts["live_down"]["reason"]
    assert {entry["arm"] for entry in good.facts["endpoints"] + good.facts["endpoints_live"]} == {"candidate"}
    assert bad.verdict is Verdict.FAIL
    assert "do not sum to 1" in bad.summary


@pytest.mark.parametrize(("choice", "code"), [("block", 3), ("warn", 0)])
def test_a_comparison_that_cannot_tell_does_what_the_environment_says(
    call: object, pair: tuple[Toy, Toy], choice: str, code: int
) -> None:
    assert callable(call)
    # Two seconds bring a handful of pairs: the absolute rules can judge them, a comparison cannot.
    session = FakeSession(*pair, FakeEnvironment(VALUES | {"PERF_INCONCLUSIVE": choice}))
    assert call(session) == code
    found = session.recorded[0][1]
    compared = [rule for rule in found.rules if rule.id.endswith("-vs-live")]
    assert compared
    if choice == "block":
        assert found.verdict is Verdict.INCONCLUSIVE
        assert all(not rule.finding for rule in compared if rule.verdict is Verdict.INCONCLUSIVE)
        return
    assert found.verdict is Verdict.PASS
    assert "a warning: " in found.summary
    warned = [rule for rule in compared if rule.finding == WARNING]
    assert warned
    assert {(rule.verdict, rule.sign) for rule in warned} == {(Verdict.NOT_APPLICABLE, "!")}
    assert measures.headline(found).endswith("comparison with live inconclusive (a warning)")


def test_a_warning_lets_no_broken_release_pass(call: object, pair: tuple[Toy, Toy]) -> None:
    assert callable(call)
    pair[0].probabilities = (0.9, 0.9, 0.9)
    assert call(FakeSession(*pair, FakeEnvironment(VALUES | {"PERF_INCONCLUSIVE": "warn"}))) == 1


@pytest.mark.parametrize(
    ("allowed", "code"),
    [("", 1), ("the new model costs 20 %", 1), ("the new model costs 100 %", 0), ("for a reason", 2)],
)
def test_a_cost_that_is_allowed_once_is_judged_by_its_budget_and_told(
    call: object, pair: tuple[Toy, Toy], allowed: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(call)
    new, old = pair
    # Half as long again, which is far from chance; what a few pairs cannot tell of errors is a warning.
    new.seconds, old.seconds = 0.03, 0.02
    values = VALUES | {"PERF_SCENARIO": "light", "PERF_MAX_RPS": "200", "PERF_INCONCLUSIVE": "warn"}
    session = FakeSession(new, old, FakeEnvironment(values), store=FakeStore(allowed))
    assert call(session) == code
    if code == 2:
        assert "a reason and a percentage" in capsys.readouterr().err
        assert session.recorded == []
        return
    found = session.recorded[0][1]
    if not allowed:
        assert "allowed_once" not in found.facts
        return
    assert re.fullmatch(rf"{allowed}, measured \+[3-7]\d\.\d%", found.facts["allowed_once"])
    assert f"allowed once: {allowed}, measured +" in found.summary
