"""Examination of this machine: what it has and lacks. Needs nothing but the standard library."""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from kickoff import bootstrap
from kickoff.paths import public_port, state_base

_TIMEOUT = 10
"""Seconds a tool gets to tell its version."""
_DISK_WANTED = 2 * 1024**3
"""Bytes: the environment takes about 1 GB, each release a copy of its dependencies."""
INSTALL_ACT = (
    "`make .venv` installs it into .venv"
    if bootstrap.IN_CHECKOUT
    else "install kickoff with its extra `deploy`; `kickoff release --env NAME` does without"
)
"""Where act comes from, which runs a workflow on this machine."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        name: What was looked for.
        found: Whether it is there and usable.
        detail: Version or place, or what its lack means.
        needed: Whether `kickoff deploy` needs it.
    """

    name: str
    found: bool
    detail: str
    needed: bool


def examine(root: Path, path: str) -> list[Finding]:
    """Return what is there and what is not.

    Args:
        root: The project's folder.
        path: Where tools are looked for, like ``PATH``.
    """
    tools = os.pathsep.join([str(root / ".venv" / "bin"), path])
    state = state_base()
    port = _port(root)
    return [
        _python(),
        _tool("git", tools, "install git: only commits are shipped", needed=True),
        _tool("make", tools, "contributors use it; `kickoff deploy` does without", needed=False),
        _command(root, path),
        _tool("act", tools, INSTALL_ACT, needed=True),
        _tool("traefik", tools, "`make .venv` installs it into .venv", needed=True, version="version"),
        _disk(state),
        _free_port(port),
        _docker(tools),
        _tool("chromium", tools, "tests that look at the report page are skipped", needed=False),
    ]


def examine_here(root: Path) -> list[Finding]:
    """Return what this machine has and lacks.

    Raises:
        KickoffError: A variable of the caller is wrong (exit 2).
    """
    return examine(root, os.environ.get("PATH", os.defpath))


def to_document(findings: list[Finding]) -> dict[str, object]:
    """Return the findings as JSON has them."""
    ready = all(finding.found for finding in findings if finding.needed)
    return {"ready": ready, "findings": [asdict(finding) for finding in findings]}


def to_text(findings: list[Finding]) -> str:
    """Return one line a finding, and what `kickoff deploy` lacks."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        mark = "✓" if finding.found else "✗" if finding.needed else "-"
        lines.append(f"{mark} {finding.name:<{width}}  {finding.detail}")
    lacking = [finding.name for finding in findings if finding.needed and not finding.found]
    lines += ["", f"`kickoff deploy` lacks: {', '.join(lacking)}" if lacking else "ready to deploy"]
    return "\n".join(lines)


def _python() -> Finding:
    version = platform.python_version()
    enough = sys.version_info >= (3, 11)
    return Finding(
        "python", enough, version if enough else f"{version} is too old: 3.11 or newer is needed", True
    )


def _tool(name: str, path: str, lack: str, *, needed: bool, version: str = "--version") -> Finding:
    place = shutil.which(name, path=path)
    if place is None:
        return Finding(name, False, f"missing: {lack}", needed)
    text = _output([place, version])
    number = re.search(r"\d+(\.\d+)+", text)
    if number is None:
        return Finding(name, False, f"{place} does not tell its version", needed)
    return Finding(name, True, f"{number[0]}  {place}", needed)


def _command(root: Path, path: str) -> Finding:
    """Look for the command itself, which hints and reports print as `kickoff`."""
    own = root / ".venv" / "bin" / "kickoff"
    place = shutil.which("kickoff", path=path)
    lack = (
        "`. .venv/bin/activate` puts it on the PATH"
        if own.is_file()
        else "`make .venv` makes .venv/bin/kickoff"
    )
    return Finding("kickoff", place is not None, place or f"not on the PATH: {lack}", False)


def _docker(path: str) -> Finding:
    place = shutil.which("docker", path=path)
    lack = "not needed: the local target runs without it"
    if place is None:
        return Finding("docker", False, f"missing, and {lack}", False)
    server = _output([place, "version", "--format", "{{.Server.Version}}"]).strip()
    if not re.fullmatch(r"\d[\w.+-]*", server):
        return Finding("docker", False, f"{place} reaches no engine; {lack}", False)
    return Finding("docker", True, f"{server}  {place}", False)


def _disk(folder: Path) -> Finding:
    existing: Path = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 1024**3:.1f} GiB free for the state in {folder}"
    writable = os.access(existing, os.W_OK)
    if not writable:
        text = f"{existing} cannot be written: set KICKOFF_STATE_ROOT to another folder"
    elif free < _DISK_WANTED:
        text += ": free some space, or set KICKOFF_STATE_ROOT to another disk"
    return Finding("disk", writable and free >= _DISK_WANTED, text, True)


def _free_port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            text = f"{port} is in use ({error.strerror}): by your own deployment, "
            fix = "which `kickoff status --env development` shows, or set KICKOFF_PORT to another one"
            return Finding("port", False, text + fix, False)
    return Finding("port", True, f"{port} is free", False)


def _port(root: Path) -> int:
    file = root / "configs" / "environments" / "development.env"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(r"^PUBLIC_PORT=(\d+)", text, re.MULTILINE)
    return public_port(int(found[1]) if found else 8000)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):  # found, but not fit to run: the caller says so
        return ""
    return done.stdout + done.stderr
