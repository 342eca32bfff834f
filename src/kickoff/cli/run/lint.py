"""The body of ``kickoff lint``."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from kickoff import github, masking
from kickoff.cli import output
from kickoff.environment import findings
from kickoff.errors import ExitCode, KickoffError
from kickoff.lint import linter, sarif


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong with workflows, actions and their scripts; returns the exit code.

    Raises:
        KickoffError: A file cannot be read (exit 2), or another linter crashed (exit 3).
    """
    where = github.context()
    form = arguments.format or ("github" if where.active and not where.act else "text")
    found = linter.lint(arguments.paths or [Path()])
    document = {
        "files": list(map(str, found.files)),
        "tools": [
            {"name": one.name, "state": one.state, "reason": one.reason, "findings": len(one.findings)}
            for one in found.tools
        ],
        "findings": list(map(asdict, found.findings)),
    }
    if output.is_json():
        output.result(document)
    elif form == "sarif":
        output.result({}, sarif.render(found.findings).rstrip())
    else:
        if form == "github":
            masking.unmasked(sys.stdout).write(masking.text(findings.as_github(found.findings)))
        else:
            sys.stdout.write(findings.as_text(found.findings))
        output.result({}, _closing(found))
    crashed = [one for one in found.tools if one.state == "crashed"]
    if crashed:
        raise KickoffError(
            f"{crashed[0].name} crashed, so what it would have found is not known",
            code=ExitCode.INCONCLUSIVE,
            causes=[f"{one.name}: {one.reason}" for one in crashed],
            hint=f"run `{crashed[0].name}` by itself, or take it off the PATH",
        )
    return ExitCode.REJECTED if found.findings else ExitCode.PASS


def _closing(found: linter.Linted) -> str:
    """Return which linters ran, over how much, and the outcome."""
    own = len(found.findings) - sum(len(one.findings) for one in found.tools)
    ran = [
        f"kickoff ({own})",
        *(f"{one.name} ({len(one.findings)})" for one in found.tools if one.state == "ran"),
    ]
    missing = [one.name for one in found.tools if one.state == "not installed"]
    lines = [f"read {findings.count(len(found.files), 'file')} with {', '.join(ran)}"]
    if missing:
        lines.append(f"not installed: {', '.join(missing)}; what it finds is not looked for")
    number = findings.count(len(found.findings), "problem")
    return "\n".join([*lines, f"✗ {number}" if found.findings else "✓ nothing found"])
