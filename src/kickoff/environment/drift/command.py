"""The command ``drift``."""

import argparse
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from kickoff.environment import loader
from kickoff.environment import outcome as outcomes
from kickoff.environment import schema as schemas
from kickoff.environment.drift.comparison import compare
from kickoff.environment.findings import count
from kickoff.environment.model import Environment
from kickoff.environment.outcome import Outcome
from kickoff.environment.schema import Schema
from kickoff.environment.validation import Checked
from kickoff.errors import ExitCode, KickoffError


def compare_running(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    """Compare one environment's file with the schema and with what runs.

    Raises:
        KickoffError: There is no such environment, or what runs cannot be read (exit codes 3 and 4).
    """
    schema, name = schemas.read(root), arguments.env
    loader.inspect(name, root, schema, environ, with_secrets=False)  # an unknown name is refused first
    key = secrets.token_bytes(32)
    try:
        running = arguments.read_running(root, name, key)
    except KickoffError as error:
        _keep(arguments, Outcome([], [str(error)], "", 0))
        raise
    looked_up = not arguments.without_secrets
    checked = loader.inspect(name, root, schema, {**environ, **running.variables}, with_secrets=looked_up)
    unset = sorted(one.key for one in checked.findings if one.rule == "missing-secret")
    broken = [one for one in checked.findings if one.rule != "missing-secret"]
    released = not checked.findings and looked_up and _hash(checked, schema) == running.environment_hash
    for unknown in {*unset, *(one.key for one in broken), *(() if looked_up else schema.secrets)}:
        checked.values.pop(unknown, None)
    drifted = compare(checked, schema, running, key, released=released)
    samples = len(set().union(*running.places.values()))
    outcome = Outcome(
        sorted([*broken, *drifted]),
        [f"the secret {one} is not set here, so it was not compared with its source" for one in unset],
        f"{count(samples, 'value')} of {running.release} compared",
        samples,
    )
    form = outcomes.form(arguments.format, environ)
    outcomes.show(outcome, form, environ)
    _keep(arguments, outcome)
    if form in ("text", "github"):
        _conclude(name, outcome, looked_up=looked_up)
    if drifted:
        return ExitCode.REJECTED
    return ExitCode.BAD_INPUT if broken else ExitCode.INCONCLUSIVE if unset else ExitCode.PASS


def _hash(checked: Checked, schema: Schema) -> str:
    return Environment(checked.name, checked.values, schema.secrets, frozenset()).hash


def _conclude(name: str, outcome: Outcome, *, looked_up: bool) -> None:
    for doubt in outcome.doubts:
        sys.stderr.write(f"inconclusive: {doubt}\n")
    if outcome.found:
        found = count(len(outcome.found), "difference")
        sys.stderr.write(f"error: {found} in {name}; {outcome.good}\n")
    elif not outcome.doubts:
        sys.stdout.write(f"✓ {name} runs what its file says: {outcome.good}\n")
    if not looked_up:
        sys.stdout.write("Secrets were compared on the target alone, not with where they come from.\n")


def _keep(arguments: argparse.Namespace, outcome: Outcome) -> None:
    if arguments.evidence is not None:
        outcome.evidence("drift", arguments.env).write(arguments.evidence)
