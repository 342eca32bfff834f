#!/usr/bin/env python3
"""Build the site of the documentation from the pages as they stand in the repository: `make docs`.

What is read on GitHub is the source. README.md becomes the first page, `docs/` the rest, an action's README
its page. A link to anything else of the repository, such as a workflow, leads to a page that shows that file.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import yaml

from kickoff.errors import ExitCode, KickoffError
from kickoff.program import run

CONFIGURATION = "mkdocs.yml"
STYLE = "assets/site.css"
_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_DIAGRAM = re.compile(r"^```mermaid\nflowchart .*?\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
"""A row of a table: in code, GitHub wants ``|`` behind a backslash, and the builder shows the backslash."""
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(?<!\\)\]\(([^()\s]+)\)")
_LANGUAGES = {".yml": "yaml", ".json": "json", ".py": "python", ".env": "ini"}


class Link(NamedTuple):
    """A link of a page to something in the repository.

    Attributes:
        page: The page, by its path in the repository.
        line: Where it stands.
        path: What it leads to, by its path; a folder with a README leads to that.
        anchor: The heading there; may be empty.
        written: What stands in the parentheses.
    """

    page: str
    line: int
    path: str
    anchor: str
    written: str


def tracked(root: Path) -> list[str]:
    """Return every file of the repository by its path."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=True).stdout
    return sorted(name for name in listed.splitlines() if (root / name).is_file())


def pages(files: list[str]) -> dict[str, str]:
    """Return the place in the site of every page, by its path in the repository."""
    found = {"README.md": "index.md"}
    for name in files:
        path = PurePosixPath(name)
        if path.suffix == ".md" and path.parts[0] == "docs":
            found[name] = str(path.relative_to("docs"))
        elif name.startswith("actions/") and path.name == "README.md":
            found[name] = f"actions/{path.parent.name}.md"
        elif path.suffix == ".md" and path.parent == PurePosixPath():
            found.setdefault(name, name)
        elif path.suffix == ".md" and path.parts[0] == "benchmarks":
            found[name] = f"{path.parent}/index.md"
    return found


def prose(text: str) -> str:
    """Return a page with its code blanked out, every character else in its place."""
    for pattern in (_FENCE, _CODE):
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def links(page: str, text: str, root: Path) -> Iterator[Link]:
    """Yield the links of a page that stay in the repository."""
    for found in _LINK.finditer(prose(text)):
        written = text[found.start(1) : found.end(1)]
        if re.match(r"[a-z]+:", written):
            continue
        name, _, anchor = written.partition("#")
        path = os.path.normpath(PurePosixPath(page).parent / name) if name else page
        if (root / path / "README.md").is_file():
            path = f"{path}/README.md"
        yield Link(page, text.count("\n", 0, found.start()) + 1, path, anchor, written)


def anchors(text: str) -> set[str]:
    """Return the names by which headings are reached; they are the same on GitHub and in the site."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.*?)(?: +#+)?$", _FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    return {
        name if not number else f"{name}-{number}"
        for name, last in found.items()
        for number in range(last + 1)
    }


def broken(root: Path) -> tuple[int, list[str]]:
    """Return how many links were looked at, and a line for each that leads nowhere."""
    files = tracked(root)
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    texts = {page: (root / page).read_text(encoding="utf-8") for page in pages(files)}
    found = [link for page, text in texts.items() for link in links(page, text, root)]
    wrong = []
    for link in found:
        if link.path not in files and link.path not in folders:
            wrong.append(f"{link.page}:{link.line}: {link.written} is not there")
        elif link.anchor and link.anchor not in anchors(texts.get(link.path, "")):
            wrong.append(f"{link.page}:{link.line}: {link.written} has no such heading")
    return len(found), wrong


def lay_out(root: Path, folder: Path) -> int:
    """Write the pages as the builder wants them; return how many there are."""
    files = tracked(root)
    places = pages(files)
    shown: dict[str, str] = {}
    for page, place in places.items():
        text = (root / page).read_text(encoding="utf-8")
        for link in sorted(links(page, text, root), key=lambda link: -len(link.written)):
            asset = link.path.startswith("docs/") and not link.path.endswith(".md")
            where = places.get(link.path) or (link.path[5:] if asset else f"files/{link.path.lstrip('.')}.md")
            if where.startswith("files/"):
                shown[link.path] = where
            here = PurePosixPath(place).parent
            name = "" if link.written.startswith("#") else os.path.relpath(where, here)
            target = f"{name}#{link.anchor}" if link.anchor else name
            text = text.replace(f"]({link.written})", f"]({target})")
        text = _ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0]), text)
        _write(folder / place, _DIAGRAM.sub(lambda found: told(found[1]), text))
    for name in files:
        if name.startswith("docs/") and not name.endswith(".md"):
            _write(folder / name[5:], (root / name).read_bytes())
    for path, where in shown.items():
        parts = [name for name in files if name == path or name.startswith(f"{path}/")]
        _write(folder / where, f"# {path}\n" + "".join(_block(root, name, len(parts) > 1) for name in parts))
    return len(places) + len(shown)


def told(diagram: str) -> str:
    """Return a Mermaid flowchart as text: what draws one on a page would come from another host."""
    names = dict(re.findall(r"([\w-]+)\[\"([^\"]*)\"\]", diagram))
    chains = [re.sub(r"\[\".*?\"\]", "", row).split(" --> ") for row in diagram.splitlines() if "-->" in row]
    groups: dict[str, list[str]] = {}
    for first, *others in ([names.get(node.strip(), node.strip()) for node in chain] for chain in chains):
        groups.setdefault(first, []).append(" → ".join(others))
    return "".join(f"- **{first}** → {', '.join(others)}\n" for first, others in groups.items())


def _block(root: Path, name: str, named: bool) -> str:
    """Return a file as a block of code, below its name where a page shows several."""
    text = (root / name).read_text(encoding="utf-8").rstrip("\n")
    heading = f"\n## {name}\n" if named else ""
    return f"{heading}\n~~~~{_LANGUAGES.get(PurePosixPath(name).suffix, 'text')}\n{text}\n~~~~\n"


def configuration(root: Path, folder: Path) -> Mapping[str, Any]:
    """Return the builder's configuration, with the pages that each pattern of `nav` names: each page once."""
    known: dict[str, Any] = yaml.safe_load((root / CONFIGURATION).read_text(encoding="utf-8"))
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.md"))
    nav = []
    for section in known["nav"]:
        [(title, patterns)] = section.items()
        chosen: list[str] = []
        for pattern in patterns:
            whole = {name for name in left if pattern == "**" or name.count("/") == pattern.count("/")}
            taken = [name for name in left if fnmatch(name, pattern) and name in whole]
            left = [name for name in left if name not in taken]
            chosen += taken
        nav.append({title: chosen})
    return {**known, "nav": nav}


def main() -> int:
    """Check every link, lay the pages out and build the site; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / ".kickoff" / "site",
        metavar="DIR",
        help="default: .kickoff/site",
    )
    arguments = parser.parse_args()
    count, wrong = broken(ROOT)
    if wrong:
        raise KickoffError(f"{len(wrong)} links lead nowhere", code=ExitCode.REJECTED, causes=wrong)
    folder = arguments.output.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    laid = lay_out(ROOT, folder / "pages")
    _write(folder / "pages" / STYLE, Path(__file__).with_name("site.css").read_bytes())
    made = yaml.safe_dump(dict(configuration(ROOT, folder / "pages")), allow_unicode=True, sort_keys=False)
    _write(folder / CONFIGURATION, made)
    # In an environment of its own: what ships things needs none of it.
    home = bootstrap.create(str(ROOT / ".kickoff" / "docs"), ["docs"])
    command = [f"{home}/bin/zensical", "build", "--strict", "--clean", "--config-file", CONFIGURATION]
    done = subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise KickoffError(
            f"the builder found mistakes (exit code {done.returncode})", code=ExitCode.REJECTED
        )
    asked = foreign(folder / "html")
    if asked:
        raise KickoffError("pages ask other hosts", code=ExitCode.REJECTED, causes=asked)
    sys.stdout.write(f"{laid} pages, {count} links: {folder / 'html' / 'index.html'}\n")
    return ExitCode.PASS


def foreign(folder: Path) -> list[str]:
    """Return a line for each script, style or picture that a built page would load from another host."""
    tag = r"<(?:script|img|iframe|link rel=\"?(?:stylesheet|preconnect|icon))"
    loads = re.compile(tag + r"[^>]*?(?:src|href)=\"?(?:https?:)?//[^\">]+")
    return [
        f"{path.relative_to(folder)}: {found}"
        for path in sorted(folder.rglob("*.html"))
        for found in loads.findall(path.read_text(encoding="utf-8"))
    ]


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


if __name__ == "__main__":
    sys.exit(run(main))
