"""Counters of several proxies: their sum never falls, whichever of them is lost, back, or started again."""

import math

import pytest

from kickoff.release.routers import Meter, MetricsUnreadable, Shown, Traffic
from kickoff.release.routers.edges import Edges

INF = math.inf


def counted(good: int, bad: int = 0) -> dict[str, Traffic]:
    return {"blue": Traffic({200: good, 500: bad}, {0.1: good, INF: good + bad})}


def test_the_traffic_of_all_proxies_is_summed() -> None:
    meter = Meter({"a": counted(100), "b": counted(10)})
    added = meter.add({"a": counted(150), "b": counted(12, 1)})
    assert added == counted(52, 1)
    assert meter.add({"a": counted(151), "b": counted(12, 1)}) == counted(1)
    assert meter.total("blue") == Traffic({200: 53, 500: 1}, {0.1: 53, INF: 54})
    assert meter.total("green") == Traffic()


def test_a_proxy_that_is_lost_takes_nothing_back_and_what_it_counted_meanwhile_is_added() -> None:
    meter = Meter({"a": counted(0), "b": counted(0)})
    meter.add({"a": counted(10), "b": counted(10)})
    assert meter.add({"a": counted(20)})["blue"].requests == 10
    assert meter.total("blue").requests == 30
    assert meter.add({"a": counted(20), "b": counted(40)})["blue"].requests == 30
    assert meter.total("blue").requests == 60


def test_a_proxy_that_was_started_again_counts_from_zero_and_keeps_what_it_had() -> None:
    meter = Meter({"a": counted(100)})
    meter.add({"a": counted(110)})
    meter.add({})
    assert meter.add({"a": counted(3)})["blue"].requests == 3
    assert meter.total("blue").requests == 13
    meter.add({"a": {}})
    assert meter.add({"a": counted(2)})["blue"].requests == 2


def test_a_proxy_that_answers_late_begins_with_its_first_reading() -> None:
    meter = Meter({"a": counted(0)})
    assert meter.add({"a": counted(1), "b": counted(10_000)})["blue"].requests == 1
    assert meter.add({"a": counted(1), "b": counted(10_005)})["blue"].requests == 5


def test_a_service_that_has_its_first_request_counts_it() -> None:
    meter = Meter({"a": {}})
    assert meter.add({"a": counted(1)})["blue"].requests == 1


def test_other_boundaries_never_hide_a_slow_request() -> None:
    one, other = Traffic({200: 3}, {0.1: 1, 0.2: 2, INF: 3}), Traffic({200: 2}, {0.2: 1, 0.3: 2, INF: 2})
    assert one.plus(other).slower_than(0.2) == one.slower_than(0.2) + other.slower_than(0.2)
    assert one.plus(other).slower_than(0.3) >= 1
    assert one.plus(Traffic()) == one


def test_edges_that_count_by_different_boundaries_are_not_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"http://a": counted(1), "http://b": {"blue": Traffic({200: 1}, {0.3: 1, INF: 1})}}
    monkeypatch.setattr(Edges, "_ask", lambda *_: (found, {}))
    with pytest.raises(MetricsUnreadable, match="different boundaries"):
        Edges(tuple(found), "etcd").metrics()
    found["http://b"] = {"blue": Traffic({200: 1})}
    assert Edges(tuple(found), "etcd").metrics() == found


def test_which_edges_are_missed_is_said_by_name() -> None:
    proxies = ("http://a", "http://b", "http://c")
    assert Shown().problem == ""
    assert Shown(proxies, {"http://a": "silence"}, {}, 2).problem == ""
    few = Shown(proxies, {"http://a": "silence", "http://b": "silence"}, {}, 2)
    assert few.problem == "1 of 3 edges answer, and 2 have to; http://a: silence; http://b: silence"
    other = Shown(proxies, {"http://a": "silence"}, {"http://c": "service green is unknown to it"}, 2)
    assert other.problem == "http://c: service green is unknown to it"
    assert Shown(("http://a",), {"http://a": "silence"}, {}, 1).problem == "silence"
