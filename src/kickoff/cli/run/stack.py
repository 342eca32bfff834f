"""The stack of containers around the service: prepare a host for it, show what would change, apply it."""

import argparse
from pathlib import Path

from kickoff import stack
from kickoff.cli import output
from kickoff.environment.loader import setting


def run(arguments: argparse.Namespace) -> int:
    """Run the verb that ``arguments.command`` names.

    Raises:
        KickoffError: Something is missing or wrong (exit code 2), data would be at risk (1), another process
            is at it (75), or Docker does not answer (4).
    """
    root, name = Path.cwd(), arguments.env
    target = setting(name, "DEPLOY_TARGET", root)
    if target != "compose":
        output.result(
            {"environment": name, "target": target, "changes": [], "made": []},
            f"{name} has no stack: DEPLOY_TARGET is {target}, which needs nothing prepared",
        )
        return 0
    if arguments.command == "plan":
        lines = [str(change) for change in stack.open_stack(name, root).plan()]
        document = {"environment": name, "target": target, "changes": lines, "made": []}
        output.result(document, "\n".join(lines) or "nothing would change")
        return 0
    prepared = stack.prepare(name, root)
    output.say(f"secrets made: {', '.join(prepared.made) or 'none, all were there'}")
    output.say(f"kept in {prepared.folder}")
    document = {"environment": name, "target": target, "changes": [], "made": list(prepared.made)}
    if arguments.command == "prepare":
        output.say(f"next: kickoff stack apply --env {name}")
        output.result(document)
        return 0
    output.say(f"network {stack.NETWORK}: {'created' if stack.ensure_network() else 'is there'}")
    changes = stack.open_stack(name, root).apply(arguments.recreate, output.say)
    text = f"{len(changes)} services changed" if changes else "nothing changed"
    output.result({**document, "changes": [str(change) for change in changes]}, text)
    return 0
