"""The stack of containers around the service: prepare a host for it, show what would change, apply it."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from kickoff import stack
from kickoff.cli import output
from kickoff.errors import KickoffError
from kickoff.release import targets

_WAIT_SECONDS = 600.0
"""How long the start of the live release waits for another run's lock."""


def run(arguments: argparse.Namespace) -> int:
    """Run the verb that ``arguments.command`` names.

    Raises:
        KickoffError: Something is missing or wrong (exit code 2), data would be at risk (1), another process
            is at it (75), or Docker does not answer (4).
    """
    root, name = Path.cwd(), arguments.env
    kind = targets.chosen(root, name)
    if kind.has_stack:
        return _VERBS[arguments.command](name, root, arguments)
    if kind.described_by(root, name):
        raise KickoffError(
            f"the stack of {name} is on {kind.runs_on}, which `stack` does not know yet",
            hint="change it by `docker stack deploy`; docs/how-to/swarm.md says what a release makes of it",
        )
    said = f"{name} has no stack: its target is {kind.runs_on}"
    if arguments.command in ("plan", "prepare", "apply"):
        output.result({"environment": name, "changes": [], "made": []}, said)
        return 0
    raise KickoffError(said, hint="`kickoff env explain DEPLOY_TARGET` says where that is written")


def _plan(name: str, root: Path, _: argparse.Namespace) -> int:
    from kickoff.cli.run import rotate  # with the release engine, which takes its time

    lines = [str(change) for change in stack.open_stack(name, root).plan(stack.upcoming(name, root))]
    lines += rotate.under_way(name, root)
    document = {"environment": name, "changes": lines, "made": []}
    output.result(document, "\n".join(lines) or "nothing would change")
    return 0


def _prepare(name: str, root: Path, _: argparse.Namespace) -> int:
    made = _prepared(name, root)
    output.say(f"next: kickoff stack apply --env {name}")
    output.result({"environment": name, "changes": [], "made": made})
    return 0


def _apply(name: str, root: Path, arguments: argparse.Namespace) -> int:
    made = _prepared(name, root)
    changes = stack.open_stack(name, root).apply(arguments.recreate, output.say)
    if any(change.network for change in changes):
        _bring_back(name, root)
    text = f"{len(changes)} change{'s' if len(changes) > 1 else ''} made" if changes else "nothing changed"
    document = {"environment": name, "changes": [str(change) for change in changes], "made": made}
    output.result(document, text)
    return 0


def _prepared(name: str, root: Path) -> list[str]:
    prepared = stack.prepare(name, root)
    output.say(f"secrets made: {', '.join(prepared.made) or 'none, all were there'}")
    output.say(f"kept in {prepared.folder}")
    return list(prepared.made)


def _promote(name: str, root: Path, arguments: argparse.Namespace) -> int:
    """Make a replica the primary, and note it in the history of the environment."""
    service = arguments.service
    stack.promote_replica(stack.open_stack(name, root), service, output.say)
    _record("promote-replica", f"{service} is the primary of the database now", name, root)
    output.result({"environment": name, "primary": service}, f"✓ {service} is the primary")
    return 0


def _restore(name: str, root: Path, arguments: argparse.Namespace) -> int:
    """Give the database an earlier state, and note it in the history of the environment."""
    source, moment = arguments.source, stack.moment_of(arguments.moment, datetime.now(UTC))
    stack.restore(stack.open_stack(name, root), moment, source, output.say)
    whose = f"that of {source}" if source else "its own"
    _record("restore", f"the state of the database is {whose} of {moment}", name, root)
    output.say(f"next: kickoff smoke --env {name} --phase live")
    output.result({"environment": name, "moment": moment}, f"✓ the database has its state of {moment}")
    return 0


def _rotate(name: str, root: Path, arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import rotate  # with the release engine, which takes its time

    return rotate.run(name, root, arguments.secret)


def _record(action: str, why: str, name: str, root: Path) -> None:
    from kickoff.release.attempt import Run
    from kickoff.release.session import open_recorded

    run = Run(open_recorded(name, root), root, output.say)
    with run.store.exclusive() as transaction:
        transaction.record(action, "recorded", run.store.recorded_live(), "", reason=why, **run.caller)


def _bring_back(name: str, root: Path) -> None:
    """Start the live release again, whose containers went with a network.

    Raises:
        KickoffError: It does not get ready (exit 4).
    """
    from kickoff.release.engine import Engine
    from kickoff.release.session import open_recorded

    session = open_recorded(name, root)
    if session.store.recorded_live():
        output.say(Engine(session, root, output.say).start(_WAIT_SECONDS).summary)


_VERBS = {
    "plan": _plan,
    "prepare": _prepare,
    "apply": _apply,
    "promote-replica": _promote,
    "restore": _restore,
    "rotate": _rotate,
}
