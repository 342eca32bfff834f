"""What a release folder says of itself; written by :mod:`kickoff.release.assembly`."""

import json
from pathlib import Path
from typing import Any

DESCRIPTION, ENVIRONMENT = "release.json", "environment.json"


def describe(folder: Path) -> dict[str, Any]:
    """Return the description of a release folder; empty when it is not (or no longer) there."""
    try:
        document: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return document


def environment_of(folder: Path) -> dict[str, str]:
    """Return the values a release is started with, secrets included; empty when it is not there."""
    try:
        values: dict[str, str] = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return values
