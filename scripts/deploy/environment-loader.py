#!/usr/bin/env python3
"""Validate, show, compare and export the environments in configs/environments."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

from kickoff import errors, service
from kickoff.environment import cli
from kickoff.environment.drift import Running
from kickoff.host import handover
from kickoff.stack import sources


def read_running(root: Path, name: str, secret: bytes) -> Running:
    """Read what runs on the target; the release engine is loaded for this command alone."""
    from kickoff.release import target_state  # noqa: PLC0415 - it triples the time of every other command

    return target_state.read(root, name, secret)


def main() -> int:
    """Run the command, with the secrets that this host made for its stack."""
    name = handover.environment_named(sys.argv[1:])
    # Without a service there is no stack, and the files can be checked all the same.
    if name and service.CONFIG.is_file():
        os.environ.update(sources(name, Path.cwd()))
    return cli.main(read_running=read_running)


if __name__ == "__main__":
    # Only what is about the target needs it; the files are checked here.
    about_target = "--with-secrets" in sys.argv or "drift" in sys.argv[1:2]
    sys.exit(handover.run(main) if about_target else errors.run(main))
