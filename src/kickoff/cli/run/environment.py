"""The verbs of ``kickoff env``: data goes to standard output, messages to standard error."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from kickoff import environments, github, masking, service
from kickoff.cli import output
from kickoff.environment import comparison as across
from kickoff.environment import drift, explanation, loader, reference, secret_source
from kickoff.environment import schema as schemas
from kickoff.environment import template as scaffold
from kickoff.environment import validate_command as checking
from kickoff.environment.drift.command import compare_running
from kickoff.environment.export import FORMATS
from kickoff.environment.findings import as_json, as_text, count, in_columns
from kickoff.environment.model import REDACTED, Environment
from kickoff.environment.schema import FOLDER
from kickoff.environment.sops import Sealed
from kickoff.environment.validation import Checked
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic

_PRIVATE = 0o600


def run(name: str, arguments: argparse.Namespace) -> int:
    """Run one verb in the current folder's project, with the secrets that this host made for its stack.

    Returns:
        The exit code: 0, 2 when something has to be corrected, 1 when what runs has drifted, 3 when a part
        could not be compared.

    Raises:
        KickoffError: It cannot be carried out.
    """
    root = Path.cwd()
    if arguments.json and hasattr(arguments, "format"):
        arguments.format = "json"
    environment = getattr(arguments, "env", "")
    # Without a service there is no stack, and the files can be checked all the same.
    if environment and service.is_described(root):
        from kickoff.stack import sources

        os.environ.update(sources(environment, root))
    if name == "validate" and not environment and service.CONFIG.is_file():
        environments.require_files(service.load(root).environments, root, FOLDER)
    if name == "drift":
        arguments.read_running = read_running
    return _VERBS[name](arguments, root, os.environ)


def read_running(root: Path, name: str, secret: bytes) -> drift.Running:
    """Read what runs on the target; the release engine is loaded for this verb alone."""
    from kickoff.release import target_state

    return target_state.read(root, name, secret)


def _loaded(
    arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]
) -> tuple[Environment, list[str]]:
    """Return the environment and the names of the secrets that are not set.

    Raises:
        KickoffError: Something else is wrong with it, or every secret was demanded (exit 2).
    """
    schema = schemas.read(root)
    checked = loader.inspect(arguments.env, root, schema, environ, with_secrets=True)
    unset = sorted({one.key for one in checked.findings if one.rule == "missing-secret"})
    if getattr(arguments, "with_secrets", True) or any(one.key not in unset for one in checked.findings):
        return loader.load(arguments.env, root, environ), []
    masking.hide(*(checked.values[key] for key in schema.secrets & checked.values.keys()))
    ours = frozenset(key.name for key in schema.keys.values() if key.audience == "service")
    return Environment(arguments.env, checked.values, schema.secrets, ours), unset


def _load(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    environment, unset = _loaded(arguments, root, environ)
    shown = environment.redacted()
    known = "" if unset else environment.hash
    if arguments.format == "json":
        document = {"name": environment.name, "hash": known, "values": shown, "not_set": unset}
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return ExitCode.PASS
    width = max(map(len, [*shown, *unset]))
    state = f"hash {known[:12]}" if known else f"not set: {', '.join(unset)}"
    sys.stdout.write(f"{environment.name}: {count(len(shown), 'key')}, {state}\n\n")
    sealed = Sealed(root, environment.name, environ)
    for key, text in shown.items():
        source = secret_source.origin(key, environ, sealed) or "its default"
        note = f"(secret, from {source})" if text == REDACTED and key in environment.secrets else text
        sys.stdout.write(f"{key:{width}}  {note or '(empty)'}\n")
    for key in unset:
        sys.stdout.write(f"{key:{width}}  (secret, not set)\n")
    return ExitCode.PASS


def _export(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    environment, unset = _loaded(arguments, root, environ)
    if unset:
        output.say(f"not set, and left out: {', '.join(unset)} (--with-secrets demands them)")
    values = {
        key: text
        for key, text in environment.values.items()
        if arguments.audience == "all" or (key in environment.service) == (arguments.audience == "service")
    }
    text = FORMATS[arguments.format](values)
    _mask(environment, Sealed(root, environment.name, environ), environ)
    if arguments.output is None:
        masking.unmasked(sys.stdout).write(text)
        return ExitCode.PASS
    _write(arguments.output, text, root)
    output.say(
        f"wrote {count(len(values), 'key')} of {environment.name} to {arguments.output}"
        f" ({arguments.format}, readable by its owner alone)"
    )
    return ExitCode.PASS


def _mask(environment: Environment, sealed: Sealed, environ: Mapping[str, str]) -> None:
    for key in sorted(environment.secrets):
        if key in environment.values and secret_source.origin(key, environ, sealed):
            # On standard error, where the runner looks for commands as well, to keep the data clean.
            github.mask(environment.values[key], environ=environ, out=sys.stderr)


def _write(output: Path, text: str, root: Path) -> None:
    folder = (root / FOLDER).resolve()
    if output.exists() and not output.is_file():
        # Replacing it by a file would take a device such as /dev/stdout away from everybody.
        kind = "a folder" if output.is_dir() else "no ordinary file"
        raise KickoffError(f"{output} is {kind}", hint="name a file, or leave --output out")
    if not output.parent.is_dir():
        raise KickoffError(f"the folder {output.parent} does not exist", hint=f"mkdir -p {output.parent}")
    if output.resolve().is_relative_to(folder):
        raise KickoffError(
            f"{output} would put secrets among the committed files",
            hint="write to a file that git ignores: .env.NAME",
        )
    write_atomic(output, text, _PRIVATE)


def _diff(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    schema = schemas.read(root)
    pair = [
        loader.inspect(name, root, schema, environ, with_secrets=False)
        for name in (arguments.left, arguments.right)
    ]
    rows = across.differences(schema, pair[0], pair[1])
    broken = across.compare(schema, {one.name: one for one in pair})
    if arguments.format == "json":
        document = {"differences": [asdict(row) for row in rows], **json.loads(as_json(broken))}
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        _table(
            ["key", arguments.left, arguments.right, "may it differ"],
            [[row.key, row.left, row.right, _ALLOWED[row.across]] for row in rows],
        )
        sys.stdout.write("" if rows else f"{arguments.left} and {arguments.right} do not differ\n")
        sys.stderr.write(as_text(broken))
    return ExitCode.BAD_INPUT if broken else ExitCode.PASS


_ALLOWED = {
    "same": "no, it must be the same",
    "differ": "yes, it must",
    "may-differ": "yes",
    "own": "yes",
    "secret": "secret",
}


def _explain(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    schema = schemas.read(root)
    key = schema.keys.get(arguments.key)
    if key is None:
        raise KickoffError(
            f"{loader.named(arguments.key)} is neither a key of the pipeline nor of the service",
            hint=loader.suggestion(arguments.key, schema),
        )
    about, rows = list(explanation.about(key, schema)), list(explanation.values(key, root, schema, environ))
    if arguments.json:
        values = [dict(zip(("environment", "value", "source"), row, strict=True)) for row in rows]
        rules = {title: text for title, text in about if text}
        output.result({"key": key.name, "description": key.description, "about": rules, "values": values})
        return ExitCode.PASS
    say = sys.stdout.write
    say(f"{key.name}\n  {key.description}\n\n")
    width = max(len(title) for title, _ in about)
    for title, text in about:
        say(f"  {title:{width}}  {text}\n")
    say("\n")
    _table(["environment", "value", "comes from"], rows)
    return ExitCode.PASS


def _hash(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    digest = loader.load(arguments.env, root, environ).hash
    output.result({"name": arguments.env, "hash": digest}, digest)
    return ExitCode.PASS


def _template(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    schema = schemas.read(root)
    loader.check_name(arguments.env)
    others = {
        name: loader.inspect(name, root, schema, environ, with_secrets=False)
        for name in loader.available(root)
    }
    text = scaffold.template(arguments.env, schema, others)
    if arguments.output is None:
        output.result({"name": arguments.env, "text": text}, text.rstrip("\n"))
        return ExitCode.PASS
    if arguments.output.exists():
        raise KickoffError(
            f"{arguments.output} exists already", hint="name a new file, or remove that one first"
        )
    if not arguments.output.parent.is_dir():
        raise KickoffError(f"the folder {arguments.output.parent} does not exist")
    write_atomic(arguments.output, text)
    output.say(f"wrote {arguments.output}; adapt it, then `kickoff env validate`")
    output.result({"name": arguments.env, "file": str(arguments.output)})
    return ExitCode.PASS


def _secrets(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    schema = schemas.read(root)
    file = loader.inspect(arguments.env, root, schema, environ, with_secrets=False)
    full = loader.inspect(arguments.env, root, schema, environ, with_secrets=True)
    secrets = {name: key for name, key in schema.keys.items() if key.secret}
    broken = [finding for finding in full.findings if finding.key in secrets]
    refused = {finding.key for finding in broken if finding.rule != "missing-secret"}
    rows = [
        [
            name,
            "yes" if name in file.deferred else "no",
            "refused" if name in refused else _state(name, file, full, root, environ),
        ]
        for name in secrets
    ]
    if arguments.format == "json":
        document = [{"name": name, "required": need == "yes", "state": state} for name, need, state in rows]
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    else:
        _table(["secret", "required", "state"], rows)
    sys.stderr.write(as_text(broken))
    return ExitCode.BAD_INPUT if broken else ExitCode.PASS


def _state(name: str, file: Checked, full: Checked, root: Path, environ: Mapping[str, str]) -> str:
    entry = file.entries.get(name)
    if entry is not None and not entry.text:
        return "empty"
    source = secret_source.origin(name, environ, Sealed(root, file.name, environ))
    if source:
        return f"set by {source}"
    return "by default" if full.values.get(name) else "not set"


def _docs(arguments: argparse.Namespace, root: Path, _environ: Mapping[str, str]) -> int:
    text = reference.render(schemas.read(root))
    page = root / reference.PAGE
    current = page.read_text(encoding="utf-8") if page.is_file() else ""
    if text == current:
        output.say(f"{reference.PAGE} is up to date")
        output.result({"page": str(reference.PAGE), "changed": False})
        return ExitCode.PASS
    if arguments.check:
        raise KickoffError(
            f"{reference.PAGE} does not match the schema",
            hint="run `kickoff env docs`",
        )
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(page, text)
    output.say(f"wrote {reference.PAGE}")
    output.result({"page": str(reference.PAGE), "changed": True})
    return ExitCode.PASS


def _table(head: list[str], rows: list[list[str]]) -> None:
    sys.stdout.write(in_columns(head, rows))


_VERBS: dict[str, Callable[[argparse.Namespace, Path, Mapping[str, str]], int]] = {
    "validate": checking.validate,
    "drift": compare_running,
    "load": _load,
    "export": _export,
    "diff": _diff,
    "explain": _explain,
    "hash": _hash,
    "template": _template,
    "secrets": _secrets,
    "docs": _docs,
}
