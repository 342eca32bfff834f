"""The lines of entries: found in every text whose content is read."""

import pytest

from kickoff import yaml_lines


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a: 1\nb:\n  c: 2\n", ["b", "c"], 3),
        ("a: 1\nb:\n  c: 2\n", ["b", "gone"], 2),
        ("smoke:\n  - {path: /?name=Ann, status: 200}\n  - name: x\n", ["smoke", 1, "name"], 3),
        ("smoke:\n  - {path: /?name=Ann, status: 200}\n", ["smoke", 0, "status"], 2),
    ],
)
def test_an_entry_is_found_where_it_stands(text: str, path: list[str | int], line: int) -> None:
    assert yaml_lines.load(text, "kickoff.yml")
    assert yaml_lines.line_of(text, path) == line
