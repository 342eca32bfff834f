"""Files of lines, read from either end."""

from pathlib import Path

import pytest

from kickoff.release.stores import lines


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a\n",
        b"a\nbb\n\nccc\n",
        b"a\nb\ntorn",
        b"torn",
        b"\n",
        "ü\n\u2028\n".encode(),
        b"x" * 99 + b"\n" + b"y" * 7,
    ],
)
@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 16])
def test_newest_first_is_the_reverse_of_all_complete_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, block: int
) -> None:
    monkeypatch.setattr(lines, "_BLOCK", block)
    path = tmp_path / "lines"
    path.write_bytes(content)
    assert list(lines.newest_first(path)) == lines.read(path)[::-1]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert list(lines.newest_first(tmp_path / "none")) == lines.read(tmp_path / "none") == []


def test_the_newest_line_of_a_large_file_costs_one_block(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # a terabyte of nothing: reading it all would never end
        stream.seek(0, 2)
        stream.write(b"\nolder\nnewest\n")
    found = lines.newest_first(path)
    assert [next(found), next(found)] == [b"newest", b"older"]
