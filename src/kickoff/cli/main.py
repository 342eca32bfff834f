"""From the typed words to the exit code: parse once, hand over to the environment's host or run here."""

import argparse
import importlib
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from kickoff import bootstrap
from kickoff.cli import command_line, output, refusal
from kickoff.cli.parser import Command, Parser
from kickoff.cli.verbs import PROJECT, VERBS, split
from kickoff.errors import KickoffError
from kickoff.paths import HANDED_OVER
from kickoff.program import run as guarded

DESCRIPTION = "Ship a service without failed requests; prove each release before users meet it."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb that the arguments name; return its exit code.

    Args:
        argv: The arguments without the program's name; by default those of the process.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(given))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments; ``project`` is the folder named before the verb, or empty.

    Raises:
        KickoffError: They are not those of any verb (exit 2).
    """
    project, argv = split(argv)
    first = argv[0] if argv else ""
    if PROJECT in (word.partition("=")[0] for word in argv[: _options_end(argv)]):
        raise KickoffError(
            f"{PROJECT} stands before the verb",
            hint=f"`kickoff {PROJECT} DIR {first if first in VERBS else 'VERB'}`",
        )
    if first and not first.startswith("-") and first not in VERBS:
        near = get_close_matches(first, VERBS, 1)
        hint = f"did you mean `kickoff {near[0]}`?" if near else "`kickoff --help` lists the verbs"
        raise KickoffError(f"kickoff has no verb {first!r}", hint=hint)
    # The help and the version need no group, so the lightest one does.
    arguments = build(first if first in VERBS else "doctor").parse_args(argv or ["--help"])
    arguments.project = project or ""
    return arguments


def _options_end(argv: Sequence[str]) -> int:
    return argv.index("--") if "--" in argv else len(argv)


def build(only: str = "") -> Parser:
    """Return the parser of one verb's group, or of all verbs."""
    command = Command(prog="kickoff", description=DESCRIPTION)
    command.add_argument("--version", action=_Version, nargs=0, help="show the version")
    # It is taken off before anything is parsed; only its place without a folder or a verb comes here.
    command.add_argument(PROJECT, metavar="DIR", help="work in this folder's project")
    verbs = command.add_subparsers(metavar="VERB", required=True, parser_class=Parser)
    groups = [VERBS[only].group] if only in VERBS else dict.fromkeys(verb.group for verb in VERBS.values())
    for group in groups:
        importlib.import_module(f"kickoff.cli.{group}").add(verbs)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Run a parsed verb: on the host of its environment where that is another machine, otherwise here.

    A hint that needs an environment names this one.
    """
    output.configure(arguments)
    began, started = time.monotonic(), time.time()
    host = _host(arguments)
    output.detail(f"kickoff {version()}, {Path.cwd()}, {f'on {host}' if host else 'on this machine'}")
    if host:
        output.say(f"… reaching {host}")
    try:
        if before := getattr(arguments, "before", None):
            before(arguments)
        code = _hand_over(host, arguments) if host else int(arguments.run(arguments))
    except KickoffError as error:
        error.name_environment(getattr(arguments, "env", "") or "")
        refusal.leave(arguments, error, started)
        raise
    output.detail(f"ended with exit code {code} after {time.monotonic() - began:.1f} s")
    return code


def _run(argv: Sequence[str]) -> int:
    """Parse and run a verb; the commands in an error's hint are written as they can be typed here."""
    typed = program()
    project, _ = split(argv)
    try:
        if project is not None:
            _enter(project)
            typed += f" {PROJECT} {shlex.quote(project)}"
        return run(parse(argv))
    except KickoffError as error:
        error.hint = re.sub(r"`kickoff (?=[a-z-])", lambda _: f"`{typed} ", error.hint)
        error.docs = error.docs.replace("kickoff", typed, 1)
        raise


def _enter(project: str) -> None:
    """Make the project's folder the working folder, which is where every verb finds the project.

    Raises:
        KickoffError: There is no such folder (exit 2).
    """
    try:
        os.chdir(project)
    except OSError as error:
        raise KickoffError(
            f"{PROJECT} {project}: {error.strerror}",
            hint="name the folder with the project's kickoff.yml, relative to this one",
        ) from None


def program() -> str:
    """Return how this command is typed: by its name where it is on the PATH, otherwise by its place.

    What was handed over is told to somebody at another machine, where the place of this copy means nothing.
    """
    own = Path(bootstrap.ROOT, ".venv", "bin", "kickoff")
    if HANDED_OVER in os.environ or shutil.which("kickoff") or not bootstrap.IN_CHECKOUT:
        return "kickoff"
    place = os.path.relpath(own if own.is_file() else bootstrap.PACKAGE)
    return shlex.quote(place) if own.is_file() else f"python3 {shlex.quote(place)}"


def _hand_over(host: str, arguments: argparse.Namespace) -> int:
    from kickoff.host import remote

    words = command_line.render(arguments, remote.moved(arguments))
    return remote.hand_over(host, arguments, words, Path.cwd())


def version() -> str:
    """Return the version of this package, from its own file: a checkout has no metadata."""
    from kickoff import __version__

    return __version__


def _commit() -> str:
    """Return what a checkout adds to its version: its commit, and whether files differ from it."""
    if not (bootstrap.IN_CHECKOUT and Path(bootstrap.ROOT, ".git").exists()):
        return ""
    from kickoff import git

    try:
        found = git.run(Path(bootstrap.ROOT), "describe", "--always", "--dirty=.dirty", "--exclude=*")
    except KickoffError:
        return ""  # what git cannot say makes the version no less true
    return f"+{found.stdout.strip()}"


def _host(arguments: argparse.Namespace) -> str:
    """Return the address of the other machine that the verb belongs to; empty for this one."""
    name = getattr(arguments, "env", "")
    if not name or HANDED_OVER in os.environ or not arguments.at_target(arguments):
        return ""
    from kickoff.environment import loader, schema

    root = Path.cwd()
    if not _mentions_host(root / schema.FOLDER / f"{name}.env"):
        return ""
    try:
        checked = loader.inspect(name, root, schema.read(root), with_secrets=False)
    except KickoffError:
        return _written(root / schema.FOLDER / f"{name}.env")
    return checked.values.get("DEPLOY_HOST", "")


def _mentions_host(path: Path) -> bool:
    """Return whether a file may name a host: most do not, and need no schema to say so."""
    return path.is_file() and b"DEPLOY_HOST" in path.read_bytes()


def _written(path: Path) -> str:
    """Return the host that a file names, when the schema or another file cannot be read.

    A verb for emergencies works all the same then, and must not do so on the wrong machine.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    found = re.search(r"""^DEPLOY_HOST=(["']?)(.*?)\1\s*(#.*)?$""", text, re.MULTILINE)
    return os.path.expandvars(found[2]) if found else ""


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_rest: object) -> None:
        sys.stdout.write(f"kickoff {version()}{_commit()}\n")
        parser.exit()
