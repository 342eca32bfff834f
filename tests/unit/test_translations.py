"""What is translated says as much as the English page: the same headings, code, tables, lists and links."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

DOCS = ROOT / "docs"
TRANSLATED = {"zh-CN": ("README.md", "tutorial.md", "operations.md", "troubleshooting.md")}
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#[^)\s]*)?\)")
_CHINESE = re.compile("[\u4e00-\u9fff]")


def english(name: str) -> Path:
    return ROOT / name if name == "README.md" else DOCS / name


def shape(text: str) -> dict[str, list[object]]:
    """Return what no translation may change: code, depth of headings, rows, points, and words in code."""
    prose = _BLOCK.sub("", text)
    return {
        "code": [found.groups() for found in _BLOCK.finditer(text)],
        "headings": re.findall(r"^(#+) ", prose, re.M),
        "cells": [line.count("|") for line in prose.splitlines() if line.startswith("|")],
        "points": re.findall(r"^ *(-|\d+\.) ", prose, re.M),
    }


def linked(path: Path, language: str) -> set[Path]:
    """Return the files that a page leads to; a page and its translation count as one."""
    found = set()
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in target or not target:
            continue
        place = (path.parent / target).resolve()
        if place.parent == DOCS / language:
            place = english(place.name)
        found.add(place)
    return found


@pytest.mark.parametrize(
    ("language", "name"), [(language, name) for language, names in TRANSLATED.items() for name in names]
)
def test_a_translation_says_what_the_english_page_says(language: str, name: str) -> None:
    source, translation = english(name), DOCS / language / name
    text = translation.read_text(encoding="utf-8")
    assert shape(text) == shape(source.read_text(encoding="utf-8"))
    both = {english(name), source}
    assert linked(translation, language) - both == linked(source, language) - both
    assert len(_CHINESE.findall(text)) > len(text) / 10
