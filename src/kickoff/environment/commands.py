"""The commands ``validate`` and ``explain``."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from kickoff.environment import comparison, loader, reference
from kickoff.environment import outcome as outcomes
from kickoff.environment import schema as schemas
from kickoff.environment.findings import count, in_columns
from kickoff.environment.schema import FOLDER, Key, Schema
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
            f"{FOLDER} holds no environment", hint="begin one with `template --env development`"
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
        outcome.evidence("validate", arguments.env or "").write(arguments.evidence)
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


def explain(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    """Describe a key: meaning, limits, defaults, rules, and its value everywhere with where it comes from.

    Raises:
        KickoffError: There is no such key.
    """
    schema = schemas.read(root)
    key = schema.keys.get(arguments.key)
    if key is None:
        raise KickoffError(
            f"{loader.named(arguments.key)} is neither a key of the pipeline nor of the service",
            hint=loader.suggestion(arguments.key, schema),
        )
    sys.stdout.write(f"{key.name}\n  {key.description}\n\n")
    for title, text in _properties(key, schema):
        sys.stdout.write(f"  {title:9}  {text}\n" if text else "")
    rows = []
    for name in loader.available(root):
        one = loader.inspect(name, root, schema, environ, with_secrets=False)
        rows.append([name, comparison.display(key, one), one.origin(key)])
    sys.stdout.write("\n" + in_columns(["environment", "value", "comes from"], rows))
    return ExitCode.PASS


def _properties(key: Key, schema: Schema) -> Iterator[tuple[str, str]]:
    yield "kind", key.kind
    yield "must be", reference.limits(key.rules)
    yield "example", key.example
    for kind in schema.classes:
        default = key.default(kind)
        yield "default", f"{comparison.as_shown(key, default[0])} in class {kind}" if default else ""
    yield "read by", f"the {key.audience}"
    yield "described", schema.described_at(key)
    yield "across", _ACROSS[key.across]
    yield "since", key.rules["x-since"]
    for rule in [*schema.conditions, *schema.comparisons]:
        if f'"{key.name}"' in json.dumps(rule):
            yield "rule", f"{rule['x-rule']}: {rule['x-message']}"


_ACROSS = {
    "same": "the same in every environment",
    "differ": "every environment has its own",
    "may-differ": "may differ between environments",
    "secret": "secret: never shown, never in a file",
}
