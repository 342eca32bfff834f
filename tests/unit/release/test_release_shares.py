"""The shares of the traffic as Prometheus reads them."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from kickoff.paths import METRICS
from kickoff.prometheus import samples
from kickoff.release import shares
from kickoff.release.model import Colour, Slot
from kickoff.release.session import Session

BLUE, GREEN = Slot("aaa1111-00000000", 4001), Slot("bbb2222-00000000", 4002)
NAME = "kickoff_release_traffic_ratio"


def read(text: str) -> dict[tuple[str, str], float]:
    return {(one.labels["release"], one.labels["colour"]): one.value for one in samples(text, NAME)}


def test_each_release_that_runs_has_its_share() -> None:
    text = shares.render(
        "shop", "staging", {Colour.BLUE: BLUE, Colour.GREEN: GREEN}, {Colour.GREEN: 5, Colour.BLUE: 95}
    )
    assert read(text) == {(BLUE.release, "blue"): 0.95, (GREEN.release, "green"): 0.05}
    assert {(one.labels["service"], one.labels["environment"]) for one in samples(text, NAME)} == {
        ("shop", "staging")
    }


def test_what_is_warm_has_none_and_what_is_stopped_is_not_there() -> None:
    text = shares.render("shop", "staging", {Colour.BLUE: BLUE, Colour.GREEN: GREEN}, {Colour.BLUE: 100})
    assert read(text) == {(BLUE.release, "blue"): 1.0, (GREEN.release, "green"): 0.0}
    assert read(shares.render("shop", "staging", {Colour.BLUE: BLUE}, {})) == {(BLUE.release, "blue"): 0.0}
    assert read(shares.render("shop", "staging", {}, {})) == {}


def session(root: Path) -> Session:
    names = {key: SimpleNamespace(name=key) for key in ("service", "environment")}
    return cast("Session", SimpleNamespace(store=SimpleNamespace(root=root), **names))


def test_a_file_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    shares.write(session(tmp_path), {Colour.BLUE: BLUE}, {Colour.BLUE: 100})
    (written,) = (tmp_path / METRICS).iterdir()
    assert read(written.read_text()) == {(BLUE.release, "blue"): 1.0}
    (tmp_path / "other").write_text("in the way")
    (tmp_path / "other").chmod(0o400)
    shares.write(session(tmp_path / "other"), {}, {})
