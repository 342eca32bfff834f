"""The stack of containers around the service: prepare a host for it, show what would change, apply it."""

import argparse
from pathlib import Path

from kickoff import stack
from kickoff.cli import output
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
    if not kind.has_stack:
        output.result(
            {"environment": name, "changes": [], "made": []},
            f"{name} has no stack: its target is {kind.runs_on}",
        )
        return 0
    if arguments.command in ("plan", "rotate"):
        from kickoff.cli.run import rotate  # with the release engine, which takes its time
    if arguments.command == "plan":
        lines = [str(change) for change in stack.open_stack(name, root).plan(stack.upcoming(name, root))]
        lines += rotate.under_way(name, root)
        document = {"environment": name, "changes": lines, "made": []}
        output.result(document, "\n".join(lines) or "nothing would change")
        return 0
    if arguments.command == "promote-replica":
        return _promote(name, root, arguments.service)
    if arguments.command == "rotate":
        return rotate.run(name, root, arguments.secret)
    prepared = stack.prepare(name, root)
    output.say(f"secrets made: {', '.join(prepared.made) or 'none, all were there'}")
    output.say(f"kept in {prepared.folder}")
    document = {"environment": name, "changes": [], "made": list(prepared.made)}
    if arguments.command == "prepare":
        output.say(f"next: kickoff stack apply --env {name}")
        output.result(document)
        return 0
    changes = stack.open_stack(name, root).apply(arguments.recreate, output.say)
    if any(change.network for change in changes):
        _bring_back(name, root)
    text = f"{len(changes)} change{'s' if len(changes) > 1 else ''} made" if changes else "nothing changed"
    output.result({**document, "changes": [str(change) for change in changes]}, text)
    return 0


def _promote(name: str, root: Path, service: str) -> int:
    """Make a replica the primary, and note it in the history of the environment."""
    stack.promote_replica(stack.open_stack(name, root), service, output.say)
    from kickoff.release.attempt import Run
    from kickoff.release.session import open_recorded

    run = Run(open_recorded(name, root), root, output.say)
    with run.store.exclusive() as transaction:
        why = f"{service} is the primary of the database now"
        transaction.record(
            "promote-replica", "recorded", run.store.recorded_live(), "", reason=why, **run.caller
        )
    output.result({"environment": name, "primary": service}, f"✓ {service} is the primary")
    return 0


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
