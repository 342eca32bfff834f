"""A live release that is down, or fails, is no baseline and no obstacle: real load on real servers."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket
from typing import Any
from unittest.mock import patch

import pytest

from kickoff import evidence, service
from kickoff.evidence import Evidence, RuleResult, Verdict
from kickoff.performance import check, comparison, live_release, load, rules, summary
from kickoff.performance import document as documents
from kickoff.performance.load import Arm
from kickoff.performance.metrics import Raw
from kickoff.performance.samples import Sample
from kickoff.performance.scenarios import Catalogue, Effect, Scenario
from kickoff.report import load_page
from tests.unit.performance.toy import Toy, serve

ROOT = Path(__file__).parents[3]
EVERYTHING = ("/health", "/predictions", "/predictions/batch")
NA, PASS, FAIL, DOUBT = Verdict.NOT_APPLICABLE, Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Row:
    """A pair of releases, and what must come of it.

    Attributes:
        name: What is the matter.
        live: The live release; ``None`` when nobody listens at its address.
        verdict: The check's verdict.
        runs: How often load was sent: more is time that nobody needed to wait.
        candidate: The candidate.
        compared: The comparison as a whole: ``NOT_APPLICABLE`` when live is no baseline.
        inapplicable: At least so many single metrics live is no yardstick for; with 0 none.
        reason: Text in the reason that the candidate is refused for.
    """

    name: str
    live: Callable[[], Toy] | None
    verdict: Verdict
    runs: int
    candidate: Callable[[], Toy] = Toy
    compared: Verdict = NA
    inapplicable: int = 0
    reason: str = ""


def old(**what: Any) -> Callable[[], Toy]:
    return lambda: Toy("old", **what)


def new(**what: Any) -> Callable[[], Toy]:
    return lambda: Toy("new", **what)


WRONG = new(probabilities=(0.9, 0.9, 0.9))
# fmt: off
ROWS = (
    Row("live good", old(), PASS, 1, compared=PASS),
    Row("live dead", None, PASS, 1),
    Row("live 502 to all", old(status=502), PASS, 1),
    Row("live hangs", old(good_for=0, hangs=True), PASS, 1),
    Row("live another release", lambda: Toy("older still"), PASS, 1),
    Row("live ready and 500 to users", old(broken=EVERYTHING), PASS, 2),
    Row("live dies half way", old(good_for=60), PASS, 2),
    Row("live hangs half way", old(good_for=60, hangs=True), PASS, 2),
    Row("live 500 on one endpoint", old(broken=("/predictions/batch",)), PASS, 1, compared=PASS, inapplicable=2),
    Row("live 500 to every third", old(fails_every=3), PASS, 1, compared=PASS),
    Row("live slow", old(seconds=0.2), PASS, 2, compared=PASS, inapplicable=8),
    Row("candidate slower than a live with errors", old(fails_every=33), FAIL, 2, new(seconds=0.04), compared=FAIL,
        reason="worse than live"),
    Row("candidate wrong, live dead", None, FAIL, 1, WRONG, reason="do not sum to 1"),
    Row("candidate slow, live dead", None, FAIL, 1, new(seconds=0.9), reason="slower than the scenario allows"),
    Row("candidate 500 on one endpoint, live dead", None, FAIL, 1, new(broken=("/predictions/batch",)),
        reason="expected 201"),
    Row("candidate wrong, live ready and 500 to users", old(broken=EVERYTHING), FAIL, 1, WRONG,
        reason="do not sum to 1"),
    Row("candidate errs until live dies", old(good_for=60), FAIL, 1, new(fails_every=5), reason="status 500"),
    Row("both dead", None, FAIL, 1, new(status=500), reason="status 500"),
)
# fmt: on
BY_NAME = {row.name: row for row in ROWS}


@pytest.fixture
def settings(catalogue: Catalogue) -> Catalogue:
    """Margins that no noise of a busy machine reaches, and only what differs by far exceeds."""
    sizes = {
        "p50": Effect(1, 9),
        "p95": Effect(9, 1e6),
        "errors": Effect(0.01, 0.1),
        "tail": Effect(0.3, 0.9),
    }
    found: Any = {"max_duration": 5.0, "pairs_per_second": 40.0, **sizes}
    return replace(catalogue, comparison=replace(catalogue.comparison, **found), objectives=None)


@pytest.fixture
def scenario(smoke: Scenario) -> Scenario:
    return replace(smoke, duration=4.0, target_rps=15.0, max_response_time=800.0)


@contextmanager
def unused() -> Iterator[str]:
    with closing(socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}"


def judge(row: Row, scenario: Scenario, settings: Catalogue, locustfile: Path) -> Evidence:
    with ExitStack() as stack:
        candidate = stack.enter_context(serve(row.candidate()))
        live_url = stack.enter_context(serve(row.live())).url if row.live else stack.enter_context(unused())
        stack.enter_context(patch.object(load, "MOST_SILENCE", 1.0))
        stack.enter_context(patch.object(load, "_STOP_TIMEOUT", 2.0))
        stack.enter_context(patch.object(live_release, "_REQUEST_SECONDS", 0.3))
        live = Arm("live", live_url, {}, "old")
        setup = check.Setup(
            Arm("candidate", candidate.url, {}, "new"),
            live,
            locustfile,
            live_down=live_release.asked(live, service.load(ROOT)),
        )
        outcome = check.run(scenario, setup, settings)
    document = documents.to_evidence(
        [outcome],
        environment="staging",
        service="football",
        release="new",
        attempt="7",
        started=evidence.now(),
        inputs={},
        compared=True,
        not_compared="",
    )
    document.facts["runs"] = len(outcome.runs)
    return document


def whole(document: Evidence) -> RuleResult | None:
    return next((rule for rule in document.rules if rule.rule.endswith("comparison with live")), None)


def singles(document: Evidence) -> list[RuleResult]:
    return [rule for rule in document.rules if "against live" in rule.rule]


def said(row: Row, document: Evidence) -> list[str]:
    """Return what came out otherwise than the row wants."""
    rule, found = whole(document), singles(document)
    refused = [entry.reason for entry in document.rules if entry.verdict is row.verdict]
    inapplicable = sum(entry.verdict is NA for entry in found)
    own_fault = row.verdict is FAIL and not found
    claims = {
        f"verdict {document.verdict}": document.verdict is row.verdict,
        f"{document.facts['runs']} runs": document.facts["runs"] == row.runs,
        f"{len(found)} comparisons": bool(found) is (row.compared is not NA),
        "not applicable": own_fault
        or row.compared is not NA
        or (rule is not None and rule.verdict is NA and rule.reason.startswith(live_release.DOWN)),
        f"{inapplicable} metrics not applicable": inapplicable >= row.inapplicable >= min(inapplicable, 1),
        f"refused for {refused}": row.verdict is PASS or any(row.reason in reason for reason in refused),
    }
    return [claim for claim, holds in claims.items() if not holds]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, scenario: Scenario, settings: Catalogue, locustfile: Path) -> None:
    document = judge(row, scenario, settings, locustfile)
    assert not said(row, document), [f"{r.rule}: {r.verdict} {r.measured} {r.reason}" for r in document.rules]
    text = summary.markdown(document) + load_page.render(document)
    assert "nan" not in text.lower().split()
    if row.verdict is PASS and row.compared is NA:
        assert live_release.DOWN in document.summary
        fact = document.facts["live_down"]
        assert fact["release"] == "old"
        assert fact["reason"]
        assert bool(fact["since"]) is ("half way" in row.name)
    else:
        assert live_release.DOWN not in document.summary


def _mute(*_: object) -> str:
    return ""


def _no_cause(_arm: Arm, _service: service.Service) -> Callable[[], str]:
    return lambda: ""


def _all_pass(result: load.LoadResult, _objectives: object = None) -> list[RuleResult]:
    return [RuleResult("perf.anything", "anything", PASS, "", "", len(result.samples))]


WITHOUT: dict[str, tuple[str, AbstractContextManager[object]]] = {
    "asking live before the load": ("live dead", patch.object(live_release, "asked", _no_cause)),
    "most requests of live fail": ("live ready and 500 to users", patch.object(live_release, "lost", _mute)),
    "live has fallen silent": ("live hangs half way", patch.object(live_release, "lost", _mute)),
    "the pace is the candidate's own": ("live slow", patch.object(check, "_only_slow", lambda _: False)),
    "a slow live release is not asked often": (
        "live slow",
        patch.object(live_release, "slower", lambda _: False),
    ),
    "an endpoint that fails on live": (
        "live 500 on one endpoint",
        patch.object(comparison, "_broken", _mute),
    ),
    "better is not inconclusive": (
        "live 500 to every third",
        patch.object(Raw, "better", property(lambda _: False)),
    ),
    "absolute rules decide": ("candidate wrong, live dead", patch.object(rules, "evaluate", _all_pass)),
}


@pytest.mark.parametrize("gate", WITHOUT)
def test_without_it_a_row_ends_otherwise(
    gate: str, scenario: Scenario, settings: Catalogue, locustfile: Path
) -> None:
    noticed_by, mutation = WITHOUT[gate]
    row = BY_NAME[noticed_by]
    with mutation:
        assert said(row, judge(row, scenario, settings, locustfile))


def test_users_that_send_nothing_are_inconclusive_whether_live_is_up_or_not(
    scenario: Scenario, settings: Catalogue, tmp_path: Path
) -> None:
    idle = tmp_path / "idle.py"
    idle.write_text(
        "from locust import HttpUser, task\n"
        "class SmokeUser(HttpUser):\n"
        "    @task\n"
        "    def nothing(self):\n"
        "        pass\n"
    )
    for row in (BY_NAME["live good"], BY_NAME["live dead"]):
        document = judge(row, replace(scenario, duration=1.0), settings, idle)
        assert document.verdict is DOUBT
        assert "0 of 0" in document.summary


def test_what_a_broken_live_release_does_to_the_users_code_is_not_the_candidates_fault(
    scenario: Scenario, settings: Catalogue, tmp_path: Path
) -> None:
    naive = tmp_path / "naive.py"
    naive.write_text(
        "from locust import HttpUser, task\n"
        "class SmokeUser(HttpUser):\n"
        "    @task(3)\n"
        "    def healthy(self):\n"
        "        self.client.get('/health').json()['status']\n"
        "    @task\n"
        "    def strict(self):\n"
        "        self.client.post('/predictions', json={'home_team': 'A', 'away_team': 'B'}).raise_for_status()\n"
    )
    row = replace(BY_NAME["live 500 on one endpoint"], live=old(broken=("/predictions",)))
    document = judge(row, scenario, settings, naive)
    assert document.verdict is PASS, document.summary
    errors = document.facts["errors"]
    assert {entry["arm"] for entry in errors} == {"live"}
    assert any(entry["endpoint"] == "TASK strict" for entry in errors)
    swapped = replace(row, live=old(), candidate=new(broken=("/predictions",)))
    assert judge(swapped, scenario, settings, naive).verdict is FAIL


def test_a_dead_live_release_costs_seconds_and_no_load() -> None:
    with serve(Toy("old", status=503)) as toy:
        described = service.load(ROOT)
        asked = live_release.asked(Arm("live", toy.url, {}, "old"), described)
        begun = time.monotonic()
        assert asked().endswith(": status 503")
        assert time.monotonic() - begun < 5
        assert toy.requests <= 3 * len(described.probe)
        toy.status = 0
        assert asked() == ""


def test_an_answer_below_500_is_a_sign_of_life() -> None:
    with serve(Toy("old", status=401)) as toy:
        assert live_release.asked(Arm("live", toy.url, {}, "old"), service.load(ROOT))() == ""
        other = live_release.asked(Arm("live", toy.url, {}, "other"), service.load(ROOT))()
        assert other.endswith("status 401, release old")


def result(scenario: Scenario, live_ok: bool, candidate_ms: float) -> load.LoadResult:
    """Return a run of pairs that nobody sent."""
    sides = (("candidate", True, candidate_ms), ("live", live_ok, 5.0))
    samples = [
        Sample(n / 50, "GET /a", arm, ms + n % 7 / 10, ok, "" if ok else "status 500", pair=str(n))
        for n in range(200)
        for arm, ok, ms in sides
    ]
    figures: Any = {"generator_cpu": 0.1, "generator_lag_ms": 1.0, "partial": False}
    return load.LoadResult(scenario, 10.0, 0.0, 4.0, samples, slow=[], errors=[], log=[], **figures)


@pytest.mark.parametrize(
    ("again_ok", "again_ms", "verdict"), [(True, 50.0, FAIL), (True, 5.0, PASS), (False, 50.0, PASS)]
)
def test_live_that_is_lost_in_the_confirmation_can_confirm_nothing(
    again_ok: bool, again_ms: float, verdict: Verdict, scenario: Scenario, settings: Catalogue
) -> None:
    runs = iter([result(scenario, True, 50.0), result(scenario, again_ok, again_ms)])
    setup = check.Setup(Arm("candidate", ""), Arm("live", "", {}, "old"), Path())
    with patch.object(check, "_load", lambda *_: next(runs)):
        outcome = check.run(scenario, setup, settings)
    assert evidence.combine(rule.verdict for rule in outcome.rules) is verdict
    assert bool(outcome.live_down) is not again_ok
    if not again_ok:
        assert outcome.metrics == []
        assert outcome.live_down["reason"] == "200 of 200 requests failed, most often: status 500"
        assert outcome.live_down["since"].startswith("1970-01-01T00:00:03.98")
