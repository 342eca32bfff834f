"""The model of many edges, and the edges that stand in for Traefik when a look at them is timed."""

import json
from pathlib import Path

import pytest

from benchmarks.edges_model import looks, stand_in
from benchmarks.edges_model.model import (
    THROTTLE,
    Figures,
    Site,
    Spread,
    refused_by_quorum,
    spread,
    steps,
)
from kickoff.release.routers.edges import SILENT_SECONDS, Edges, difference, parse_metrics
from kickoff.release.routers.traefik_etcd import APPLY_SECONDS

FIGURES = Figures(Spread(0.022, 0.156, 40), Spread(0.138, 0.771, 40), look=0.0015)


def median_end(site: Site) -> float:
    return spread([one.end for one in steps(site, FIGURES, 200)], 40).median


def test_the_model_gives_back_what_one_edge_was_measured_to_take() -> None:
    said = spread([one.end for one in steps(Site(1), FIGURES, 4000)], 40)
    assert said.median == pytest.approx(0.138, rel=0.15)
    assert said.worst == pytest.approx(0.771, rel=0.15)
    assert THROTTLE == 0.05


def test_a_step_ends_after_its_last_edge_and_takes_longer_with_more_of_them() -> None:
    for site in (Site(1), Site(50), Site(3, lost=1), Site(9, slow=2)):
        assert all(one.last_edge <= one.end and not one.refused for one in steps(site, FIGURES, 100))
    assert median_end(Site(1)) < median_end(Site(9)) < median_end(Site(500))
    assert median_end(Site(9)) < median_end(Site(9, slow=2))
    assert steps(Site(9), FIGURES, 20) == steps(Site(9), FIGURES, 20)


def test_a_lost_edge_is_waited_for_and_two_of_them_stop_the_step() -> None:
    assert min(one.end for one in steps(Site(3, lost=1), FIGURES, 100)) > SILENT_SECONDS
    assert all(one.refused and one.end >= APPLY_SECONDS for one in steps(Site(9, lost=2), FIGURES, 5))
    assert not any(one.refused for one in steps(Site(9, lost=2, needed=7), FIGURES, 20))
    assert refused_by_quorum(1, 0.5) == 0
    assert refused_by_quorum(2, 0.5) == 0.25


def test_stand_ins_say_what_the_product_reads(tmp_path: Path) -> None:
    looks.pages(tmp_path, tasks=3)
    counted = parse_metrics((tmp_path / "metrics").read_text("utf-8"))
    assert counted.keys() == {"blue", "green"}
    assert counted["blue"].codes.keys() == {code for code, _ in stand_in.BUSINESS}
    assert counted["blue"].requests == counted["blue"].timed
    raw = json.loads((tmp_path / "rawdata").read_text("utf-8"))
    assert difference(looks.wanted(3), raw, "etcd") == ""
    assert " points to " in difference(looks.wanted(2), raw, "etcd")


def test_stand_ins_answer_at_addresses_of_their_own_and_one_of_them_never_does(tmp_path: Path) -> None:
    looks.pages(tmp_path, tasks=1)
    with stand_in.edges(tmp_path, 3, silent=1) as (apis, _):
        asked = Edges(apis, "etcd")
        assert len(set(apis)) == 3
        assert sorted(asked.metrics()) == sorted(apis[:2])
        assert list(asked.shown(looks.wanted(1)).silent) == [apis[2]]


def test_a_route_with_the_most_servers_fits_into_one_transaction_and_no_more() -> None:
    assert 1 < looks.most_tasks() < 128
