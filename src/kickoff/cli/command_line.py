"""Parsed arguments as a command line again: what another machine is sent, whatever had been typed."""

import argparse
from collections.abc import Mapping


def render(arguments: argparse.Namespace, changed: Mapping[str, object] | None = None) -> list[str]:
    """Return the words that give these arguments when they are parsed.

    Args:
        arguments: What the parser of a verb returned.
        changed: Other values, by name; ``None`` leaves the argument out.
    """
    values = vars(arguments) | dict(changed or {})
    words, spelt = arguments.parser.prog.split()[1:], arguments.parser.spellings
    last: list[str] = []
    for action in arguments.parser._actions:
        value = values.get(action.dest, action.default)
        if value is None or value == action.default or action.dest == "help":
            continue
        if not action.option_strings:
            last += map(str, value if isinstance(value, list) else [value])
        elif action.nargs == 0:
            words.append(action.option_strings[-1])
        elif isinstance(value, list) and action.nargs in ("+", "*"):
            words += [action.option_strings[-1], *map(str, value)]
        else:
            each = value if isinstance(value, list) else [value]
            words += [
                f"{action.option_strings[-1]}={spelt.get((action.dest, str(one)), one)}" for one in each
            ]
    return [*words, *(["--", *last] if last else [])]
