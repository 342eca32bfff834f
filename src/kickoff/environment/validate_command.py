"""The command ``validate``."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from kickoff.environment import comparison, loader
from kickoff.environment import outcome as outcomes
from kickoff.environment import schema as schemas
from kickoff.environment.findings import count
from kickoff.environment.schema import FOLDER
from kickoff.environment.sops import Sealed
from kickoff.environment.validation import Checked
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
        found += comparison.compare(schema, checked) + loader.strangers(root)
    values = sum(len(one.entries) for one in checked.values())
    outcome = outcomes.Outcome(sorted(found), [], f"{count(values, 'value')} keep every rule", values)
    form = outcomes.form(arguments.format, environ)
    outcomes.show(outcome, form, environ)
    if arguments.evidence is not None:
        document = outcome.evidence("validate", arguments.env or "")
        if found:
            document.facts["exit_code"] = int(ExitCode.BAD_INPUT)
        document.write(arguments.evidence)
    if form in ("text", "github"):
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
        needed = [key for key in one.entries if key in one.deferred and key not in sealed]
        note = f"   needs the secret{'s' if len(needed) > 1 else ''} {', '.join(needed)}" if needed else ""
        keys = f"{count(len(one.entries), 'key')}, {len(one.source.entries):2} in the file"
        sys.stdout.write(f"✓ {name:{width}}   {keys}{note}\n")
    if not looked_up:
        sys.stdout.write("Secrets were not looked up; --with-secrets checks them too.\n")
