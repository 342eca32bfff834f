"""The changes: versions newest first, groups in their order, and what is being developed at the top."""

import re
from pathlib import Path

from kickoff import __version__

TEXT = (Path(__file__).resolve().parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
GROUPS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
"""In this order: https://keepachangelog.com."""


def test_the_version_of_the_package_stands_at_the_top_and_only_it_may_be_unreleased() -> None:
    headings = [re.fullmatch(r"(\d+\.\d+\.\d+) - (unreleased|\d{4}-\d\d-\d\d)", one) for one, _ in SECTIONS]
    found = [(one[1], one[2]) for one in headings if one]
    assert len(found) == len(SECTIONS) > 1
    version, _, development = __version__.partition(".dev")
    assert found[0][0] == version
    assert (found[0][1] == "unreleased") is bool(development)
    dates = [date for _, date in found[bool(development) :]]
    assert "unreleased" not in dates
    assert dates == sorted(dates, reverse=True)
    numbers = [[int(part) for part in one.split(".")] for one, _ in found]
    assert numbers == sorted(numbers, reverse=True)


def test_every_section_has_its_groups_in_order_and_each_says_something() -> None:
    for heading, body in SECTIONS:
        parts = re.split(r"^### (.+)\n", body, flags=re.M)
        names = parts[1::2]
        assert names, heading
        assert names == [one for one in GROUPS if one in names], heading
        for name, text in zip(names, parts[2::2], strict=True):
            entries = re.findall(r"^- (.+(?:\n  .+)*)$", text, re.M)
            assert entries, f"{heading}: {name}"
            assert text.strip().splitlines() == "\n".join(f"- {one}" for one in entries).splitlines(), heading
            assert [one for one in entries if not one.endswith((".", ")"))] == []


def test_nothing_is_said_twice() -> None:
    entries = re.findall(r"^- (.+(?:\n  .+)*)$", TEXT, re.M)
    assert len(entries) == len(set(entries))
