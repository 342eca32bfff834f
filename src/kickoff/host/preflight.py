"""A look ahead: what would refuse a release in the end is found before anything is tested or built.

It takes no lock and changes nothing, so whatever it found right may be wrong later: the release looks again.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from kickoff import service, stack
from kickoff.environment import loader, schema
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Verdict
from kickoff.host import checks, reach
from kickoff.paths import state_root
from kickoff.release import targets
from kickoff.release.stores import open_store
from kickoff.release.stores.lease import held_by
from kickoff.release.targets import HostNeeds

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
    target = targets.chosen(root, name, environ)
    values = _configuration(name, root, environ, with_secrets=not target.has_stack)
    if values.get("DEPLOY_HOST"):
        return
    folder = state_root(service.name_of(root), name, environ)
    _lock(folder, wait, tell)
    own = targets.own_port(root, name, values, environ).ports
    _ports(name, target.host_needs(root, name, values, environ), folder, own)


def _configuration(
    name: str, root: Path, environ: Mapping[str, str], *, with_secrets: bool
) -> Mapping[str, str]:
    """Return the values of an environment.

    Its secrets count where nothing makes any: those of a stack may be made in the run.
    """
    checked = loader.inspect(name, root, schema.read(root), environ, with_secrets=with_secrets)
    if checked.findings:
        raise loader.refusal(name, checked.findings)
    return checked.values


def _lock(folder: Path, wait: float, tell: Callable[[str], object]) -> None:
    if not folder.is_dir():  # nothing was ever released here, and looking makes no folder
        return
    store, deadline, told = open_store(folder), time.monotonic() + wait, False
    while (lease := store.lease()).owner is not None and not lease.abandoned(""):
        error = held_by(lease)
        if time.monotonic() >= deadline:
            raise error
        if not told:
            tell(f"waiting up to {wait:g} s: {error}")
            told = True
        time.sleep(_LOOK_AGAIN)


def _ports(name: str, needs: HostNeeds, folder: Path, own: Collection[int]) -> None:
    """Refuse a public port that another program has; ``own`` are those that ``KICKOFF_PORT`` can move."""
    question = reach.question(str(folder), replace(needs, names=(), networks=()))
    facts = reach.ask(reach.address(""), question).facts
    for port, found in zip(needs.ports, checks.ports(needs, facts), strict=True):
        if found.verdict is Verdict.FAIL:
            another = f"stop that program, or choose another port: KICKOFF_PORT={port + 1}"
            raise KickoffError(
                f"port {port}, where {name} is served, is {found.detail}",
                code=ExitCode.UNREACHABLE,
                hint=another if port in own else found.fix,
            )
