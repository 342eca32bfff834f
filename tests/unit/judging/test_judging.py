"""The rules a release is judged by: where they come from, and which of two sets judges less."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff import judging
from kickoff.environment import schema as schemas
from kickoff.errors import KickoffError
from kickoff.judging import Change, Comparison, Rules
from kickoff.judging.collection import FIGURES

DESCRIPTION = """name: shop
run: [python, -m, shop, --port, "{port}"]
health: {live: /live, ready: /ready}
required_checks: [smoke-candidate, perf-baseline]
quality_gate:
  - {name: tests, run: pytest -q}
checks:
  - {name: contract, run: pytest contract}
smoke:
  - {name: orders, path: /orders, expect: {open: true}}
  - {name: root, path: /, contains: shop}
probe:
  - {name: ready, path: /ready}
  - {name: list, path: /orders}
load:
  - {path: /orders}
  - {path: /, weight: 5}
performance: {scenarios: scenarios.yml}
"""
SCENARIOS = """scenarios:
  busy: {users: 50, duration: 120s, target_rps: 20, max_error_rate: 1%, max_response_time: 500ms,
         shape: [{until: 100%, users: 100%}]}
objectives: {scenario: busy, mean: 100ms, p95: 400ms, error_rate: 1%, health_rps: 5, concurrent_users: 50}
"""
VALUES = {"PERF_SCENARIO": "busy", "PUBLIC_PORT": "8100", "ENVIRONMENT_CLASS": "production"}


class Project:
    """The files of a small project, each changed by replacing a text in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "configs/environments").mkdir(parents=True)
        self.description, self.scenarios, self.values = DESCRIPTION, SCENARIOS, dict(VALUES)

    def rules(self) -> Rules:
        """The rules of its environment."""
        (self.root / "kickoff.yml").write_text(self.description, "utf-8")
        (self.root / "scenarios.yml").write_text(self.scenarios, "utf-8")
        text = "".join(f"{key}={value}\n" for key, value in self.values.items())
        (self.root / "configs/environments/live.env").write_text(text, "utf-8")
        return judging.of_project(self.root, "live")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def describe(old: str, new: str = "") -> Callable[[Project], None]:
    def change(project: Project) -> None:
        assert old in project.description
        project.description = project.description.replace(old, new)

    return change


def load(old: str, new: str = "") -> Callable[[Project], None]:
    def change(project: Project) -> None:
        assert old in project.scenarios
        project.scenarios = project.scenarios.replace(old, new)

    return change


def give(key: str, value: str) -> Callable[[Project], None]:
    return lambda project: project.values.__setitem__(key, value)


WEAKENED = [
    (give("ERROR_RATE_THRESHOLD", "5%"), "ERROR_RATE_THRESHOLD: 1% → 5%"),
    (give("RESPONSE_TIME_THRESHOLD", "3s"), "RESPONSE_TIME_THRESHOLD: 1000ms → 3s"),
    (give("MEMORY_USAGE_THRESHOLD", "99%"), "MEMORY_USAGE_THRESHOLD: 85% → 99%"),
    (give("CPU_USAGE_THRESHOLD", "100%"), "CPU_USAGE_THRESHOLD: 80% → 100%"),
    (give("MEMORY_LIMIT", "2GiB"), "MEMORY_LIMIT: 1GiB → 2GiB"),
    (give("READY_TIMEOUT", "5m"), "READY_TIMEOUT: 60s → 5m"),
    (give("BAKE_TIME", "1s"), "BAKE_TIME: 60s → 1s"),
    (give("CANARY_HOLD", "1s"), "CANARY_HOLD: 30s → 1s"),
    (give("WATCH_TIME", "0s"), "WATCH_TIME: 5m → 0s"),
    (give("CANARY_STEPS", "50,100"), "CANARY_STEPS: 5,25,50,100 → 50,100"),
    (give("RELEASE_STRATEGY", "blue-green"), "RELEASE_STRATEGY: canary → blue-green"),
    (give("PROBE_RATE", "1"), "PROBE_RATE: 20 → 1"),
    (give("PERF_MAX_RPS", "5"), "PERF_MAX_RPS: 50 → 5"),
    (give("ALERTS_UNREADABLE", "warn"), "ALERTS_UNREADABLE: block → warn"),
    (describe("[smoke-candidate, perf-baseline]", "[perf-baseline]"), "check smoke-candidate: demanded → none"),
    (describe("[smoke-candidate, perf-baseline]", "[smoke-candidate]"), "check perf-baseline: demanded → none"),
    (describe("  - {name: contract, run: pytest contract}\n", "  - {name: other, run: 'true'}\n"),
     "check check-contract: demanded → none"),
    (describe("  - {name: root, path: /, contains: shop}\n"), "smoke root: GET /: 200 → none"),
    (describe(", contains: shop"), "smoke root · contains: shop → none"),
    (describe(", expect: {open: true}"), "smoke orders · expects open: true → none"),
    (describe("  - {name: list, path: /orders}\n"), "probe list: GET /orders: 200 → none"),
    (describe("  - {name: tests, run: pytest -q}\n", "  - {name: lint, run: ruff}\n"),
     "quality gate tests: pytest -q → none"),
    (describe("name: shop\n", "name: shop\nrelease_header: none\n"), "release header: X-Release → none"),
    (describe("name: shop\n", "name: shop\nexpected_client_errors: [404]\n"),
     "allowance for client error 404: none → given"),
    (describe("  - {path: /, weight: 5}\n"),
     "check perf-baseline · request GET /: 200, weight 5 → none"),
    (load("users: 50, duration", "users: 5, duration"), "check perf-baseline · users: 50 → 5"),
    (load("120s", "1s"), "check perf-baseline · duration: 2m → 1s"),
    (load("target_rps: 20", "target_rps: 1"), "check perf-baseline · requests a second: 20 → 1"),
    (load("max_error_rate: 1%", "max_error_rate: 9%"), "check perf-baseline · error rate: 1% → 9%"),
    (load("500ms", "5s"), "check perf-baseline · response time: 500ms → 5s"),
    (load("p95: 400ms", "p95: 4s"), "check perf-baseline · objective p95: 400ms → 4s"),
    (load(SCENARIOS.splitlines()[-1]), "check perf-baseline · objective p95: 400ms → none"),
    (load("objectives", "comparison: {p95: {margin: 40%, detect: 90%}}\nobjectives"),
     "check perf-baseline · p95 margin: 10% → 40%"),
    (load("objectives", "comparison: {power: 60%}\nobjectives"), "check perf-baseline · power: 95% → 60%"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), WEAKENED, ids=[told for _, told in WEAKENED])
def test_what_judges_less_is_named_first_and_its_return_is_stricter(
    project: Project, change: Callable[[Project], None], told: str
) -> None:
    before = project.rules()
    change(project)
    after = project.rules()
    found = judging.compare(before, after)
    assert f"{told} (weaker)" in map(str, found)
    assert found[0].change is Change.WEAKER
    back = {one.rule: one.change for one in judging.compare(after, before)}
    assert all(back[one.rule] is Change.STRICTER for one in found if one.change is Change.WEAKER)


def test_doubt_that_warns_is_weaker(project: Project) -> None:
    project.values |= {"ENVIRONMENT_CLASS": "development", "PERF_INCONCLUSIVE": "block"}
    before = project.rules()
    give("PERF_INCONCLUSIVE", "warn")(project)
    assert [str(one) for one in judging.compare(before, project.rules())] == [
        "PERF_INCONCLUSIVE: block → warn (weaker)"
    ]


def test_no_load_test_is_one_line_not_thirty(project: Project) -> None:
    before = project.rules()
    describe("load:\n  - {path: /orders}\n  - {path: /, weight: 5}\n", "load: none\n")(project)
    describe("[smoke-candidate, perf-baseline]", "[smoke-candidate]")(project)
    assert [str(one) for one in judging.compare(before, project.rules())] == [
        "check perf-baseline: demanded → none (weaker)"
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (give("ALERTS_LABELS", "release=other"), "ALERTS_LABELS: release=veto → release=other (other)"),
        (give("CANARY_STEPS", "10,100"), "CANARY_STEPS: 5,25,50,100 → 10,100 (other)"),
        (describe("pytest contract", "'true'"), "check check-contract · runs: pytest contract → true (other)"),
        (describe("path: /orders, expect", "path: /, expect"),
         "smoke orders: GET /orders: 200 → GET /: 200 (other)"),
    ],
)  # fmt: skip
def test_what_nobody_can_order_is_other(
    project: Project, change: Callable[[Project], None], told: str
) -> None:
    before = project.rules()
    change(project)
    assert [str(one) for one in judging.compare(before, project.rules())] == [told]


def test_the_proof_that_an_environment_demands_is_a_rule(project: Project) -> None:
    describe("name: shop\n", "name: shop\nenvironments: {first: {}, live: {after: first}}\n")(project)
    before = project.rules()
    describe("live: {after: first}", "live: {}")(project)
    assert [str(one) for one in judging.compare(before, project.rules())] == [
        "proof: of first → none (weaker)"
    ]


def test_the_same_value_in_other_words_is_no_change(project: Project) -> None:
    before = project.rules()
    project.values |= {"RESPONSE_TIME_THRESHOLD": "1s", "BAKE_TIME": "1m", "MEMORY_LIMIT": "1024MiB"}
    project.scenarios = project.scenarios.replace("500ms", "0.5s")
    assert judging.compare(before, project.rules()) == ()


def test_a_broken_load_test_matters_where_it_is_demanded_alone(project: Project) -> None:
    project.scenarios = "scenarios: 7\n"
    with pytest.raises(KickoffError, match=r"scenarios"):
        project.rules()
    describe("[smoke-candidate, perf-baseline]", "[smoke-candidate]")(project)
    assert "check perf-baseline" not in project.rules()


RULES = st.dictionaries(
    st.one_of(
        st.sampled_from([*judging.collection.keys(), *(f"check perf-baseline · {part}" for part in FIGURES)]),
        st.text(min_size=1, max_size=12),
    ),
    st.one_of(st.sampled_from(["1s", "5%", "5", "1GiB", "block", "5,100", ""]), st.text(max_size=9)),
)


@given(RULES)
def test_the_same_rules_differ_in_nothing(rules: dict[str, str]) -> None:
    assert judging.compare(rules, dict(rules)) == ()
    read = judging.recorded(json.loads(json.dumps(judging.record(rules))))
    assert read == rules


@given(RULES, RULES)
def test_to_and_fro_are_each_others_contrary(one: dict[str, str], other: dict[str, str]) -> None:
    contrary = {
        Change.WEAKER: Change.STRICTER, Change.STRICTER: Change.WEAKER, Change.OTHER: Change.OTHER
    }  # fmt: skip
    to = {found.rule: found.change for found in judging.compare(one, other)}
    fro = {found.rule: found.change for found in judging.compare(other, one)}
    assert {rule: contrary[change] for rule, change in to.items()} == fro


@pytest.mark.parametrize("document", [None, {}, [], {"version": 2, "rules": {}}, {"version": 1}, "rules"])
def test_what_was_not_recorded_is_said_and_never_no_change(document: object) -> None:
    rules = judging.recorded(document)
    assert rules is None
    found = Comparison.of("1111111-aaaaaaaa", rules, {"BAKE_TIME": "1s"})
    assert found.lines() == ["not compared with those of 1111111-aaaaaaaa: not recorded"]
    assert found.to_document() == {"before": "1111111-aaaaaaaa", "recorded": False, "changes": []}


def test_a_key_that_an_older_version_did_not_know_was_not_recorded() -> None:
    (found,) = judging.compare({"BAKE_TIME": "1s"}, {"BAKE_TIME": "1s", "ALERTS_UNREADABLE": "warn"})
    assert str(found) == "ALERTS_UNREADABLE: not recorded → warn (other)"


def test_a_value_that_this_version_does_not_know_is_other() -> None:
    (found,) = judging.compare({"ALERTS_UNREADABLE": "block"}, {"ALERTS_UNREADABLE": "shrug"})
    assert found.change is Change.OTHER


def test_a_comparison_tells_how_many_of_each_kind() -> None:
    old = {"BAKE_TIME": "60s", "PROBE_RATE": "20", "ALERTS_URL": ""}
    new = {"BAKE_TIME": "10s", "PROBE_RATE": "30", "ALERTS_URL": "http://a"}
    assert Comparison.of("r1", old, new).lines() == [
        "judged by other rules than r1: 1 weaker, 1 other, 1 stricter",
        "BAKE_TIME: 60s → 10s (weaker)",
        "ALERTS_URL: none → http://a (other)",
        "PROBE_RATE: 20 → 30 (stricter)",
    ]
    found = Comparison.of("r1", old, new)
    assert Comparison.from_document(json.loads(json.dumps(found.to_document()))) == found
    assert Comparison.of("r1", old, old).lines() == ["unchanged"]
    assert Comparison.of("", None, new).lines() == []


def test_every_mark_of_the_schema_is_one_that_is_understood() -> None:
    orders = {"lower", "higher", "fewer", "earlier", "later", "unclear"}
    assert {rules["x-weaker"] for rules in judging.collection.keys().values()} == orders
    for name, rules in judging.collection.keys().items():
        assert ("enum" in rules) == (rules["x-weaker"] in ("earlier", "later")), name
        assert (rules["type"] == "array") >= (rules["x-weaker"] == "fewer"), name


def test_the_keys_that_judge_nothing_are_these() -> None:
    # A new key of the pipeline has to be put on one side.
    assert set(schemas.parse("").pipeline) - set(judging.collection.keys()) == {
        "APP_ENV", "ENVIRONMENT_CLASS", "DEPLOY_TARGET", "DEPLOY_HOST", "PUBLIC_PORT", "DRAIN_TIMEOUT",
        "SHUTDOWN_GRACE", "HOOK_TIMEOUT", "KEEP_RELEASES", "STICKY_SESSIONS", "LOCK_TTL", "PROMOTE_WAIT",
        "PRIVATE_PATHS", "PUBLIC_TRACES", "DEPENDENCY_AUDIT_REASON", "EDGE_QUORUM", "NODE_ENGINES",
    }  # fmt: skip
