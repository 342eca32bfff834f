"""Output of the verbs: results on standard output, everything else on standard error, as the options say."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from kickoff.errors import KickoffError

_options = argparse.Namespace(json=False, quiet=False, verbose=False)


def configure(arguments: argparse.Namespace) -> None:
    """Speak as the options of this command say, until the next call."""
    for name in vars(_options):
        setattr(_options, name, bool(getattr(arguments, name, False)))


def is_json() -> bool:
    """Return whether the result is wanted as one JSON document."""
    return bool(_options.json)


def is_quiet() -> bool:
    """Return whether only results and errors are wanted."""
    return bool(_options.quiet)


def say(text: str) -> None:
    """Print progress on standard error, unless only results are wanted."""
    if not _options.quiet:
        sys.stderr.write(f"{text}\n")


def detail(text: str) -> None:
    """Print on standard error what only a curious reader wants."""
    if _options.verbose:
        sys.stderr.write(f"{text}\n")


def result(document: Any, text: str = "") -> None:  # noqa: ANN401 - what JSON can hold
    """Print the result on standard output: the document with ``--json``, otherwise the text."""
    if _options.json:
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    elif text:
        sys.stdout.write(f"{text}\n")


def evidence_folder() -> Path:
    """Return where evidence is kept; what reads and writes it is loaded for this alone."""
    from kickoff.evidence import files

    return files.folder()


def report_folder(evidence: Path) -> Path:
    """Return where the report over a folder of evidence is kept."""
    return Path(os.environ.get("KICKOFF_REPORT_DIR") or evidence.parent / "report")


def outcome(report: Path) -> dict[str, Any]:
    """Return what a report says became of its run: its ``outcome.json``.

    Raises:
        KickoffError: There is no report (exit 2).
    """
    try:
        document: dict[str, Any] = json.loads((report / "outcome.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "write it first: `kickoff report`"
        raise KickoffError("there is no report", at=str(report), hint=hint) from None
    return document


def said(key: str, value: object) -> str:
    """Return a detail of a step in words: ``on blue``, ``at 25%``, ``blue 25%, green 75%``."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {share}%" for name, share in value.items())
    return f"at {value}%" if key == "percent" else f"on {value}"
