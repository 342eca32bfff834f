#!/usr/bin/env python3
"""Prepare a host for its stack of containers: secrets, alert thresholds, first route and network."""

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff import stack
from kickoff.errors import run


def main() -> int:
    """Prepare the stack, say what was made and which command brings it up.

    Raises:
        KickoffError: Something is missing or wrong (exit code 2), or Docker does not answer (exit code 4).
    """
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="make what is missing; change nothing that is there")
    prepare.add_argument("--env", required=True, metavar="NAME", choices=stack.STACKS)
    prepare.add_argument("--offline", action="store_true", help="do not ask Docker for the network")
    arguments = parser.parse_args()

    prepared = stack.prepare(arguments.env, Path.cwd())
    print(f"secrets made: {', '.join(prepared.made) or 'none, all were there'}")
    if not arguments.offline:
        print(f"network {stack.NETWORK}: {'created' if stack.ensure_network() else 'is there'}")
    environment = shlex.quote(str(prepared.folder / "compose.env"))
    print(
        f"next: docker compose --env-file {environment} -f docker-compose.{arguments.env}.yml "
        "up --detach --wait --build"
    )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
