#!/usr/bin/env python3
"""The stack of containers around the service: prepare a host for it, show what would change, apply it."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff import stack
from kickoff.host.handover import run
from kickoff.release import targets


def main() -> int:
    """Run the command that the arguments name.

    Raises:
        KickoffError: Something is missing or wrong (exit code 2), data would be at risk (1), another process
            is at it (75), or Docker does not answer (4).
    """
    arguments = _parser().parse_args()
    root, name = Path.cwd(), arguments.env
    kind = targets.chosen(root, name)
    if not kind.has_stack:
        print(f"{name} has no stack: its target is {kind.runs_on}")
        return 0
    if arguments.command == "plan":
        changes = stack.open_stack(name, root).plan()
        print("\n".join(str(change) for change in changes) or "nothing would change")
        return 0
    prepared = stack.prepare(name, root)
    print(f"secrets made: {', '.join(prepared.made) or 'none, all were there'}")
    print(f"kept in {prepared.folder}")
    if arguments.command == "prepare":
        print(f"next: scripts/deploy/stack.py apply --env {name}")
        return 0
    changes = stack.open_stack(name, root).apply(arguments.recreate, print)
    print(f"{len(changes)} services changed" if changes else "nothing changed")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in {
        "prepare": "make the secrets and files that are missing; change nothing that is there",
        "plan": "show what applying would do to each service; change nothing",
        "apply": "bring the stack up, or make it what the project says; the service itself is not touched",
    }.items():
        sub = commands.add_parser(command, help=text, description=text)
        sub.add_argument("--env", required=True, metavar="NAME", help="the environment, e.g. staging")
        if command == "apply":
            sub.add_argument(
                "--recreate", action="append", default=[], metavar="SERVICE",
                help="a service that holds data and may be recreated all the same",
            )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
