#!/usr/bin/env python3
"""Say what the OpenAPI document changes since the last release; refuse a break without a new major."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import json
from typing import Any

from kickoff import errors, git, github, openapi
from kickoff.errors import ExitCode, KickoffError


def main() -> int:
    """Compare, tell every change, and return the exit code."""
    arguments = _parser().parse_args()
    root = Path.cwd()
    release = arguments.against or _last_release(root)
    if not release:
        print(
            "not applicable: no tag v* is an ancestor of this commit, so there is no release to compare with"
        )
        return ExitCode.PASS
    old = _document(
        git.run(root, "show", f"{release}:{arguments.document}").stdout,
        f"{arguments.document} of {release}",
    )
    new = _document((root / arguments.document).read_text(encoding="utf-8"), arguments.document)
    changes = openapi.compare(old, new)
    breaking = [change for change in changes if change.breaking]
    for change in changes:
        print(change)
    allowed = openapi.major(new) > openapi.major(old)
    summary = (
        f"{len(breaking)} breaking and {len(changes) - len(breaking)} compatible changes since {release}"
    )
    if breaking:
        github.annotate("warning" if allowed else "error", summary, arguments.document, title="Interface")
    if breaking and not allowed:
        raise KickoffError(
            f"{summary}, and the major version is still {openapi.major(new)}",
            code=ExitCode.REJECTED,
            at=arguments.document,
            causes=[str(change) for change in breaking[:5]],
            hint="keep what clients use beside what replaces it, or raise the application's major version",
        )
    print(f"{summary}{'; the major version is a new one' if breaking else ''}")
    return ExitCode.PASS


def _last_release(root: Path) -> str:
    found = git.run(root, "describe", "--tags", "--abbrev=0", "--match", "v*", check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def _document(text: str, name: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise KickoffError(f"{name} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise KickoffError(f"{name} is not an OpenAPI document")
    return document


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REF", help="compare with this ref (default: the last tag v*)")
    parser.add_argument(
        "--document",
        default="docs/reference/openapi.json",
        help="path of the document (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(errors.run(main))
