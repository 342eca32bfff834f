import time
from collections.abc import Callable

import pytest

from kickoff.probing import prober as probe
from kickoff.probing.prober import ProbeCounts, Prober
from kickoff.service import HttpCheck
from tests.unit.checks.web import Answer, Seen, Server

CHECKS = (HttpCheck("ready", "/ready"), HttpCheck("root", "/"))


def prober(url: str, rate: float = 500, expected: str = "new-1") -> Prober:
    return Prober(
        url,
        {"X-Extra": "1"},
        CHECKS,
        header="X-Release",
        expected_release=expected,
        rate=rate,
        marker="release-probe",
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 s in vain"
        time.sleep(0.005)


def test_checks_take_turns_on_one_connection(server: Server) -> None:
    with prober(server.url) as running:
        until(lambda: running.snapshot().probes >= 6)
    counts = running.snapshot()
    assert counts == ProbeCounts(probes=len(server.seen), named=len(server.seen))
    assert [seen.path for seen in server.seen[:4]] == ["/ready", "/", "/ready", "/"]
    assert len({seen.connection for seen in server.seen}) == 1
    assert {seen.headers["X-Kickoff-Check"] for seen in server.seen} == {"release-probe"}
    assert {seen.headers["X-Extra"] for seen in server.seen} == {"1"}


def test_in_pairs_safe_requests_go_out_without_the_marker_too(server: Server) -> None:
    checks = (HttpCheck("root", "/"), HttpCheck("write", "/things", method="POST"))
    server.answer = lambda seen: Answer(status=200 if "X-Kickoff-Check" in seen.headers else 404)
    with Prober(
        server.url, {}, checks, header="X-Release", expected_release="new-1", rate=500, marker="m", pairs=True
    ) as running:
        until(lambda: running.snapshot().probes >= 60)
    counts = running.snapshot()
    assert counts.probes == counts.named == len(server.seen)
    sent = [(seen.method, "X-Kickoff-Check" in seen.headers) for seen in server.seen]
    assert (counts.marked, counts.unmarked) == (sent.count(("GET", True)), sent.count(("GET", False)))
    assert sent.count(("POST", False)) == 0
    assert (counts.marked_failures, counts.unmarked_failures) == (0, counts.unmarked)
    assert counts.failures == counts.unmarked
    assert counts.last_error.startswith("root (unmarked): expected status 200, found 404")
    assert len({marked for method, marked in sent[::3] if method == "GET"}) == 2, "either half comes first"


def test_slow_answers_are_counted(server: Server) -> None:
    def slow(seen: Seen) -> Answer:
        time.sleep(0.5 if seen.path == "/ready" else 0)
        return Answer()

    server.answer = slow
    with Prober(
        server.url, {}, CHECKS, header="", expected_release="", rate=500, marker="m", slow_seconds=0.5
    ) as running:
        until(lambda: running.snapshot().probes >= 6)
    counts = running.snapshot()
    assert 0 < counts.slow <= (counts.probes + 1) // 2
    assert counts.named == 0, "nothing was said to name a release"


def test_failures_are_counted_and_the_last_one_is_told(server: Server) -> None:
    server.answer = lambda seen: Answer(status=500 if seen.path == "/" else 200, body=b"broken")
    with prober(server.url) as running:
        until(lambda: running.snapshot().probes >= 6)
    counts = running.snapshot()
    assert counts.failures == counts.probes // 2
    assert counts.wrong_release == 0
    assert counts.last_error == "root: expected status 200, found 500: broken"


def test_another_release_is_a_failure_of_its_own_kind(server: Server) -> None:
    with prober(server.url, expected="other-2") as running:
        until(lambda: running.snapshot().probes >= 3)
    counts = running.snapshot()
    assert counts.probes == counts.failures == counts.wrong_release


def test_nobody_listening_is_a_failure_but_no_other_release(closed_url: str) -> None:
    with prober(closed_url) as running:
        until(lambda: running.snapshot().probes >= 3)
    counts = running.snapshot()
    assert counts.failures == counts.probes
    assert counts.wrong_release == 0
    assert "no answer" in counts.last_error


def test_the_pace_is_kept(server: Server) -> None:
    started = time.monotonic()
    with prober(server.url, rate=50) as running:
        until(lambda: running.snapshot().probes >= 10)
    seconds = time.monotonic() - started
    assert running.snapshot().probes <= seconds * 50 + 1


def test_a_slow_answer_is_not_made_up_for_in_a_burst(server: Server) -> None:
    arrivals: list[float] = []

    def slow_once(_: object) -> Answer:
        arrivals.append(time.monotonic())
        if len(arrivals) == 1:
            time.sleep(0.5)
        return Answer()

    server.answer = slow_once
    with prober(server.url, rate=20) as running:
        until(lambda: len(arrivals) >= 6)
    # At 20 a second five further requests need four gaps of 50 ms; a burst would need none.
    assert arrivals[5] - arrivals[1] >= 0.1
    assert running.snapshot().failures == 0


def test_stop_ends_the_requests_and_may_be_repeated(server: Server) -> None:
    running = prober(server.url)
    running.start()
    until(lambda: running.snapshot().probes >= 1)
    running.stop()
    running.stop()
    before = len(server.seen)
    time.sleep(0.05)
    assert len(server.seen) == before == running.snapshot().probes


def test_stop_before_start_has_no_effect(server: Server) -> None:
    running = prober(server.url)
    running.stop()
    assert running.snapshot() == ProbeCounts()


def test_a_broken_probe_is_not_mistaken_for_a_quiet_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("defect")

    monkeypatch.setattr(probe, "perform", broken)
    with prober(server.url) as running:
        until(lambda: not running._thread.is_alive())
    with pytest.raises(RuntimeError, match="broke") as caught:
        running.snapshot()
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize(("rate", "checks"), [(0.0, CHECKS), (1.0, ())])
def test_a_probe_without_rate_or_checks_is_refused(rate: float, checks: tuple[HttpCheck, ...]) -> None:
    with pytest.raises(ValueError, match="needs a rate"):
        Prober("http://127.0.0.1:1", {}, checks, header="", expected_release="", rate=rate, marker="m")
