"""The parser that every verb has: no abbreviations, common options, examples and exit codes in its help."""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from kickoff.cli.verbs import SECTIONS
from kickoff.errors import KickoffError

Run = Callable[[argparse.Namespace], int]
Verbs = Any
"""What ``add_subparsers`` returns: argparse keeps its type private."""
WIDTH = 80
CODES = {
    0: "passed",
    1: "rejected",
    2: "bad input or configuration",
    3: "inconclusive: too little is known to say yes",
    4: "the service or the target cannot be reached",
    5: "went live and was rolled back by itself",
    6: "the rollback failed: a person is needed now",
    75: "another run holds the lock",
    130: "interrupted",
}
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
        lines = ["usage: kickoff VERB [OPTIONS]", "", f"{self.description}"]
        for section in SECTIONS:
            lines += ["", f"{section.title}:"]
            lines += [f"  {name:<12}{verb.text}" for name, verb in section.verbs.items()]
        lines += ["", "options:", "  -h, --help  show this help, or that of a verb: kickoff VERB --help"]
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
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    loud = group.add_mutually_exclusive_group()
    loud.add_argument("--quiet", action="store_true", help="print results and errors alone")
    loud.add_argument("--verbose", action="store_true", help="also print every step and where it runs")


def add_group(verbs: Verbs, name: str, text: str) -> Verbs:
    """Add a verb that has verbs of its own, and return what they are added to."""
    child = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    return child.add_subparsers(required=True, metavar="VERB", title="verbs", parser_class=Parser)


def positive(text: str) -> float:
    """Return the number that an argument is; it must be above 0 and have an end."""
    value = float(text)
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _constant(value: bool, _arguments: argparse.Namespace) -> bool:
    return value


def _codes(codes: Sequence[int]) -> str:
    return "exit codes:\n" + "\n".join(f"  {code:<4}{CODES[code]}" for code in codes)


def _formatter() -> Any:  # noqa: ANN401 - argparse wants a class, and takes any callable
    return partial(argparse.RawDescriptionHelpFormatter, width=WIDTH, max_help_position=30)
