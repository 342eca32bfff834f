"""The commands ``validate`` and ``drift``: what is found, how it is shown, and what is kept of it."""

import argparse
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from kickoff import github, masking
from kickoff.environment import across, drift, loader
from kickoff.environment import schema as schemas
from kickoff.environment.check import Checked
from kickoff.environment.findings import Finding, as_github, as_json, as_markdown, as_text, count
from kickoff.environment.model import Environment
from kickoff.environment.record import Outcome
from kickoff.environment.schema import FOLDER, Schema
from kickoff.environment.sealed import Sealed
from kickoff.errors import ExitCode, KickoffError


def validate(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    """Check one environment, or all of them and how they relate.

    Raises:
        KickoffError: There is no such environment, or none at all.
    """
    schema = schemas.read(root)
    names = [arguments.env] if arguments.env else loader.available(root)
    if not names:
        raise KickoffError(
            f"{FOLDER} holds no environment", hint="begin one with `kickoff env template --env development`"
        )
    checked = {
        name: loader.inspect(name, root, schema, environ, with_secrets=arguments.with_secrets)
        for name in names
    }
    found = [finding for one in checked.values() for finding in one.findings]
    if not arguments.env:
        found += across.compare(schema, checked) + loader.strangers(root)
    values = sum(len(one.source.entries) for one in checked.values())
    outcome = Outcome(sorted(found), [], f"{count(values, 'value')} keep every rule", values)
    _report(arguments, outcome, "validate", environ)
    if _form(arguments, environ) in ("text", "github"):
        if found:
            where = count(len({finding.file for finding in found}), "file")
            sys.stderr.write(f"error: {count(len(found), 'problem')} in {where}\n")
        else:
            _list(checked, root, environ, looked_up=arguments.with_secrets)
    return ExitCode.BAD_INPUT if found else ExitCode.PASS


def _list(checked: Mapping[str, Checked], root: Path, environ: Mapping[str, str], *, looked_up: bool) -> None:
    width = max(map(len, checked))
    for name, one in checked.items():
        sealed = Sealed(root, name, environ).names
        needed = [key for key in one.source.entries if key in one.deferred and key not in sealed]
        note = f"   needs the secret{'s' if len(needed) > 1 else ''} {', '.join(needed)}" if needed else ""
        sys.stdout.write(f"✓ {name:{width}}   {count(len(one.source.entries), 'key')}{note}\n")
    if not looked_up:
        sys.stdout.write("Secrets were not looked up; --with-secrets checks them too.\n")


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
        _keep(arguments, Outcome([], [str(error)], "", 0), "drift")
        raise
    looked_up = not arguments.without_secrets
    checked = loader.inspect(name, root, schema, {**environ, **running.variables}, with_secrets=looked_up)
    unset = sorted(one.key for one in checked.findings if one.rule == "missing-secret")
    broken = [one for one in checked.findings if one.rule != "missing-secret"]
    released = not checked.findings and looked_up and _hash(checked, schema) == running.environment_hash
    for unknown in {*unset, *(one.key for one in broken), *(() if looked_up else schema.secrets)}:
        checked.values.pop(unknown, None)
    drifted = drift.compare(checked, schema, running, key, released=released)
    samples = len(set().union(*running.places.values()))
    outcome = Outcome(
        sorted([*broken, *drifted]),
        [f"the secret {one} is not set here, so it was not compared with its source" for one in unset],
        f"{count(samples, 'value')} of {running.release} compared",
        samples,
    )
    _report(arguments, outcome, "drift", environ)
    if _form(arguments, environ) in ("text", "github"):
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


def _form(arguments: argparse.Namespace, environ: Mapping[str, str]) -> str:
    where = github.context(environ)
    return arguments.format or ("github" if where.active and not where.act else "text")


def _report(arguments: argparse.Namespace, outcome: Outcome, stage: str, environ: Mapping[str, str]) -> None:
    found: list[Finding] = outcome.found
    good = "; ".join(outcome.doubts) or outcome.good
    match _form(arguments, environ):
        case "json":
            sys.stdout.write(as_json(found))
        case "github":
            masking.unmasked(sys.stdout).write(masking.text(as_github(found)))
            github.append_summary(as_markdown(found, good), environ=environ)
        case "markdown":
            sys.stdout.write(as_markdown(found, good))
        case _:
            sys.stdout.write(as_text(found))
    _keep(arguments, outcome, stage)


def _keep(arguments: argparse.Namespace, outcome: Outcome, stage: str) -> None:
    if arguments.evidence is not None:
        outcome.evidence(stage, arguments.env or "").write(arguments.evidence)
