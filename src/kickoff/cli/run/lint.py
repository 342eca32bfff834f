"""The body of ``kickoff lint``."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kickoff import github, masking
from kickoff.cli import output
from kickoff.environment import findings
from kickoff.errors import ExitCode, KickoffError
from kickoff.lint import linter, sarif
from kickoff.lint.linter import Linted


def run(arguments: argparse.Namespace) -> int:
    """Show what is wrong with workflows, actions and their scripts; returns the exit code.

    Raises:
        KickoffError: A file cannot be read (exit 2), or another linter crashed (exit 3).
    """
    where = github.context()
    form = arguments.format or ("github" if where.active and not where.act else "text")
    found = linter.lint(arguments.paths or [Path()])
    text = _rendered(found, "json" if output.is_json() else form)
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        # What is masked is a secret; an annotation is a command, which the masks of the output would defuse.
        masking.unmasked(sys.stdout).write(masking.text(text))
    output.say(_closing(found))
    crashed = [one for one in found.tools if one.state == "crashed"]
    if crashed:
        raise KickoffError(
            f"{crashed[0].name} crashed, so what it would have found is not known",
            code=ExitCode.INCONCLUSIVE,
            causes=[f"{one.name}: {one.reason}" for one in crashed],
            hint=f"run `{crashed[0].name}` by itself, or take it off the PATH",
        )
    return ExitCode.REJECTED if found.findings else ExitCode.PASS


def _rendered(found: Linted, form: str) -> str:
    if form == "json":
        return json.dumps(_document(found), indent=1, ensure_ascii=False) + "\n"
    if form == "sarif":
        return sarif.render(found.findings)
    return (findings.as_github if form == "github" else findings.as_text)(found.findings)


def _document(found: Linted) -> dict[str, Any]:
    tools = [
        {"name": one.name, "state": one.state, "reason": one.reason, "findings": len(one.findings)}
        for one in found.tools
    ]
    return {
        "files": list(map(str, found.files)),
        "tools": tools,
        "findings": list(map(asdict, found.findings)),
    }


def _closing(found: Linted) -> str:
    """Return which linters ran, over how much, and the outcome."""
    own = len(found.findings) - sum(len(one.findings) for one in found.tools)
    ran = [f"{one.name} ({len(one.findings)})" for one in found.tools if one.state == "ran"]
    missing = [one.name for one in found.tools if one.state == "not installed"]
    lines = [f"read {findings.count(len(found.files), 'file')} with {', '.join([f'kickoff ({own})', *ran])}"]
    if missing:
        lines.append(f"not installed: {', '.join(missing)}; what it finds was not looked for")
    number = findings.count(len(found.findings), "problem")
    return "\n".join([*lines, f"✗ {number}" if found.findings else "✓ nothing found"])
