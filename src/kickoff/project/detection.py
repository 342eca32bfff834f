"""Detection of what a repository holds: how its service is started, built and asked for its health."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kickoff import git
from kickoff.project import languages
from kickoff.project.files import Files

_HEALTH = ("/healthz", "/health", "/readyz", "/ready", "/livez", "/ping")
_PAIRS = (("/health/live", "/health/ready"), ("/livez", "/readyz"))
_SOURCES = (".py", ".js", ".mjs", ".cjs", ".ts", ".go", ".rb", ".rs", ".java", ".php", ".ex", ".cs")
_HEADER = re.compile(r"x-release", re.IGNORECASE)

Found = dict[str, Any]


def detect(root: Path) -> Found:
    """Return the answers that the repository at ``root`` gives by itself; only those that were found."""
    files = Files.read(root)
    found: Found = {"name": _name(root, files), "default_branch": default_branch(root)}
    for look in _LOOKS:
        for key, value in look(files).items():
            found.setdefault(key, value)
    found["health"] = "/" if found.get("language") == "static" else _health(files)
    if any(_HEADER.search(text) for text in _sources(files)):
        found["header"] = "X-Release"
    return {key: value for key, value in found.items() if value}


def default_branch(root: Path) -> str:
    """Return the branch that the remote calls its default, otherwise the one that is checked out."""
    for arguments in (("refs/remotes/origin/HEAD",), ("HEAD",)):
        done = git.run(root, "symbolic-ref", "--quiet", "--short", *arguments, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip().removeprefix("origin/")
    return "main"


def _procfile(files: Files) -> Mapping[str, Any]:
    found = re.search(r"^web:\s*(.+?)\s*$", files.text("Procfile"), re.MULTILINE)
    return {"run": languages.with_port(found[1])} if found else {}


def _dockerfile(files: Files) -> Mapping[str, Any]:
    words = re.findall(r"^(?:CMD|ENTRYPOINT)\s+(\[.*\])\s*$", files.text("Dockerfile"), re.MULTILINE)
    parts = [word for one in words for word in re.findall(r'"((?:[^"\\]|\\.)*)"', one)]
    return {"run": languages.with_port(" ".join(parts))} if parts else {}


# The first that answers a question wins.
_LOOKS: tuple[Callable[[Files], Mapping[str, Any]], ...] = (
    _procfile,
    languages.node,
    languages.python,
    languages.go,
    languages.static,
    _dockerfile,
)


def _name(root: Path, files: Files) -> str:
    stated = [
        str(files.json("package.json").get("name", "")).rpartition("/")[2],
        str(files.toml("pyproject.toml").get("project", {}).get("name", "")),
        root.resolve().name,
    ]
    words = (re.sub(r"[^a-z0-9]+", "-", one.lower()).strip("-")[:40].rstrip("-") for one in stated)
    return next((one for one in words if re.fullmatch(r"[a-z][a-z0-9-]*", one)), "service")


def _health(files: Files) -> str:
    """Return the health path that the source names, as a string of its own or as a route of a method."""
    text = "\n".join(_sources(files))
    named = set(re.findall(r"[\"'`](?:GET )?(/[a-z/]+)[\"'`]", text))
    for pair in _PAIRS:
        if set(pair) <= named:
            return " ".join(pair)
    return next((path for path in _HEALTH if path in named), "/")


def _sources(files: Files) -> list[str]:
    return [files.text(name) for name in files.names if name.endswith(_SOURCES)]
