"""Facts of a host, as one JSON document.

This file is also sent to hosts where nothing of this project is installed, and is run there by whatever
Python 3 they have: it imports the standard library alone, and tells what it saw without judging it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT = 20
"""Seconds a tool gets."""
_EDGE_SECONDS = 2
_GOSSIP = 7946
_LISTENING = "0A"


def collect(question: dict[str, Any]) -> dict[str, Any]:
    """Return the facts.

    Args:
        question: ``state``, a path; ``state_home``, the variable and the default folder that ``~state`` in it
            stands for; ``ports``, numbers; ``names``, host names; ``docker`` and ``swarm``, whether to ask
            Docker, and a Swarm for its nodes; ``networks``, names of Docker's networks.
    """
    state = _folder(_expanded(question["state"], *question["state_home"]))
    facts = {
        "python": list(sys.version_info[:3]),
        "time": time.time(),
        "synchronised": _output(["timedatectl", "show", "--property=NTPSynchronized", "--value"])[0],
        "state": state,
        "ports": {str(port): _port(port) for port in question["ports"]},
        "names": {name: _addresses(name) for name in question["names"]},
        "runners": _runners(Path("/proc")),
        "edges": _edges(Path(state["path"])),
    }
    if question["docker"]:
        facts["docker"] = _docker(question["networks"], question["ports"])
    if question["swarm"]:
        facts["swarm"] = _swarm()
    return facts


def _expanded(path: str, variable: str, below: str) -> Path:
    """Return the state folder; a leading ``~state`` stands for the user's state home on this host."""
    try:
        home = os.environ.get(variable) or str(Path.home() / below)
    except RuntimeError:
        sys.exit(
            f"user {os.getuid()} has no home there: HOME is not set, and the system does not know the user"
        )
    return Path(path.replace("~state", home, 1) if path.startswith("~state") else path).absolute()


def _folder(path: Path) -> dict[str, Any]:
    there = path.is_dir()
    existing = next(place for place in (path, *path.parents) if place.exists())
    found = path.stat() if there else None
    return {
        "path": str(path),
        "there": there,
        "mode": found.st_mode & 0o777 if found else 0,
        "owner": found.st_uid == os.getuid() if found else True,
        "writable": existing.is_dir() and os.access(existing, os.W_OK | os.X_OK),
        "free": shutil.disk_usage(existing).free,
    }


def _edges(state: Path) -> dict[str, str]:
    """Return why each edge that the state folder names does not answer; empty for one that does."""
    try:
        named = json.loads((state / "etcd.json").read_text("utf-8")).get("edges") or []
    except (OSError, ValueError, AttributeError):  # no file, or one that every command refuses by name
        return {}
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    found = {}
    for edge in map(str, named):
        try:
            ask(f"{edge}/api/version", timeout=_EDGE_SECONDS).close()
            found[edge] = ""
        except (OSError, ValueError) as error:
            found[edge] = str(error)
    return found


def _port(port: int) -> dict[str, Any]:
    """Return whether something listens on a port, and its command line where this user may see it."""
    inodes: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        rows = [line.split() for line in table.read_text("ascii").splitlines()[1:]] if table.exists() else []
        inodes |= {
            row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port
        }
    return {"taken": bool(inodes), "command": _holder(inodes) if inodes else ""}


def _holder(inodes: set[str]) -> str:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # Path.readlink is newer than the Python of some hosts.
            if wanted & {os.readlink(link) for link in (process / "fd").iterdir()}:  # noqa: PTH115
                text = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                return text.decode("utf-8", "replace").strip()
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return ""


def _runners(processes: Path) -> list[str]:
    """Return what each runner of GitHub Actions that runs here serves: an address, empty where hidden."""
    found = set()
    for process in processes.glob("[0-9]*"):
        try:
            program = Path((process / "cmdline").read_bytes().partition(b"\0")[0].decode("utf-8", "replace"))
        except OSError:  # it ended meanwhile
            continue
        if program.name == "Runner.Listener":
            found.add(_served(program.parent.parent / ".runner"))
    return sorted(found)


def _served(settings: Path) -> str:
    """Return the address in the settings that a runner was registered with."""
    try:
        written = json.loads(settings.read_text("utf-8-sig"))
    except (OSError, ValueError):  # another user's
        return ""
    return next((str(value) for name, value in written.items() if name.lower() == "githuburl"), "")


def _addresses(name: str) -> list[str]:
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None)})
    except OSError:
        return []


def _docker(networks: list[str], ports: list[int]) -> dict[str, Any]:
    """Return what the engine and its command line say; a pair is the answer, and why there is none."""
    root, failure = _output(["docker", "info", "--format", "{{.DockerRootDir}}"])
    composed = '{{.Label "com.docker.compose.project"}}/{{.Label "com.docker.compose.service"}}'
    form = '{{with .Label "com.docker.swarm.service.name"}}{{.}}{{else}}' + composed + "{{end}}"
    containers = {}
    for port in ports:
        listed, _ = _output(["docker", "ps", "--filter", f"publish={port}", "--format", form])
        containers[str(port)] = listed.split()
    return {
        "engine": _output(["docker", "version", "--format", "{{.Server.Version}}"]),
        "compose": _output(["docker", "compose", "version", "--short"]),
        "buildx": _output(["docker", "buildx", "version"]),
        "root": _folder(Path(root)) if root and Path(root).is_dir() else {"path": root, "failure": failure},
        "networks": {
            name: _output(["docker", "network", "inspect", "--format", "{{.Driver}}", name])[0]
            for name in networks
        },
        "containers": containers,
    }


def _swarm() -> dict[str, Any]:
    """Return what a manager says of each node, and whether that one answers; or why nothing is known."""
    known, failure = _output(["docker", "node", "ls", "--quiet"])
    described, failed = _output(["docker", "node", "inspect", *known.split()]) if known else ("", failure)
    nodes = []
    for one in json.loads(described or "[]"):
        manager = one.get("ManagerStatus") or {}
        address = one["Status"].get("Addr", "")
        if address in ("", "0.0.0.0", "127.0.0.1"):  # noqa: S104 - what a manager may call itself
            address = manager.get("Addr", "").rpartition(":")[0]
        nodes.append(
            {
                "name": one["Description"]["Hostname"],
                "engine": one["Description"]["Engine"]["EngineVersion"],
                "state": one["Status"]["State"],
                "manager": manager.get("Reachability", ""),
                "failure": _gossip(address),
            }
        )
    return {"nodes": nodes, "failure": failed}


def _gossip(address: str) -> str:
    """Return why a node does not take a connection where nodes tell each other of themselves."""
    try:
        socket.create_connection((address, _GOSSIP), timeout=_EDGE_SECONDS).close()
    except OSError as error:
        return f"{address}:{_GOSSIP}: {error}"
    return ""


def _output(command: list[str]) -> tuple[str, str]:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=TIMEOUT
        )
    except FileNotFoundError:
        return "", f"{command[0]} is not installed"
    except (OSError, subprocess.TimeoutExpired):
        return "", f"{command[0]} gave no answer within {TIMEOUT} s"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "", re.sub(r"\s+", " ", said[-1])[:200] if said else f"exit code {done.returncode}"


if __name__ == "__main__":
    json.dump(collect(json.loads(sys.argv[1])), sys.stdout)
