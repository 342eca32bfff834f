"""The scenario file: the six scenarios, overrides, and errors that say where and how to fix it."""

from pathlib import Path

import pytest
import yaml

from kickoff.errors import KickoffError
from kickoff.performance import scenarios

FILE = Path(__file__).parents[3] / "configs/performance/scenarios.yml"
TEXT = FILE.read_text("utf-8")


@pytest.mark.parametrize(
    "figures",
    [
        ("smoke", 1, 30, 5, 0.05, 2000),
        ("light", 5, 120, 20, 0.02, 1500),
        ("medium", 20, 300, 80, 0.03, 2000),
        ("heavy", 50, 600, 150, 0.05, 3000),
        ("stress", 100, 300, 200, 0.10, 5000),
        ("spike", 200, 180, 300, 0.15, 8000),
    ],
)
def test_the_six_scenarios(figures: tuple[str, int, float, float, float, float]) -> None:
    found = scenarios.load(FILE).get(figures[0])
    limits = (found.max_error_rate, found.max_response_time)
    assert (found.name, found.users, found.duration, found.target_rps, *limits) == figures


def test_there_are_exactly_six_scenarios_and_three_with_think_times() -> None:
    found = scenarios.load(FILE).scenarios.values()
    assert [s.name for s in found if s.target_rps] == ["smoke", "light", "medium", "heavy", "stress", "spike"]
    assert [(s.name, s.users, s.duration) for s in found if not s.target_rps] == [
        ("LightLoadTest", 5, 120),
        ("MediumLoadTest", 20, 300),
        ("HeavyLoadTest", 50, 600),
    ]


def test_a_service_without_a_file_has_the_package_s_scenarios() -> None:
    plain, development = scenarios.load(None), scenarios.load(None, "development")
    assert list(plain.scenarios) == ["smoke", "light", "medium", "heavy"]
    assert plain.objectives is None
    assert {scenario.name: dict(scenario.mix) for scenario in plain.scenarios.values() if scenario.mix} == {}
    assert (plain.get("smoke").duration, development.get("smoke").duration) == (30, 5)
    assert plain.comparison == scenarios.load(FILE).comparison
    assert development.comparison == scenarios.load(FILE, "development").comparison


def test_what_a_file_leaves_out_has_defaults() -> None:
    own = yaml.safe_load(TEXT)["scenarios"]["light"] | {"users": 3}
    found = scenarios.parse(yaml.safe_dump({"scenarios": {"own": own}}), "s.yml", "development")
    assert list(found.scenarios) == ["own"]
    assert found.comparison == scenarios.load(FILE, "development").comparison
    mine = scenarios.parse("comparison: {max_duration: 33s}\n", "s.yml", "development")
    assert list(mine.scenarios) == ["smoke", "light", "medium", "heavy"]
    assert mine.comparison.max_duration == 33
    assert mine.comparison.p50 == scenarios.load(FILE).comparison.p50


def test_spike_really_spikes() -> None:
    shares = [step.users for step in scenarios.load(FILE).get("spike").shape]
    assert max(shares) >= 10 * shares[0]
    assert max(shares) >= 10 * shares[-1]


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    plain, development = scenarios.load(FILE), scenarios.load(FILE, "development")
    assert (plain.get("smoke").duration, development.get("smoke").duration) == (30, 5)
    assert development.get("smoke").users == plain.get("smoke").users
    assert development.get("light") == plain.get("light")
    assert development.comparison.p50.detect > plain.comparison.p50.detect
    assert development.comparison.instance == plain.comparison.instance
    assert scenarios.load(FILE, "staging") == plain


@pytest.mark.parametrize(
    ("old", "new", "key", "line_of"),
    [
        ("    users: 1\n", "    users: 0\n", "scenarios.smoke.users", "users: 0"),
        ("    duration: 30s\n", "    duration: 30\n", "scenarios.smoke.duration", "duration: 30\n"),
        (
            "max_error_rate: 5%",
            "max_error_rate: 0.05",
            "scenarios.heavy.max_error_rate",
            "max_error_rate: 0.05",
        ),
        ("    target_rps: 5\n", "    target: 5\n", "scenarios.smoke", "  smoke:"),
        ("- {until: 60%, users: 100%}", "- {until: 30%, users: 100%}", "scenarios.spike.shape", "spike:"),
        (
            "users: 10%}\n\n",
            "users: 10%}\n      - {until: 100%, users: 10%}\n\n",
            "scenarios.spike.shape",
            "spike:",
        ),
        ("p50: {margin: 5%, detect: 10%}", "p50: {margin: 5%, detect: 5%}", "comparison.p50", "detect: 5%"),
        ("smoke: {duration: 5s}", "smoke: {duration: soon}", "scenarios.smoke.duration", "duration: soon"),
        ("smoke: {duration: 5s}", "smok: {duration: 5s}", "overrides.development.scenarios.smok", "smok:"),
        ("power: 95%", "power: 40%", "comparison", "comparison:"),
        ("scenario: heavy", "scenario: hevy", "objectives.scenario", "scenario: hevy"),
    ],
)
def test_a_mistake_is_named_with_key_line_and_fix(old: str, new: str, key: str, line_of: str) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new)
    with pytest.raises(KickoffError) as caught:
        scenarios.parse(text, "scenarios.yml")
    assert str(caught.value).startswith(f"{key}: ")
    assert caught.value.at.startswith("scenarios.yml:")
    line = text.splitlines()[int(caught.value.at.split(":")[1]) - 1]
    if line_of.strip() != "spike:":
        assert line_of.strip().split(":")[0] in line
    assert caught.value.hint
    assert caught.value.code == 2


def test_a_missing_file_and_broken_yaml(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="is missing"):
        scenarios.load(tmp_path / "none.yml")
    with pytest.raises(KickoffError, match="is not YAML") as caught:
        scenarios.parse("a: [1\nb: 2", "x.yml")
    assert caught.value.at == "x.yml:2"


def test_an_unknown_scenario_lists_the_known_ones() -> None:
    with pytest.raises(KickoffError) as caught:
        scenarios.load(FILE).get("smoky")
    assert "smoke" in caught.value.hint


@pytest.mark.parametrize(("text", "seconds"), [("250ms", 0.25), ("30s", 30), ("5m", 300), ("1.5s", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert scenarios.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "5h"])
def test_wrong_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|float"):
        scenarios.seconds(text)


def test_every_user_class_of_a_mix_exists_in_the_locustfile() -> None:
    source = (FILE.parents[2] / "tests/performance/locustfile.py").read_text("utf-8")
    for scenario in scenarios.load(FILE).scenarios.values():
        for name in scenario.mix:
            assert f"class {name}(" in source


def test_overrides_are_pure_data() -> None:
    assert set(yaml.safe_load(TEXT)["overrides"]["development"]) <= {"scenarios", "comparison"}
