"""The tables of inputs and outputs in the actions' READMEs, made from ``action.yml``."""

from collections.abc import Mapping
from typing import Any

BEGIN = "<!-- begin: generated from action.yml by scripts/docs/action_readmes.py -->"
END = "<!-- end: generated -->"


def tables(action: Mapping[str, Any]) -> str:
    """Return the generated part of a README: what goes in, what comes out."""
    inputs, outputs = action.get("inputs") or {}, action.get("outputs") or {}
    lines = ["## Inputs", ""]
    if inputs:
        lines += ["| name | required | default | description |", "| --- | --- | --- | --- |"]
        lines += [_input_row(name, entry) for name, entry in inputs.items()]
    else:
        lines.append("None.")
    lines += ["", "## Outputs", ""]
    if outputs:
        lines += ["| name | description |", "| --- | --- |"]
        lines += [f"| `{name}` | {_cell(entry['description'])} |" for name, entry in outputs.items()]
    else:
        lines.append("None.")
    return "\n".join(lines)


def refresh(readme: str, action: Mapping[str, Any]) -> str:
    """Return the README with its generated part brought up to date.

    Raises:
        ValueError: The README lacks the two marks, or has them more than once.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"needs exactly one `{BEGIN}` and one `{END}`")
    head, rest = readme.split(BEGIN)
    tail = rest.split(END)[1]
    return f"{head}{BEGIN}\n\n{tables(action)}\n\n{END}{tail}"


def _input_row(name: str, entry: Mapping[str, Any]) -> str:
    required = "yes" if entry.get("required") else "no"
    default = entry.get("default", "")
    shown = f"`{_cell(str(default))}`" if default else ""
    return f"| `{name}` | {required} | {shown} | {_cell(entry['description'])} |"


def _cell(text: str) -> str:
    escaped = " ".join(text.split()).replace("|", "\\|")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")
