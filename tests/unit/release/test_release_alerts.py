"""Alerts as a witness: which count, what they say, and what it means when nobody answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kickoff.evidence import Verdict
from kickoff.release import alerts
from kickoff.release.alerts import Alert, AlertRule, Witness
from kickoff.release.targets.ports import free_port
from tests.servers import running

MOVED = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
VETO = {"release": "veto"}
AFTER, BEFORE = MOVED + timedelta(seconds=5), MOVED - timedelta(hours=2)


def rule(
    *found: Alert, name: str = "OrdersLost", labels: dict[str, str] = VETO, problem: str = ""
) -> AlertRule:
    return AlertRule(name, labels, problem, found)


def alert(state: str = "firing", since: datetime = AFTER, name: str = "OrdersLost", **labels: str) -> Alert:
    return Alert(
        name, VETO | labels, state, since, 3.0, "3 orders were lost", "https://runbooks.example/lost"
    )


PASS, FAIL, DOUBT = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
OTHER = rule(alert(name="DiskFull", release="none"), name="DiskFull", labels={"release": "none"})


@pytest.mark.parametrize(
    ("rules", "wanted", "verdict", "told"),
    [
        ([rule()], VETO, PASS, "none"),
        ([rule(alert())], VETO, FAIL, "OrdersLost fires (3)"),
        ([rule(alert("pending"))], VETO, DOUBT, "OrdersLost is about to fire (3)"),
        ([rule(alert("pending"), alert(since=AFTER + timedelta(1)))], VETO, FAIL, "OrdersLost fires (3)"),
        ([rule(alert(since=BEFORE))], VETO, PASS, "none"),
        ([rule(alert(since=BEFORE)), rule(alert(name="Down"), name="Down")], VETO, FAIL, "Down fires (3)"),
        ([rule(), OTHER], VETO, PASS, "none"),
        ([rule(alert()), rule(name="Down", problem="bad query")], VETO, FAIL, "OrdersLost fires (3)"),
        ([rule(alert(environment="uat"))], VETO | {"environment": "production"}, PASS, "none"),
        ([rule(alert(environment="production"))], VETO | {"environment": "production"}, FAIL, "OrdersLost fires (3)"),
    ],
    ids=[
        "all is well", "fires", "is about to", "what fires before what is about to", "fires since before",
        "a new one beside an old one", "another's", "fires beside a broken one", "of another environment",
        "of this environment",
    ],
)  # fmt: skip
def test_what_began_since_the_traffic_moved_decides(
    rules: list[AlertRule], wanted: dict[str, str], verdict: Verdict, told: str
) -> None:
    result = alerts.judge(rules, wanted, MOVED)
    assert (result.verdict, result.measured, result.id) == (verdict, told, "judge.alerts")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([OTHER], "no alert carries release=veto"),
        ([], "no alert carries release=veto"),
        ([rule(problem="bad query")], "OrdersLost cannot be evaluated: bad query"),
    ],
    ids=["only another's rule", "no rule", "a rule that is broken"],
)
def test_where_no_alert_could_speak_none_has_spoken(rules: list[AlertRule], told: str) -> None:
    with pytest.raises(alerts.Unreadable, match=told):
        alerts.judge(rules, VETO, MOVED)


def test_the_verdict_names_what_is_wrong_and_where_to_read_on() -> None:
    reason = alerts.judge([rule(alert())], VETO, MOVED).reason
    assert reason == "3 orders were lost; runbook https://runbooks.example/lost"


def test_what_is_not_counted_is_told() -> None:
    reason = alerts.judge([rule(alert(since=BEFORE))], VETO, MOVED).reason
    assert reason == "not counted, since it was so before: OrdersLost"


@contextmanager
def prometheus(status: int, body: object, date: str = "") -> Iterator[str]:
    """Yield the address of a server that has one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(text)))
            if date:
                self.send_header("Date", date)
            self.end_headers()
            self.wfile.write(text if self.path == "/api/v1/rules?type=alert" else b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Keep the output clean."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


def answer(active_at: str) -> dict[str, Any]:
    """Answer as https://prometheus.io/docs/prometheus/latest/querying/api/#rules shows it."""
    found = {
        "activeAt": active_at,
        "annotations": {"summary": "3 orders were lost"},
        "labels": {"alertname": "OrdersLost", "release": "veto"},
        "state": "firing",
        "value": "3e+00",
    }
    rules = [{"name": "OrdersLost", "labels": VETO, "health": "ok", "alerts": [found]}]
    return {"status": "success", "data": {"groups": [{"name": "service", "rules": rules}]}}


def test_the_answer_of_prometheus_is_read() -> None:
    with prometheus(200, answer("2026-03-01T03:00:05.123456789Z")) as url:
        (found,) = alerts.read(url)
    since = datetime(2026, 3, 1, 3, 0, 5, 123456, tzinfo=UTC)
    expected = Alert(
        "OrdersLost", {"alertname": "OrdersLost"} | VETO, "firing", since, 3.0, "3 orders were lost"
    )
    assert found == AlertRule("OrdersLost", VETO, "", [expected])


def test_a_prometheus_whose_clock_is_ahead_is_understood() -> None:
    now = datetime.now(UTC)
    ahead = now + timedelta(minutes=10)
    date = ahead.strftime("%a, %d %b %Y %H:%M:%S GMT")
    with prometheus(200, answer(ahead.isoformat()), date) as url:
        (found,) = alerts.read(url)
    assert abs(found.alerts[0].since - now) < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (503, "", "answers 503"),
        (200, "<html>", "does not answer as Prometheus does"),
        (200, [], "does not answer as Prometheus does"),
        (200, {"data": {"groups": [{"rules": [{"name": "x"}]}]}}, "does not answer as Prometheus does"),
        (200, {"data": {"groups": []}}, "no alert carries release=veto"),
    ],
    ids=["an error", "a page", "a list", "half an answer", "no rule"],
)
@pytest.mark.parametrize(("warns", "verdict"), [(False, DOUBT), (True, Verdict.NOT_APPLICABLE)])
def test_no_answer_is_doubt_unless_the_environment_says_that_it_may_pass(
    status: int, body: object, told: str, verdict: Verdict, *, warns: bool
) -> None:
    with prometheus(status, body) as url:
        (result,) = Witness(url, VETO, MOVED, doubt_warns=warns).testify()
    assert (result.verdict, result.measured) == (verdict, "no data")
    assert told in result.reason
    assert ("ALERTS_UNREADABLE=warn" in result.reason) is warns


def test_nobody_there_is_doubt() -> None:
    (result,) = Witness(f"http://127.0.0.1:{free_port()}", VETO, MOVED, doubt_warns=False).testify()
    assert result.verdict is DOUBT
    assert "does not answer (ConnectError)" in result.reason


def witness(**values: str) -> Witness:
    session = SimpleNamespace(
        environment=SimpleNamespace(values=values),
        target=SimpleNamespace(alerts=lambda: "http://stack:9090"),
    )
    return alerts.witness(cast("Any", session), MOVED.isoformat())


def test_the_environment_s_own_prometheus_comes_before_that_of_the_stack() -> None:
    assert witness(ALERTS_LABELS="release=veto").url == "http://stack:9090"
    found = witness(ALERTS_URL="http://central:9090", ALERTS_LABELS="release=veto,environment=production")
    assert found == Witness(
        "http://central:9090", VETO | {"environment": "production"}, MOVED, doubt_warns=False
    )


def test_where_there_is_nobody_to_ask_there_is_no_rule() -> None:
    assert Witness("", VETO, MOVED, doubt_warns=False).testify() == []
