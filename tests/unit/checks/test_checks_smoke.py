import time
from dataclasses import replace

import pytest

from kickoff import service as services
from kickoff.evidence import Verdict, combine
from kickoff.probing import readiness, smoke
from tests.unit.checks.web import Answer, Seen, Server

SERVICE = services.parse(
    """
name: toy
bundle: [toy]
processes: {web: {command: [toy]}}
health: {live: /live, ready: /ready}
required_checks: []
smoke:
  - {name: health, path: /health, expect: {status: ok}}
  - {name: create, method: POST, path: /things, json: {a: 1}, status: 201}
""",
    "kickoff.yml",
)


def answer(request: Seen) -> Answer:
    return Answer(status=201 if request.method == "POST" else 200)


def test_one_rule_per_check_and_one_for_the_release(server: Server) -> None:
    server.answer = answer
    rules = smoke.run(server.url, {"X-Extra": "1"}, SERVICE, "new-1")
    assert [rule.rule for rule in rules] == ["health", "create", smoke.RELEASE_RULE]
    assert combine(rule.verdict for rule in rules) is Verdict.PASS
    assert rules[1].measured.startswith("201 in ") and rules[1].measured.endswith(" ms")
    assert (rules[1].threshold, rules[1].samples) == ("201", 1)
    assert (rules[2].measured, rules[2].threshold, rules[2].samples) == ("new-1", "new-1", 2)
    assert {seen.headers["X-Kickoff-Check"] for seen in server.seen} == {"smoke"}
    assert {seen.headers["X-Extra"] for seen in server.seen} == {"1"}


def test_a_wrong_release_fails_its_own_rule_only(server: Server) -> None:
    server.answer = answer
    rules = smoke.run(server.url, {}, SERVICE, "other-2")
    assert [rule.verdict for rule in rules] == [Verdict.PASS, Verdict.PASS, Verdict.FAIL]
    assert rules[2].reason == "2 of 2 answers did not name other-2"


def test_one_answer_of_another_release_is_enough(server: Server) -> None:
    server.answer = lambda request: replace(
        answer(request), release="" if request.method == "POST" else "new-1"
    )
    release = smoke.run(server.url, {}, SERVICE, "new-1")[-1]
    assert release.verdict is Verdict.FAIL
    assert release.measured == "new-1, no X-Release"
    assert release.reason == "1 of 2 answers did not name new-1"


def test_a_failed_check_says_what_was_sent_and_found(server: Server) -> None:
    server.answer = lambda _: Answer()
    rule = smoke.run(server.url, {}, SERVICE, "new-1")[1]
    assert rule.verdict is Verdict.FAIL
    assert rule.reason == 'POST /things: expected status 201, found 200: {"status": "ok"}'


def test_nobody_listening_fails_every_rule_with_a_reason(closed_url: str) -> None:
    rules = smoke.run(closed_url, {}, SERVICE, "new-1")
    assert {rule.verdict for rule in rules} == {Verdict.FAIL}
    assert {rule.measured for rule in rules} == {"no answer"}
    assert all(rule.reason and rule.samples == 0 for rule in rules)


@pytest.mark.parametrize(("header", "expected"), [("", "new-1"), ("X-Release", "")])
def test_an_unknown_release_is_not_judged(server: Server, header: str, expected: str) -> None:
    server.answer = answer
    rules = smoke.run(server.url, {}, replace(SERVICE, release_header=header), expected)
    assert rules[-1].verdict is Verdict.NOT_APPLICABLE
    assert rules[-1].reason
    assert combine(rule.verdict for rule in rules) is Verdict.PASS


def wait(url: str, seconds: float, expected: str = "new-1", crash: str = "") -> readiness.Readiness:
    return readiness.wait_ready(url, {}, "/ready", "X-Release", expected, seconds, lambda: crash)


def test_liveness_is_asked_as_the_proxy_asks(server: Server) -> None:
    server.answer = lambda _: Answer(status=302 if len(server.seen) > 2 else 503)
    live = readiness.wait_live(server.url, {}, "/live", 10, lambda: "")
    assert (live.ok, live.reason) == (True, ""), "a redirect is an answer"
    assert {(seen.method, seen.path) for seen in server.seen} == {("GET", "/live")}
    assert not any("X-Kickoff-Check" in seen.headers for seen in server.seen)


@pytest.mark.parametrize("status", [401, 404, 503])
def test_liveness_that_is_refused_names_path_and_status(server: Server, status: int) -> None:
    server.answer = lambda _: Answer(status=status)
    live = readiness.wait_live(server.url, {}, "/live", 0.2, lambda: "")
    assert (live.ok, live.status, live.reason) == (
        False, status, f"GET /live, asked without headers as the proxy will ask, answered {status}"
    )  # fmt: skip


def test_liveness_that_nobody_answers_says_so(closed_url: str) -> None:
    assert (
        "did not answer (ConnectError)"
        in readiness.wait_live(closed_url, {}, "/live", 0.1, lambda: "").reason
    )
    assert readiness.wait_live(closed_url, {}, "/live", 60, lambda: "it ended").reason == "it ended"


def test_a_release_that_is_silent_is_asked_no_more(closed_url: str) -> None:
    rules = smoke.run(closed_url, {}, SERVICE, "new-1", patient=False)
    assert [rule.rule for rule in rules] == ["health", smoke.RELEASE_RULE]


def test_ready_after_a_few_tries(server: Server) -> None:
    server.answer = lambda _: Answer(status=200 if len(server.seen) > 2 else 503)
    ready = wait(server.url, 10)
    assert (ready.ok, ready.reason) == (True, "")
    assert len(server.seen) == 3
    assert ready.seconds >= 0.1


def test_never_ready_names_the_last_answer(server: Server) -> None:
    server.answer = lambda _: Answer(status=503, body=b"warming up")
    ready = wait(server.url, 0.2)
    assert (ready.ok, ready.reason) == (False, "never ready in 0.2 s (last: 503: warming up)")


def test_never_listening_says_so(closed_url: str) -> None:
    reason = wait(closed_url, 0.1).reason
    assert reason.startswith("never ready in 0.1 s (last: no answer: ")


def test_a_wrong_release_is_told_apart(server: Server) -> None:
    ready = wait(server.url, 0.2, "other-2")
    assert (ready.ok, ready.reason) == (False, "wrong release: expected other-2, answered new-1")


def test_an_old_process_may_give_way_to_the_expected_release(server: Server) -> None:
    server.answer = lambda _: Answer(release="new-1" if len(server.seen) > 2 else "old-1")
    assert wait(server.url, 10).ok


def test_an_answer_without_release_is_not_the_expected_one(server: Server) -> None:
    server.answer = lambda _: Answer(release="")
    assert wait(server.url, 0).reason == (
        "wrong release: expected new-1, answered a service without X-Release"
    )


def test_a_crash_ends_the_wait_early(closed_url: str) -> None:
    started = time.monotonic()
    ready = wait(closed_url, 60, crash="exited with code 3")
    assert (ready.ok, ready.reason) == (False, "exited with code 3")
    assert time.monotonic() - started < 30


def test_no_time_still_asks_once(server: Server) -> None:
    assert wait(server.url, 0).ok
    assert len(server.seen) == 1


def test_a_service_that_insists_on_another_release_ends_the_wait_early(server: Server) -> None:
    server.answer = lambda _: Answer(release="other-1")
    ready = readiness.wait_ready(server.url, {}, "/ready", "X-Release", "new-1", 60, lambda: "", most_wrong=3)
    assert (ready.ok, ready.reason) == (False, "wrong release: expected new-1, answered other-1")
    assert len(server.seen) == 3


def test_several_instances_are_ready_when_all_of_them_answer_in_a_row(server: Server) -> None:
    # The second of three, which are asked in turn, is ready at its third time.
    server.answer = lambda _request: Answer(status=503 if len(server.seen) in {2, 5} else 200)
    ready = readiness.wait_ready(server.url, {}, "/ready", "X-Release", "new-1", 10, lambda: "", instances=3)
    assert (ready.ok, len(server.seen)) == (True, 8)


def test_instances_of_which_one_is_never_ready_are_not_ready(server: Server) -> None:
    server.answer = lambda _request: Answer(status=200 if len(server.seen) % 2 else 503)
    ready = readiness.wait_ready(server.url, {}, "/ready", "X-Release", "new-1", 0.5, lambda: "", instances=2)
    assert not ready.ok
    assert "never ready" in ready.reason or "only 1 of 2 instances" in ready.reason
