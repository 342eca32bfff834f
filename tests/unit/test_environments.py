"""The environments a service declares: what reaches them, whose proof they demand, and every mistake at its line."""

import fnmatch
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff import environments, plan, service
from kickoff.environments import DEFAULT, DeclaredEnvironment, proving, resolve
from kickoff.errors import ExitCode, KickoffError

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = """\
name: shop
bundle: [shop]
processes: {web: {command: [python, -m, shop, --port, "{port}"]}}
health: {live: /live, ready: /ready}
required_checks: [smoke-candidate]
smoke: [{name: home, path: /}]
"""
FOREIGN = """\
environments:
  play:
  test: {branch: develop}
  trial: {tag: "rc-*", after: test, required_checks: [perf-baseline]}
  live: {tag: "v*", after: trial}
"""


def declared(text: str) -> tuple[DeclaredEnvironment, ...]:
    return service.parse(MINIMAL + text, "kickoff.yml").environments


def test_left_out_they_are_three_with_the_repositorys_default_branch() -> None:
    assert declared("") == DEFAULT
    for branch in ("main", "master"):
        assert [(one.name, one.branch, one.tag, one.after) for one in resolve(DEFAULT, branch)] == [
            ("development", "", "", ""),
            ("staging", branch, "", ""),
            ("production", "", "v*", "staging"),
        ]


def test_any_names_are_kept_in_promotion_order() -> None:
    found = declared(FOREIGN)
    assert [one.name for one in found] == ["play", "test", "trial", "live"]
    assert [one.at for one in found] == [f"kickoff.yml:{line}" for line in (8, 9, 10, 11)]
    assert proving(found) == {"test", "trial"}


@pytest.mark.parametrize(
    ("event", "ref", "inputs", "where", "after"),
    [
        ("push", "refs/heads/develop", {}, ("test",), ""),
        ("push", "refs/heads/master", {}, (), ""),
        ("push", "refs/tags/rc-1", {}, ("trial",), "test"),
        ("push", "refs/tags/rc", {}, (), ""),
        ("push", "refs/tags/v1.2.3", {}, ("live",), "trial"),
        ("push", "refs/tags/v1/2", {}, (), ""),
        ("push", "refs/heads/v1", {}, (), ""),
        ("workflow_dispatch", "refs/heads/topic", {"environment": "play"}, ("play",), ""),
        ("workflow_dispatch", "refs/heads/topic", {"environment": "live"}, ("live",), "trial"),
        ("pull_request", "refs/tags/v1", {}, (), ""),
    ],
)
def test_the_plan_follows_them(
    event: str, ref: str, inputs: dict[str, str], where: tuple[str, ...], after: str
) -> None:
    found = plan.decide(
        event=event,
        ref=ref,
        inputs=inputs,
        declared=declared(FOREIGN),
        default_branch="master",
        commit="a" * 40,
    )
    assert (found.deployments, found.after) == (where, after)


def test_promote_demands_the_further_checks_of_an_environment() -> None:
    described = service.parse(MINIMAL + FOREIGN, "kickoff.yml")
    assert described.checks_for("trial") == ("smoke-candidate", "perf-baseline")
    assert described.checks_for("live") == ("smoke-candidate",)


def test_an_environment_of_which_nothing_is_declared_demands_nothing() -> None:
    found = service.parse(MINIMAL, "kickoff.yml").declared("demo")
    assert (found.name, found.after, found.branch, found.tag) == ("demo", "", "", "")


@pytest.mark.parametrize(
    ("entries", "line", "words", "hint"),
    [
        ("  a:\n  b: {after: c}\n", 9, "b comes after 'c', which is not declared", "name one of a, b"),
        ("  a: {after: a}\n", 8, "a after a", "leave one `after` out"),
        (
            "  a: {after: c}\n  b:\n    after: a\n  c: {after: b}\n",
            8,
            "a after c after b after a",
            "leave one",
        ),
        (
            "  a: {branch: x}\n  b:\n    branch: x\n",
            10,
            "a push to x would reach a and b",
            "one `branch` out",
        ),
        (
            "  a: {branch: HEAD}\n  b: {branch: HEAD}\n",
            9,
            "a push to HEAD would reach a and b",
            "one `branch`",
        ),
        ('  a: {tag: "v*"}\n  b: {tag: "v1*"}\n', 9, "one tag can match 'v*' of a and 'v1*' of b", "exact"),
        ('  a: {tag: "v*"}\n  b: {tag: "*-rc"}\n', 9, "'*-rc' of b", "exact"),
        ("  a:\n  proofs:\n", 9, "no environment can be called proofs", "choose another name"),
        ("  A: {}\n", 7, "'A' does not match", "service.md"),
        ("  a: {branch: 'x y'}\n", 8, "'x y' does not match", "service.md"),
        ('  a: {branch: "it\'s"}\n', 8, "does not match", "service.md"),
        ('  a: {tag: "v*-*"}\n', 8, "'v*-*' does not match", "service.md"),
        ('  a: {tag: "v[0-9]"}\n', 8, "does not match", "service.md"),
        ("  a: {befor: b}\n", 8, "'befor' was unexpected", "service.md"),
        ("  a: {required_checks: [vibes]}\n", 8, "vibes", "service.md"),
        ("  {}\n", 7, "non-empty", "service.md"),
    ],
)
def test_a_mistake_is_refused_at_its_line(entries: str, line: int, words: str, hint: str) -> None:
    with pytest.raises(KickoffError) as error:
        declared(f"environments:\n{entries}")
    assert (error.value.code, error.value.at) == (ExitCode.BAD_INPUT, f"kickoff.yml:{line}")
    assert words in str(error.value)
    assert hint in error.value.hint


def test_the_default_branch_can_be_named_twice_without_being_the_same_word() -> None:
    found = declared("environments:\n  a: {branch: HEAD}\n  b: {branch: trunk}\n")
    assert [one.branch for one in resolve(found, "main")] == ["main", "trunk"]
    with pytest.raises(KickoffError, match="a push to trunk would reach a and b") as error:
        resolve(found, "trunk")
    assert error.value.at == "kickoff.yml:9"


def test_a_declared_environment_needs_its_file_and_a_default_one_does_not(tmp_path: Path) -> None:
    folder = Path("configs/environments")
    environments.require_files(DEFAULT, tmp_path, folder)
    (tmp_path / folder).mkdir(parents=True)
    for name in ("play", "test", "live"):
        (tmp_path / folder / f"{name}.env").touch()
    with pytest.raises(KickoffError, match=r"configs/environments/trial\.env is missing") as error:
        environments.require_files(declared(FOREIGN), tmp_path, folder)
    assert (error.value.code, error.value.at) == (ExitCode.BAD_INPUT, "kickoff.yml:10")
    assert "`kickoff env template --env trial`" in error.value.hint


def test_a_functional_test_that_an_environment_demands_must_run_there() -> None:
    text = "functional: {name: x, run: [x], in: [a]}\nenvironments:\n  a:\n  b: {required_checks: [functional-candidate]}\n"
    with pytest.raises(KickoffError, match="required in b, and the functional test runs in a alone"):
        declared(text)


PATTERNS = st.from_regex(r"[ab/]{0,3}\*?[ab/]{0,3}", fullmatch=True).filter(bool)


@given(PATTERNS, PATTERNS, st.from_regex(r"[ab/]{1,6}", fullmatch=True))
def test_a_tag_that_matches_two_patterns_shows_that_they_overlap(one: str, other: str, tag: str) -> None:
    first, second = (DeclaredEnvironment("x", tag=pattern) for pattern in (one, other))
    assert first.takes_tag(tag) <= fnmatch.fnmatchcase(tag, one)
    if first.takes_tag(tag) and second.takes_tag(tag):
        assert environments._overlap(one, other)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("v*", "rc-*", False),
        ("a*", "a/*", False),
        ("a*b", "a*c", False),
        ("v1", "v1", True),
        ("a*", "*b", True),
    ],
)
def test_patterns_overlap_when_one_tag_can_match_both(one: str, other: str, *, overlap: bool) -> None:
    assert environments._overlap(one, other) is environments._overlap(other, one) is overlap
