"""References expand to what a POSIX shell makes of them, and circles are reported."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickoff.environment.expansion import ExpansionError, Resolver, Template, literal, parse


def resolve(text: str, **others: str) -> str | None:
    templates = {"KEY": parse(text)} | {name: parse(value) for name, value in others.items()}
    return Resolver(templates, lambda _key, _name: None).resolve("KEY")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${A}z", "xoneyonez"),
        ("${EMPTY}", ""),
        ("${EMPTY:-spare}", "spare"),
        ("${NONE:-spare}", "spare"),
        ("${NONE:-}", ""),
        ("${NONE:-${A}}", "one"),
        ("${NONE:-a${NONE:-b${A}c}d}", "abonecd"),
        ("${A:-spare}", "one"),
        ("}{", "}{"),
        ("${A}}", "one}"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert resolve(text, A="one", EMPTY="") == expanded


def test_unset_reference_makes_the_whole_value_unset() -> None:
    assert resolve("a${NONE}b") is None
    assert resolve("${A}", A="${NONE}") is None


def test_what_comes_from_outside_is_not_expanded_again() -> None:
    resolver = Resolver({"KEY": parse("${OUT}")}, lambda _key, _name: "${KEY}$x")
    assert resolver.resolve("KEY") == "${KEY}$x"


def test_literal_keeps_dollar_signs() -> None:
    assert Resolver({"KEY": literal("${A}$")}, lambda _key, _name: None).resolve("KEY") == "${A}$"
    assert literal("") == Template(())


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("$A", 0),
        ("a$", 1),
        ("ab${", 2),
        ("${}", 0),
        ("${A", 0),
        ("${A-b}", 0),
        ("${A:?b}", 0),
        ("${1}", 0),
        ("x${A:-$}", 6),
    ],
)
def test_other_forms_are_refused_at_their_place(text: str, offset: int) -> None:
    with pytest.raises(ExpansionError) as caught:
        parse(text)
    assert caught.value.rule == "expansion"
    assert caught.value.offset == offset


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ExpansionError, match="nested"):
        parse("${A:-" * 2000 + "}" * 2000)


@pytest.mark.parametrize("size", [2, 3, 20])
def test_circle_of_any_size_names_its_keys(size: int) -> None:
    templates = {f"K{i}": parse(f"${{K{(i + 1) % size}}}") for i in range(size)}
    with pytest.raises(ExpansionError) as caught:
        Resolver(templates, lambda _key, _name: None).resolve("K0")
    assert caught.value.rule == "cycle"
    assert str(caught.value).count("K") == size + 1


def test_doubling_ends_early() -> None:
    templates = {f"K{i}": parse(f"${{K{i + 1}}}" * 2) for i in range(60)} | {"K60": parse("x")}
    with pytest.raises(ExpansionError, match="grows"):
        Resolver(templates, lambda _key, _name: None).resolve("K0")


WORDS = st.text("abc-:/.", max_size=4)
NAMES = st.sampled_from(["A", "EMPTY", "NONE"])
VALUES = st.recursive(
    WORDS, lambda inner: st.builds("{}${{{}:-{}}}{}".format, WORDS, NAMES, inner, WORDS), max_leaves=4
)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=5, max_size=20))
def test_a_shell_expands_the_same(texts: list[str]) -> None:
    script = "".join(f'printf "%s\\n" "{text}"\n' for text in texts)
    done = subprocess.run(
        ["/bin/sh", "-c", script], env={"A": "one", "EMPTY": ""}, capture_output=True, text=True, check=True
    )
    assert [resolve(text, A="one", EMPTY="") for text in texts] == done.stdout.split("\n")[:-1]
