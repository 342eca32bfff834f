"""Judging a host's facts: pure functions, one finding each, with what to do about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kickoff.evidence import Verdict, combine
from kickoff.release.targets import HostNeeds

ENGINE, COMPOSE, PYTHON = (28, 0), (2, 38), (3, 11)
"""The oldest versions that do; major and minor."""
UNFIT = (
    ((28, 2, 0), (28, 2, 99), "containers on different nodes do not reach each other (moby#50129)"),
    ((29, 0, 0), (29, 6, 2), "names of a node that was cut off stay unknown for hours (moby#53141)"),
)
"""First and last version of engines that are unfit for a Swarm, and why."""
ROOT_FREE, STATE_FREE = 5 * 1024**3, 2 * 1024**3
"""Bytes: an image with its layers and the next one beside it; a release with its dependencies."""
MOST_OFFSET = 5.0
"""Seconds; leases, certificates and the order of evidence rest on the clock."""
_PREPARE = "run scripts/setup/prepare_host.sh there"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        name: What was looked at.
        verdict: ``INCONCLUSIVE`` means that it could not be looked at, which is never a pass.
        detail: What was found.
        fix: What to do; empty when there is nothing to do.
    """

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


def passed(name: str, detail: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(name, Verdict.PASS, detail)


def failed(name: str, detail: str, fix: str) -> Finding:
    """Return a finding that has to be put right."""
    return Finding(name, Verdict.FAIL, detail, fix)


def unknown(name: str, reason: str, fix: str = "") -> Finding:
    """Return a finding about what could not be looked at."""
    return Finding(name, Verdict.INCONCLUSIVE, f"not checked: {reason}", fix)


def python(found: Sequence[int]) -> Finding:
    """Judge the host's Python."""
    text = ".".join(map(str, found))
    if tuple(found[:2]) >= PYTHON:
        return passed("python", text)
    return failed("python", f"{text} is too old", f"install Python {_version(PYTHON)} or newer")


def docker(found: Mapping[str, Any]) -> list[Finding]:
    """Judge the engine, compose, buildx and the disk the images are on."""
    findings = []
    for name, key, least in (("docker engine", "engine", ENGINE), ("docker compose", "compose", COMPOSE)):
        text, failure = found[key]
        number = re.match(r"v?(\d+)\.(\d+)", text)
        if number is None:
            fix = "start it and let this user use it (group docker)" if key == "engine" else _PREPARE
            findings.append(failed(name, failure or f"{text!r} is no version", fix))
        elif (int(number[1]), int(number[2])) < least:
            findings.append(failed(name, f"{text} is older than {_version(least)}", _PREPARE))
        else:
            findings.append(passed(name, text))
    text, failure = found["buildx"]
    findings.append(passed("docker buildx", text) if text else failed("docker buildx", failure, _PREPARE))
    root = found["root"]
    if "free" in root:
        findings.append(
            _disk("docker disk", root, ROOT_FREE, "`docker system prune`, or give it a larger disk")
        )
    else:
        findings.append(
            unknown("docker disk", root["failure"] or f"Docker's folder {root['path']!r} is not on this host")
        )
    return findings


def swarm(found: Mapping[str, Any]) -> list[Finding]:
    """Judge the nodes of a Swarm: heard of, reached, of one version that does, and enough managers."""
    if found["failure"]:
        fix = "let DEPLOY_HOST name a manager; `docker swarm init` makes the first; docs/how-to/swarm.md"
        return [failed("swarm", found["failure"], fix)]
    nodes = found["nodes"]
    return [_managers(nodes), _alike(nodes), *map(_node, nodes)]


def _managers(nodes: Sequence[Mapping[str, Any]]) -> Finding:
    every = [one for one in nodes if one["manager"]]
    lost = [str(one["name"]) for one in every if one["manager"] != "reachable"]
    detail = f"{len(every)}, {', '.join(lost)} not reached" if lost else f"{len(every)}, all reached"
    if len(every) < 3 or len(every) % 2 == 0:
        spare = (len(every) - 1) // 2
        return failed(
            "managers",
            f"{detail}: with more than {spare} lost, nothing can be changed",
            "have three or five: `docker node promote NODE`, `docker node demote NODE`",
        )
    if lost:
        return failed("managers", detail, "bring them back, or remove them")
    return passed("managers", detail)


def _alike(nodes: Sequence[Mapping[str, Any]]) -> Finding:
    versions = sorted({str(one["engine"]) for one in nodes})
    if len(versions) > 1:
        fix = "bring all nodes to one version, one after the other, drained"
        return failed("engines of the nodes", f"differ: {', '.join(versions)}", fix)
    return passed("engines of the nodes", versions[0])


def _node(found: Mapping[str, Any]) -> Finding:
    name = f"node {found['name']}"
    if found["state"] != "ready":
        return failed(name, f"is {found['state']}", "bring it back, or `docker node rm` it")
    if found["failure"]:
        fix = "open 2377/tcp, 7946/tcp, 7946/udp and 4789/udp between the nodes"
        return failed(name, str(found["failure"]), fix)
    number = re.match(r"(\d+)\.(\d+)\.(\d+)", str(found["engine"]))
    version = tuple(map(int, number.groups())) if number else ()
    if version[:2] < ENGINE:
        return failed(name, f"engine {found['engine']} is older than {_version(ENGINE)}", "update it")
    for first, last, why in UNFIT:
        if first <= version <= last:
            return failed(name, f"engine {found['engine']}: {why}", "update it")
    return passed(name, f"engine {found['engine']}")


def network(name: str, driver: str, environment: str) -> Finding:
    """Judge the network that users' requests come in by."""
    if driver:
        return passed("network", f"{name} ({driver})")
    return failed(
        "network",
        f"{name} is not there",
        f"`kickoff stack apply --env {environment}` makes it; a first release does, too",
    )


def state(found: Mapping[str, Any]) -> list[Finding]:
    """Judge the folder that releases, history and lock are kept in, and its disk."""
    path = found["path"]
    if not found["writable"]:
        first = failed("state folder", f"{path} cannot be written", "give it to the user who deploys: chown")
    elif found["there"] and not found["owner"]:
        first = failed("state folder", f"{path} belongs to another user", f"chown -R $(id -u) {path}")
    elif found["there"] and found["mode"] & 0o077:
        first = failed(
            "state folder", f"{path} has mode {found['mode']:04o}: others can look in", f"chmod 700 {path}"
        )
    else:
        first = passed("state folder", path if found["there"] else f"{path}, made by the first release")
    return [first, _disk("state disk", found, STATE_FREE, "free some space, or set KICKOFF_STATE_ROOT")]


def edges(found: Mapping[str, str]) -> list[Finding]:
    """Judge the edges that read the route from etcd: why each does not answer, by the address of its API."""
    fix = "start it, or take it from `edges` in etcd.json; docs/how-to/edges.md"
    return [
        failed("edge", f"{one}: {why}", fix) if why else passed("edge", one) for one, why in found.items()
    ]


def ports(needs: HostNeeds, facts: Mapping[str, Any]) -> list[Finding]:
    """Judge every public port of a target by what its host said of itself."""
    containers, state = facts.get("docker", {}).get("containers", {}), facts["state"]["path"]
    return [
        port(number, facts["ports"][str(number)], needs.proxy, containers.get(str(number), ()), state)
        for number in needs.ports
    ]


def port(
    number: int, found: Mapping[str, Any], ours: str, containers: Sequence[str], state_path: str
) -> Finding:
    """Judge a public port: free, or held by our own proxy.

    Args:
        number: The port.
        found: Whether something listens there, and its command line.
        ours: The container that may, as ``project/service``; empty for none.
        containers: The containers that publish the port, written likewise.
        state_path: The state folder, which the proxy of the local target names on its command line.
    """
    name, command = f"port {number}", str(found["command"])
    if not found["taken"]:
        return passed(name, "free")
    if ours and ours in containers:
        return passed(name, f"held by our own proxy, {ours}")
    if "traefik" in command and f"{state_path}/" in command:
        return passed(name, "held by our own proxy")
    who = ", ".join(containers) or command.partition(" ")[0] or "a process that this user cannot see"
    return failed(name, f"taken by {who}", "stop it, or choose another port for the environment")


def names(found: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Judge the public names."""
    return [
        passed(f"name {name}", ", ".join(addresses))
        if addresses
        else failed(
            f"name {name}", "is not known on the host", "add its A or AAAA record, or correct the name"
        )
        for name, addresses in found.items()
    ]


def runner(serves: str, visibility: str, why: str) -> Finding:
    """Judge a runner of GitHub Actions on the host, whose jobs may be anybody's in a public repository.

    Args:
        serves: The address it is registered with; empty when its settings cannot be read.
        visibility: GitHub's word for that repository: ``public``, ``private`` or ``internal``; empty when it
            says nothing.
        why: Why it says nothing.
    """
    name, what = "runner", serves or "a repository that this user cannot see"
    if visibility and visibility != "public":
        return passed(name, f"serves {what}, which is {visibility}")
    fix = (
        "take it off this host: let GitHub's runners deploy over SSH (DEPLOY_HOST), or give an ephemeral "
        "runner a machine of its own; docs/how-to/supply-chain.md"
    )
    if visibility:
        detail = f"serves {what}, which is public: a pull request of anybody may run its code on this host"
        return failed(name, detail, fix)
    return unknown(name, f"one serves {what}, and nobody says whether that is public: {why}", fix)


def clock(offset: float | None, doubt: float, against: str, synchronised: str) -> Finding:
    """Judge the clock.

    Args:
        offset: Seconds it is ahead of what it was compared with; ``None`` when there was nothing.
        doubt: Seconds the offset may be wrong by.
        against: What it was compared with, or why it was not.
        synchronised: What ``timedatectl`` says: ``yes``, ``no`` or nothing.
    """
    fix = "turn time synchronisation on: `timedatectl set-ntp true`"
    if offset is not None and abs(offset) - doubt > MOST_OFFSET:
        return failed("clock", f"{offset:+.1f} s against {against}", fix)
    if offset is not None and doubt <= MOST_OFFSET:
        return passed("clock", f"{offset:+.1f} s (± {doubt:.1f} s) against {against}")
    if synchronised == "yes":
        return passed("clock", "synchronised, as the system says")
    if synchronised == "no":
        return failed("clock", "not synchronised, as the system says", fix)
    return unknown("clock", against, "set KICKOFF_CLOCK_URL to a web server that this host reaches")


def secrets(missing: Sequence[str]) -> Finding:
    """Judge which secrets are set, by name; no value comes near here."""
    if missing:
        return failed(
            "secrets",
            f"not set: {', '.join(missing)}",
            "export each, or NAME_FILE with the path of a file; on GitHub add them to the environment",
        )
    return passed("secrets", "none is missing")


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 when all is well, 1 when something is wrong, 3 when something could not be looked at."""
    return combine(finding.verdict for finding in findings).exit_code


def _disk(name: str, found: Mapping[str, Any], least: int, fix: str) -> Finding:
    text = f"{found['free'] / 1024**3:.1f} GiB free for {found['path']}"
    if found["free"] >= least:
        return passed(name, text)
    return failed(name, f"{text}, less than {least // 1024**3} GiB", fix)


def _version(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
