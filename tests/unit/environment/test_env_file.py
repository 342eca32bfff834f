"""Places are exact, whatever the line ends, quotes and blank lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff.environment import env_file


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places(end: str) -> None:
    text = end.join(
        ["# comment", "", "", "A=1", "  B=2", "C='three'  # note", 'D="4"', "", "E=", "F=a#b", "G=a #b"]
    )
    found = env_file.parse(text, "x.env")
    places = {key: (entry.line, entry.column, entry.value_column) for key, entry in found.entries.items()}
    assert places == {
        "A": (4, 1, 3),
        "B": (5, 3, 5),
        "C": (6, 1, 4),
        "D": (7, 1, 4),
        "E": (9, 1, 3),
        "F": (10, 1, 3),
        "G": (11, 1, 3),
    }
    assert {key: entry.text for key, entry in found.entries.items()} == {
        "A": "1", "B": "2", "C": "three", "D": "4", "E": "", "F": "a#b", "G": "a",
    }  # fmt: skip
    assert found.findings == []
    assert found.lines == 11


def test_findings_have_the_place_of_the_mistake() -> None:
    text = "A=1\nA=2\nB=x${C\nnonsense\n\nD='open\nE=1\n"
    found = env_file.parse(text, "x.env").findings
    assert [(one.place, one.rule) for one in found] == [
        ("x.env:2:1", "duplicate-key"),
        ("x.env:3:4", "expansion"),
        ("x.env:4:1", "syntax"),
        ("x.env:6:4", "syntax"),
    ]


def test_byte_order_mark_is_accepted(tmp_path: object) -> None:
    found = env_file.parse("\ufeffA=1\n".encode().decode("utf-8-sig"), "x.env")
    assert found.entries["A"].column == 1


def test_a_file_too_long_is_refused() -> None:
    found = env_file.parse("#" * 200_000, "x.env")
    assert [one.rule for one in found.findings] == ["syntax"]


def test_single_quotes_keep_a_dollar_sign() -> None:
    found = env_file.parse("A='${B}'\nC=\"${B}\"\n", "x.env")
    assert list(found.entries["A"].template.references()) == []
    assert [reference.name for reference in found.entries["C"].template.references()] == ["B"]


@pytest.mark.parametrize(
    "line",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "9fK2mQ7xLp4Zt8Rv1Wb6Ny3Hc5==",
        "NOTE=ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE=1",
        "NOTE='ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        'NOTE="g\\hp_x" ghp_16C7e42F292c6912E7710c838347Ae178B4a',
    ],
)
def test_what_may_be_a_secret_is_never_repeated(line: str) -> None:
    found = env_file.parse(line + "\n", "x.env").findings
    text = "\n".join(map(str, found))
    assert found
    assert "AKIA" not in text
    assert "9fK2" not in text
    assert "ghp_" not in text


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    found = env_file.parse(text, "x.env")
    assert all(1 <= finding.line <= found.lines + 1 and finding.column >= 1 for finding in found.findings)
