"""``service.yml``: what is read from it, and that a mistake is shown at its line."""

from pathlib import Path

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.service import CONFIG, load, parse

MINIMAL = """\
name: shop
bundle:
  - shop
processes:
  web:
    command: [python, -m, shop, "{port}"]
health:
  live: /live
  ready: /ready
required_checks: []
smoke:
  - name: home
    path: /
"""


def test_the_project_describes_its_service() -> None:
    service = load(Path(__file__).resolve().parents[3])
    assert "{port}" in service.web_command
    assert service.required_checks == ("smoke-candidate", "perf-baseline")
    assert service.smoke
    assert service.functional is not None
    assert {"--base-url={url}", "--expect-release={release}"} <= set(service.functional.command.run)


def test_what_is_left_out_has_a_default() -> None:
    service = parse(MINIMAL, "service.yml")
    assert service.release_header == "X-Release"
    assert service.in_flight is None
    assert service.pre_deploy == service.schema_revision == service.database_revision == ()
    assert service.quality_gate == ()
    assert service.functional is None
    assert [(check.path, check.method, check.status) for check in service.probe] == [("/ready", "GET", 200)]


def test_given_keys_replace_the_defaults() -> None:
    text = MINIMAL + (
        'release_header: ""\n'
        "in_flight: {path: /metrics, metric: busy}\n"
        "hooks: {pre_deploy: [make, migrate]}\n"
        "quality_gate: [{name: lint, run: [ruff, check], timeout_seconds: 7}]\n"
        "probe: [{name: order, method: POST, path: /orders, json: {a: 1}, status: 201}]\n"
    )
    service = parse(text, "service.yml")
    assert service.release_header == ""
    assert service.in_flight is not None
    assert service.in_flight.metric == "busy"
    assert service.pre_deploy == ("make", "migrate")
    assert [(c.name, c.run, c.timeout_seconds) for c in service.quality_gate] == [
        ("lint", ("ruff", "check"), 7)
    ]
    assert [(c.method, c.json, c.status) for c in service.probe] == [("POST", {"a": 1}, 201)]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("name: shop", "name: Shop!", 1, "$.name"),
        ("  - shop", "  - ../outside", 3, "$.bundle[0]"),
        ("  live: /live", "  live: live", 8, "$.health.live"),
        ("    path: /", "    path: 7", 13, "$.smoke[0].path"),
        ("required_checks: []", "required_checks: [vibes]", 10, "vibes"),
        ("  ready: /ready\n", "", 7, "'ready' is a required property"),
        ("health:", "helth:", 1, "helth"),
        ("bundle:", "bundle: [", 3, "not YAML"),
    ],
)
def test_a_mistake_is_shown_at_its_line(old: str, new: str, line: int, words: str) -> None:
    assert MINIMAL.count(old) == 1
    with pytest.raises(KickoffError) as caught:
        parse(MINIMAL.replace(old, new), "service.yml")
    assert caught.value.code is ExitCode.BAD_INPUT
    assert words in str(caught.value)
    assert caught.value.at == f"service.yml:{line}"


def test_an_environment_may_require_further_checks() -> None:
    text = MINIMAL.replace(
        "required_checks: []",
        "required_checks: [smoke-candidate]\nrequired_checks_in: {staging: [functional-candidate]}",
    )
    service = parse(text, "service.yml")
    assert service.checks_for("staging") == ("smoke-candidate", "functional-candidate")
    assert service.checks_for("production") == ("smoke-candidate",)


@pytest.mark.parametrize("text", ["", "- a\n", "just text"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(KickoffError) as caught:
        parse(text, "service.yml")
    assert caught.value.at == "service.yml:1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match=r"service\.yml is missing") as caught:
        load(tmp_path)
    assert caught.value.at == str(tmp_path / CONFIG)


def test_a_functional_test_that_is_demanded_where_it_does_not_run_is_refused() -> None:
    text = MINIMAL.replace(
        "required_checks: []",
        "required_checks: [functional-candidate]\nfunctional: {name: x, run: [x], in: [staging]}",
    )
    with pytest.raises(KickoffError, match=r"required in every environment, and .* staging alone"):
        parse(text, "configs/service.yml")


def test_own_checks_are_demanded_where_they_run() -> None:
    own = "checks: [{name: one, run: [x]}, {name: two, run: [x], in: [staging]}]"
    found = parse(MINIMAL.replace("required_checks: []", f"required_checks: []\n{own}"), "x")
    assert found.checks_for("staging") == ("check-one", "check-two")
    assert found.checks_for("production") == ("check-one",)
