"""The verb ``kickoff completion``: the script that lets a shell complete verbs, options and environments."""

import argparse
import sys

from kickoff.cli.parser import Verbs, add_verb
from kickoff.cli.verbs import VERBS
from kickoff.errors import KickoffError

_ENVIRONMENTS = "ls configs/environments 2>/dev/null | sed -n 's/\\.env$//p'"
_PREAMBLE = {
    "bash": f'_kickoff_environments() {{ compgen -W "$({_ENVIRONMENTS})" -- "$1"; }}',
    "zsh": f"_kickoff_environments() {{ compadd $({_ENVIRONMENTS}); }}",
}
_COMPLETE = {"bash": "_kickoff_environments", "zsh": "_kickoff_environments"}


def add(verbs: Verbs) -> None:
    """Add the verb."""
    child = add_verb(
        verbs,
        "completion",
        VERBS["completion"].text,
        _run,
        examples=("completion bash", "completion zsh"),
        env="",
    )
    child.add_argument("shell", choices=sorted(_PREAMBLE), help="which shell")


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.main import build

    try:
        import shtab
    except ImportError:
        raise KickoffError("shtab is not installed", hint="pip install shtab") from None

    command = build()
    _mark(command)
    sys.stdout.write(shtab.complete(command, arguments.shell, preamble=_PREAMBLE[arguments.shell]) + "\n")
    return 0


def _mark(parser: argparse.ArgumentParser) -> None:
    """Let every ``--env`` be completed by the names of the project's environments."""
    for action in parser._actions:
        if action.dest == "env":
            action.complete = _COMPLETE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                _mark(child)
