"""The verb ``kickoff doctor``; without ``--env`` it needs nothing but the standard library."""

import argparse
import os
from pathlib import Path

from kickoff.cli import output
from kickoff.cli.parser import Verbs, add_verb
from kickoff.cli.verbs import VERBS


def add(verbs: Verbs) -> None:
    """Add the verb."""
    add_verb(
        verbs,
        "doctor",
        VERBS["doctor"].text,
        _run,
        examples=("doctor", "doctor --env staging"),
        codes=(0, 1, 2, 3),
        env="optional",
    )


def _run(arguments: argparse.Namespace) -> int:
    if arguments.env:
        from kickoff.host import checks
        from kickoff.host import doctor as host

        findings = host.examine(arguments.env, Path.cwd(), os.environ)
        output.result(host.to_document(arguments.env, findings), host.to_text(arguments.env, findings))
        return checks.exit_code(findings)
    from kickoff.pipeline import doctor

    found = doctor.examine_here(Path.cwd())
    output.result(doctor.to_document(found), doctor.to_text(found))
    return 0
