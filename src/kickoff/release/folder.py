"""What a release folder says of itself; written by :mod:`kickoff.release.assembly`."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from kickoff import masking

DESCRIPTION, ENVIRONMENT, SETTINGS = "release.json", "environment.json", "settings.json"


def describe(folder: Path) -> dict[str, Any]:
    """Return the description of a release folder; empty when it is not (or no longer) there."""
    return _object(folder / DESCRIPTION)


def hide_recorded(releases: Path) -> None:
    """Hide the secrets of every kept release: what runs may have older ones than those of today."""
    for folder in releases.glob("*"):
        with suppress(ValueError):  # a damaged one cannot be started, either
            environment_of(folder)


def environment_of(folder: Path) -> dict[str, str]:
    """Return the values a release is started with, secrets included; empty when it is not there.

    Its secrets are hidden from now on: they may be older than those of today.
    """
    values: dict[str, str] = _object(folder / ENVIRONMENT)
    masking.hide(*(values[key] for key in _object(folder / SETTINGS).get("secrets", ()) if key in values))
    masking.hide_environment(values)
    return values


def _object(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return document
