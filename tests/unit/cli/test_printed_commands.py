"""Every command that is printed, in hints, documents and reports, is one that the real parser takes."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kickoff.cli.main import parse
from kickoff.cli.verbs import VERBS

ROOT = Path(__file__).resolve().parents[3]
PROSE = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "actions").rglob("*.md")]
GONE = re.compile(
    r"(?<!\w)(release|environment-loader|stack|promotion|prove|plan|pipeline|doctor|build_image|build_bundle"
    r"|drift_issue|protect_environments)\.py\b"
)
# What is quoted, or stands after the word that a block of text puts before a command.
QUOTED = re.compile(
    r"`(kickoff [^`]+)`|^\s*(?:start |next |undo )?:?\s*(kickoff (?:{})\b.*)$".format("|".join(VERBS)), re.M
)
SHELL = re.compile(
    r"^(?:[A-Z_]+=\S+ )*(?:\S*/)?(kickoff (?:--project \S+ )?[a-z].*?)(?:\s+#.*)?$", re.MULTILINE
)


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module that people may see; what is formatted into them is one word."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    whole = (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.Expr))
    parts = {id(child) for node in whole for child in ast.walk(node) if child is not node}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = (p.value if isinstance(p, ast.Constant) else "word" for p in node.values)
            yield node.lineno, "".join(map(str, words))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def from_source() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "src" / "kickoff").rglob("*.py")):
        if path.parent.name == "cli":
            continue  # what it prints of a verb is made of the verb
        for line, text in literals(path):
            for found in QUOTED.finditer(text):
                yield f"{path.relative_to(ROOT)}:{line}", found[1] or found[2]


def from_documents() -> Iterator[tuple[str, str]]:
    for path in PROSE:
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        for block in re.findall(r"^```(?:sh|ini|yaml)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            joined = block.replace("\\\n", " ")
            for found in SHELL.finditer(joined):
                yield name, found[1]
        for found in re.finditer(r"`(kickoff [^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)):
            yield name, found[1]


def from_workflows() -> Iterator[tuple[str, str]]:
    for path in [*(ROOT / ".github").rglob("*.yml"), *(ROOT / "actions").rglob("action.yml")]:
        text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
        text = re.sub(r"run: >-\n((?:\s{8,}.*\n)+)", lambda m: " ".join(m[1].split()) + "\n", text)
        for found in re.finditer(r"python3 \S*src/kickoff\"? (.*)$", text, re.MULTILINE):
            if (
                "${arguments[@]}" not in found[1]
            ):  # those are put together in the shell, and run by act's tests
                given = re.sub(
                    r"\$[A-Z_]+_SECONDS", "0", found[1]
                )  # a variable stands for a word, or a number
                given = given.replace("$PERF_ALLOW_ONCE", "tracing costs 15 %")
                yield str(path.relative_to(ROOT)), f"kickoff {given}"


def from_examples() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "src" / "kickoff" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                first = node.value.split(" ")[0]
                if first in VERBS and " --" in node.value and "\n" not in node.value:
                    yield f"{path.name}:{node.lineno}", f"kickoff {node.value}"


def prepared(command: str) -> list[str]:
    words = shlex.split(re.sub(r"sha256:…|[0-9a-f]+…", "word", command).rstrip(".,;"))
    for end in (";", "&&", "||", "|", ">", ">>", "then"):
        words = words[: words.index(end)] if end in words else words
    known = {"fromJSON": "1"}
    return [known.get(word, word) for word in words[1:]]


def commands() -> list[tuple[str, str]]:
    return [*from_source(), *from_documents(), *from_workflows(), *from_examples()]


def test_enough_is_collected() -> None:
    assert len(list(from_source())) > 25
    assert len(list(from_documents())) > 40
    assert len(list(from_workflows())) > 10
    assert len(list(from_examples())) > 25


@pytest.mark.parametrize(("place", "command"), dict.fromkeys(commands()), ids=str)
def test_a_printed_command_is_one(place: str, command: str) -> None:
    words = prepared(command)
    if {"--help", "--version", "VERB"} & set(words):
        return
    if place.endswith(".md") and len(words) <= 2 and not any(word.startswith("-") for word in words):
        assert words[0] in VERBS  # a verb that is talked about
        return
    parse(words)


def test_no_script_of_before_is_named() -> None:
    where = ["src", "docs", "actions", "configs", ".github", "README.md", "CONTRIBUTING.md", "*.yml"]
    listed = subprocess.run(
        ["git", "ls-files", *where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    named = [
        f"{name}:{number}: {line.strip()[:90]}"
        for name in listed
        if name.endswith((".py", ".md", ".yml")) and (ROOT / name).is_file()
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if GONE.search(line) and "src/kickoff/" not in line
    ]
    assert named == []
