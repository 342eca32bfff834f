"""The parser that every verb has: no abbreviations, common options, examples and exit codes in its help."""

import argparse
import math
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from kickoff.cli.verbs import SECTIONS
from kickoff.errors import KickoffError

Run = Callable[[argparse.Namespace], int]
Verbs = Any
"""What ``add_subparsers`` returns: argparse keeps its type private."""
WIDTH, HEIGHT = 80, 24
"""Of a terminal that shows a help text at once; in one that is longer, what most people want comes first."""
CODES = {
    0: "passed",
    1: "rejected",
    2: "bad input",
    3: "inconclusive",
    4: "unreachable",
    5: "rolled back",
    6: "rollback failed",
    75: "busy",
    130: "interrupted",
}
OUTPUT = {
    "json": "print one JSON document on standard output",
    "quiet": "print results and errors alone",
    "verbose": "also print every step and where it runs",
}
"""The options that say how a verb speaks; in a help text they share a line."""
_OUTPUT = f"{', '.join(f'--{name}' for name in OUTPUT)}: one JSON document, results alone, every step"
RELEASE_CODES = tuple(CODES)
READ_CODES = (0, 2, 4)


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and reports a mistake as every command does."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of argparse
        super().__init__(allow_abbrev=False, formatter_class=_formatter(), **options)
        self.spellings: dict[tuple[str, str], str] = {}

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:  # noqa: ANN401 - that of the type
        """Keep how a value was written: ``10s`` cannot be told from 10.0."""
        value = super()._get_value(action, arg_string)
        self.spellings[action.dest, str(value)] = arg_string
        return value

    def format_help(self) -> str:
        """Return the help of a verb, as short as a screen where that is possible.

        A verb with verbs of its own has the plain one: its table of them.
        """
        if self.get_default("run") is None:
            return super().format_help()
        own = [action for action in self._actions if action.dest not in (*OUTPUT, "help")]
        options = self._get_formatter()
        options.start_section("options")
        options.add_arguments(own)
        options.end_section()
        usage = wrap(" ".join([f"usage: {self.prog}", *filter(None, map(_word, own)), "[OPTIONS]"]))
        listed = f"{options.format_help().rstrip() or 'options:'}\n  {_OUTPUT}"
        first = [f"{usage}\n{self.description}", listed, f"{self.epilog}"]
        fits = "\n\n".join(first).count("\n") + 1 < HEIGHT  # one row is the prompt's
        return "\n\n".join(first if fits else [first[0], first[2], first[1]]) + "\n"

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            KickoffError: Always (exit 2).
        """
        raise KickoffError(
            f"{self.prog}: {message}", hint=f"`{self.prog} --help` lists its arguments with examples"
        )


class Command(Parser):
    """The parser of ``kickoff`` itself; its help is the table of verbs."""

    def format_help(self) -> str:
        """Return the help: the verbs in their sections, and the exit codes."""
        lines = ["usage: kickoff [--project DIR] VERB [OPTIONS]", "", f"{self.description}"]
        for section in SECTIONS:
            lines += ["", f"{section.title}:"]
            lines += [f"  {name:<12}{verb.text}" for name, verb in section.verbs.items()]
        lines += ["", "options:", "  -h, --help  show this help, or that of a verb: kickoff VERB --help"]
        lines += ["  --project   the project's folder, before the verb (default: this one)"]
        lines += ["  --version   show the version", "", _codes(tuple(CODES)), ""]
        return "\n".join(lines)


def add_verb(
    verbs: Verbs,
    name: str,
    text: str,
    run: Run,
    *,
    examples: Sequence[str],
    codes: Sequence[int] = (0, 2),
    env: str = "required",
    at_target: bool | Callable[[argparse.Namespace], bool] = False,
) -> Parser:
    """Add a verb with the options that all have, and return its parser for more.

    Args:
        verbs: What the verb is added to.
        name: The verb.
        text: One line about it.
        run: Its body; it takes the parsed arguments and returns the exit code.
        examples: Command lines without the leading ``kickoff``.
        codes: The exit codes it may end with, beside 130.
        env: ``required``, ``optional``, or empty for a verb that is about no environment.
        at_target: Whether it does its work on the environment's host.
    """
    shown = sorted({*codes, 130})
    epilog = "examples:\n" + "\n".join(f"  kickoff {line}" for line in examples) + f"\n\n{_codes(shown)}"
    child: Parser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog
    )
    if env:
        child.add_argument(
            "--env",
            required=env == "required",
            default="",
            metavar="NAME",
            help="the environment, e.g. staging",
        )
    add_output(child)
    decide = at_target if callable(at_target) else partial(_constant, at_target)
    child.set_defaults(run=run, parser=child, at_target=decide)
    return child


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a verb speaks."""
    parser.add_argument("--json", action="store_true", help=OUTPUT["json"])
    loud = parser.add_mutually_exclusive_group()
    for name in ("quiet", "verbose"):
        loud.add_argument(f"--{name}", action="store_true", help=OUTPUT[name])


def add_group(verbs: Verbs, name: str, text: str) -> Verbs:
    """Add a verb that has verbs of its own, and return what they are added to."""
    child = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    return child.add_subparsers(required=True, metavar="VERB", title="verbs", parser_class=Parser)


def add_wait(parser: argparse.ArgumentParser, default: float, what: str) -> None:
    """Add the option that says how long to wait for a lock."""
    parser.add_argument(
        "--wait",
        type=float,
        default=default,
        metavar="SECONDS",
        help=f"wait for {what} (default: {default:g})",
    )


def add_allowance(parser: argparse.ArgumentParser) -> None:
    """Add the option that gives a release a budget of its own for the comparison with live."""
    parser.add_argument(
        "--perf-allow-once",
        type=_budget,
        default="",
        metavar="TEXT",
        help="what it may cost once, e.g. 'tracing costs 15 %%'",
    )


def _budget(text: str) -> str:
    if not text.strip():
        return ""
    from kickoff.performance import allowance

    allowance.parse(text)
    return text.strip()


def positive(text: str) -> float:
    """Return the number that an argument is; it must be above 0 and have an end."""
    value = float(text)
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def path(text: str) -> Path | None:
    """Return a path; ``None`` for the empty text, which a workflow gives for nothing."""
    return Path(text) if text else None


def _constant(value: bool, _arguments: argparse.Namespace) -> bool:
    return value


def _word(action: argparse.Action) -> str:
    """Return how an argument that must be given, or has no option, is typed; empty for others."""
    name = str(action.metavar or action.dest)
    if action.option_strings:
        return f"{action.option_strings[-1]}\xa0{name if action.metavar else name.upper()}" * action.required
    return f"[{name}]" if action.nargs in ("?", "*") else name


def _codes(codes: Sequence[int]) -> str:
    known = ", ".join(f"{code} {CODES[code]}".replace(" ", "\xa0") for code in codes)
    return wrap(f"exit codes: {known}; `kickoff\xa0explain\xa0CODE` says more")


def wrap(text: str, indent: str = "  ") -> str:
    """Return lines that fit; what a no-break space joins stays together."""
    filler = textwrap.TextWrapper(
        WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return filler.fill(text).replace("\xa0", " ")


def _formatter() -> Any:  # noqa: ANN401 - argparse wants a class, and takes any callable
    return partial(argparse.RawDescriptionHelpFormatter, width=WIDTH, max_help_position=26)
