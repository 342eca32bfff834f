"""The commands of ``environment-loader.py``: data goes to standard output, messages to standard error."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from kickoff import github, masking
from kickoff.environment import commands as checking
from kickoff.environment import comparison as across
from kickoff.environment import drift, loader, reference, secret_source
from kickoff.environment import schema as schemas
from kickoff.environment import template as scaffold
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


def main(argv: Sequence[str] | None = None, *, read_running: drift.Reader) -> int:
    """Run one command in the current folder's project.

    Args:
        argv: The arguments; by default those of the process.
        read_running: Reads what runs on the target, for ``drift``.

    Returns:
        The exit code: 0, 2 when something has to be corrected, 1 when what runs has drifted, 3 when a part
        could not be compared.

    Raises:
        KickoffError: The command cannot be carried out.
    """
    arguments = _parser().parse_args(argv)
    arguments.read_running = read_running
    return int(arguments.command(arguments, Path.cwd(), os.environ))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="environment-loader.py",
        description="Validate, show, compare and export the environments in configs/environments.",
        epilog="Keys and rules: docs/reference/environments.md. Exit code 2: something must be corrected.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        child.set_defaults(command=command)
        return child

    def add_env(child: argparse.ArgumentParser) -> None:
        child.add_argument("--env", required=True, metavar="NAME", help="the environment, e.g. staging")

    def add_reporting(child: argparse.ArgumentParser) -> None:
        child.add_argument(
            "--format",
            choices=("text", "json", "github", "markdown"),
            help="how findings are shown (default: github inside a workflow on GitHub, else text)",
        )
        child.add_argument("--evidence", type=Path, metavar="FOLDER", help="keep the outcome in this folder")

    validate = add("validate", checking.validate, "check the files against the schema and against each other")
    which = validate.add_mutually_exclusive_group()
    which.add_argument("--env", metavar="NAME", help="check this environment alone")
    which.add_argument("--all", action="store_true", help="check every environment (the default)")
    validate.add_argument(
        "--with-secrets", action="store_true", help="look the secrets up and check them too"
    )
    add_reporting(validate)

    load = add("load", _load, "show what a release would see; secrets are hidden")
    add_env(load)
    load.add_argument("--format", choices=("text", "json"), default="text")

    export = add("export", _export, "write the values, secrets included, for another program")
    add_env(export)
    export.add_argument(
        "--output", type=Path, metavar="FILE", help="write this file with mode 0600, at once or not at all"
    )
    export.add_argument("--format", choices=tuple(FORMATS), default="dotenv")
    export.add_argument(
        "--audience", choices=("all", "service", "pipeline"), default="all", help="whose keys (default: all)"
    )

    diff = add("diff", _diff, "show where two environments differ, and whether they may")
    diff.add_argument("left", metavar="A")
    diff.add_argument("right", metavar="B")
    diff.add_argument("--format", choices=("text", "json"), default="text")

    explain = add("explain", checking.explain, "describe a key: meaning, limits, rules, its value everywhere")
    explain.add_argument("key", metavar="KEY")

    add_env(add("hash", _hash, "print a hash that changes with any value and reveals none"))

    running = add(
        "drift",
        compare_running,
        "compare the file with the schema and with what runs on this machine",
    )
    add_env(running)
    running.add_argument(
        "--without-secrets",
        action="store_true",
        help="compare secrets between the places of the target alone, not with where they come from",
    )
    add_reporting(running)

    template = add("template", _template, "print the file of a new environment")
    add_env(template)
    template.add_argument("--output", type=Path, metavar="FILE", help="write this new file instead")

    secrets = add(
        "secrets", _secrets, "list the secrets of an environment and whether they are set, by name only"
    )
    add_env(secrets)
    secrets.add_argument("--format", choices=("text", "json"), default="text")

    docs = add("docs", _docs, f"write {reference.PAGE} from the schema")
    docs.add_argument("--check", action="store_true", help="only tell whether the page is up to date")
    return parser


def _load(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    environment = loader.load(arguments.env, root, environ)
    shown = environment.redacted()
    if arguments.format == "json":
        document = {"name": environment.name, "hash": environment.hash, "values": shown}
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return ExitCode.PASS
    width = max(map(len, shown))
    sys.stdout.write(f"{environment.name}: {count(len(shown), 'key')}, hash {environment.hash[:12]}\n\n")
    sealed = Sealed(root, environment.name, environ)
    for key, text in shown.items():
        source = secret_source.origin(key, environ, sealed) or "its default"
        note = f"(secret, from {source})" if text == REDACTED and key in environment.secrets else text
        sys.stdout.write(f"{key:{width}}  {note or '(empty)'}\n")
    return ExitCode.PASS


def _export(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    environment = loader.load(arguments.env, root, environ)
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
    sys.stderr.write(
        f"wrote {count(len(values), 'key')} of {environment.name} to {arguments.output}"
        f" ({arguments.format}, readable by its owner alone)\n"
    )
    return ExitCode.PASS


def _mask(environment: Environment, sealed: Sealed, environ: Mapping[str, str]) -> None:
    for key in sorted(environment.secrets):
        if secret_source.origin(key, environ, sealed):
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
    "secret": "secret",
}


def _hash(arguments: argparse.Namespace, root: Path, environ: Mapping[str, str]) -> int:
    sys.stdout.write(loader.load(arguments.env, root, environ).hash + "\n")
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
        sys.stdout.write(text)
        return ExitCode.PASS
    if arguments.output.exists():
        raise KickoffError(
            f"{arguments.output} exists already", hint="name a new file, or remove that one first"
        )
    if not arguments.output.parent.is_dir():
        raise KickoffError(f"the folder {arguments.output.parent} does not exist")
    write_atomic(arguments.output, text)
    sys.stderr.write(f"wrote {arguments.output}; adapt it, then run `validate`\n")
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
        sys.stderr.write(f"{reference.PAGE} is up to date\n")
        return ExitCode.PASS
    if arguments.check:
        raise KickoffError(
            f"{reference.PAGE} does not match the schema",
            hint="run `scripts/deploy/environment-loader.py docs`",
        )
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(page, text)
    sys.stderr.write(f"wrote {reference.PAGE}\n")
    return ExitCode.PASS


def _table(head: list[str], rows: list[list[str]]) -> None:
    sys.stdout.write(in_columns(head, rows))
