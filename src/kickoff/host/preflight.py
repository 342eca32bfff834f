"""A look ahead: what would refuse a release in the end is found before anything is tested or built.

It takes no lock and changes nothing, so whatever it found right may be wrong later: the release looks again.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from kickoff import service, stack
from kickoff.environment import loader, schema
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Verdict
from kickoff.host import checks, reach
from kickoff.paths import STATE_HOME, state_root
from kickoff.release import targets
from kickoff.release.session import STORE
from kickoff.release.stores import open_store
from kickoff.release.stores.lease import held_by

_LOOK_AGAIN = 1.0
"""Seconds between two looks at a lock."""


def require(
    name: str,
    root: Path,
    *,
    wait: float,
    tell: Callable[[str], object],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Refuse what the release to an environment would be refused for.

    Of an environment on another host only the configuration is looked at: its lock and its ports are there.

    Args:
        name: The environment.
        root: The project.
        wait: Seconds to wait for another run's lock.
        tell: Called once when there is something to wait for.
        environ: The process environment.

    Raises:
        KickoffError: The configuration is wrong (2), another run holds the lock (75), or another program has
            the public port (4).
    """
    environ = stack.sources(name, root, environ)
    values = _configuration(name, root, environ)
    if values.get("DEPLOY_HOST"):
        return
    folder = state_root(service.name_of(root), name, environ)
    _lock(folder, wait, tell)
    _ports(name, root, values, environ, folder)


def _configuration(name: str, root: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the values of an environment.

    Its secrets count where nothing makes any: those of a stack may be made in the run.
    """
    with_secrets = not targets.chosen(root, name, environ).has_stack
    checked = loader.inspect(name, root, schema.read(root), environ, with_secrets=with_secrets)
    if checked.findings:
        raise loader.refusal(name, checked.findings)
    return checked.values


def _lock(folder: Path, wait: float, tell: Callable[[str], object]) -> None:
    if not (folder / "lock.json").is_file():
        return
    store, deadline, told = open_store(STORE, folder), time.monotonic() + wait, False
    while (lease := store.lease()).owner is not None and not lease.abandoned(""):
        error = held_by(lease)
        if time.monotonic() >= deadline:
            raise error
        if not told:
            tell(f"waiting up to {wait:g} s: {error}")
            told = True
        time.sleep(_LOOK_AGAIN)


def _ports(
    name: str, root: Path, values: Mapping[str, str], environ: Mapping[str, str], folder: Path
) -> None:
    needs = targets.chosen(root, name, environ).host_needs(root, name, values, environ)
    question = {
        "state": str(folder),
        "state_home": STATE_HOME,
        "ports": list(needs.ports),
        "names": [],
        "docker": needs.docker,
        "networks": [],
    }
    facts = reach.ask(reach.address(""), question).facts
    for port in needs.ports:
        holders = facts.get("docker", {}).get("containers", {}).get(str(port), [])
        found = checks.port(port, facts["ports"][str(port)], needs.proxy, holders, facts["state"]["path"])
        if found.verdict is Verdict.FAIL:
            raise KickoffError(
                f"port {port}, where {name} is served, is {found.detail}",
                code=ExitCode.UNREACHABLE,
                hint=f"stop that program, or choose another port: KICKOFF_PORT={port + 1}",
            )
