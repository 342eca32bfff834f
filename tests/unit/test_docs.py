"""The documentation: links and anchors that lead somewhere, pages that are found, scripts that run as they are printed."""

import os
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "docs" / "site.py"))


def test_every_link_within_the_repository_leads_somewhere(site: dict[str, Any]) -> None:
    count, wrong = site["broken"](ROOT)
    assert wrong == []
    assert count > 200


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[a](gone.md)", "docs/a.md:3: gone.md is not there"),
        ("[a](b.md#nothing)", "docs/a.md:3: b.md#nothing has no such heading"),
        ("[a](#nothing)", "docs/a.md:3: #nothing has no such heading"),
        ("[a](../../outside.md)", "docs/a.md:3: ../../outside.md is not there"),
        ("[a](b.md#the-1st-heading)", ""),
        ("[a](b.md) [b](../Makefile) [c](../docs) [d](https://example.org/gone) [e](#title)", ""),
        ("`[a](gone.md)`", ""),
        ("```\n[a](gone.md)\n```", ""),
    ],
)
def test_a_link_that_leads_nowhere_is_found(
    site: dict[str, Any], tmp_path: Path, written: str, said: str
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "Makefile").touch()
    (tmp_path / "README.md").write_text("# Mine\n")
    (tmp_path / "docs" / "a.md").write_text(f"# Title\n\n{written}\n")
    (tmp_path / "docs" / "b.md").write_text("# Other\n\n## The 1st `heading`\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    _, wrong = site["broken"](tmp_path)
    assert wrong == ([said] if said else [])


def test_every_page_has_one_place_in_the_site_and_every_link_keeps_its_goal(
    site: dict[str, Any], tmp_path: Path
) -> None:
    made = site["lay_out"](ROOT, tmp_path)
    nav = site["configuration"](ROOT, tmp_path)["nav"]
    listed = [page for section in nav for pages in section.values() for page in pages]
    there = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.md")]
    assert sorted(listed) == sorted(there) and len(listed) == made
    assert all(pages for section in nav for pages in section.values())
    for page in there:
        text = (tmp_path / page).read_text("utf-8")
        assert not re.search(r"^\|.*`[^`]*\\\|[^`]*`.*\|$", text, re.M), f"{page}: a backslash would be shown"
        for link in site["links"](page, text, tmp_path):
            assert (tmp_path / link.path).is_file(), f"{page}: {link.written}"


def test_the_site_asks_no_other_host(site: dict[str, Any], tmp_path: Path) -> None:
    theme = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["theme"]
    assert theme["font"] is False
    page = tmp_path / "index.html"
    page.write_text('<a href="https://a.example"></a><script src="own.js"></script>')
    assert site["foreign"](tmp_path) == []
    page.write_text('<link rel="stylesheet" href="https://fonts.example/a.css">')
    assert len(site["foreign"](tmp_path)) == 1


def test_a_diagram_is_told_in_words_where_nothing_draws_it(site: dict[str, Any], tmp_path: Path) -> None:
    chart = 'flowchart LR\n    plan --> check["quality gate"] --> build\n'
    assert site["told"](chart) == "- **plan** → quality gate → build\n"
    assert site["told"]("flowchart TD\n    a --> b\n    a --> c\n    b --> c\n") == (
        "- **a** → b, c\n- **b** → c\n"
    )
    site["lay_out"](ROOT, tmp_path)
    text = (tmp_path / "architecture.md").read_text("utf-8")
    assert "mermaid" not in text
    assert "→ quality gate → build →" in text
    assert re.search(r"^- \*\*cli\*\* → checks, commands, demo, ", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["operations.md", "troubleshooting.md", "reference/exit-codes.md"])
def test_the_manuals_are_found_from_the_readme(site: dict[str, Any], name: str) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert f"docs/{name}" in {link.path for link in site["links"]("README.md", text, ROOT)}


def test_a_script_that_is_a_program_runs_as_it_is_printed(site: dict[str, Any]) -> None:
    files = site["tracked"](ROOT)
    programs = [name for name in files if name.startswith(("scripts/", "requirements/")) and begins(name)]
    assert len(programs) > 10
    assert [name for name in programs if not os.access(ROOT / name, os.X_OK)] == []
    named = {
        found
        for name in files
        if name.endswith(".md")
        for found in re.findall(
            r"\b(?:scripts|requirements)/[\w/-]+\.(?:py|sh)\b", (ROOT / name).read_text("utf-8")
        )
    }
    assert len(named) > 5
    assert sorted(named - set(programs) - GONE) == []


GONE = {"scripts/setup/protect_environments.py"}
"""What only the list of changes names: it is a verb now."""


def begins(name: str) -> bool:
    with (ROOT / name).open("rb") as file:
        return file.read(2) == b"#!"
