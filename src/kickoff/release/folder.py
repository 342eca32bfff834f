"""The description in a release folder; written by :mod:`kickoff.release.assembly`."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError

DESCRIPTION, ENVIRONMENT, SETTINGS = "release.json", "environment.json", "settings.json"


def describe(folder: Path) -> dict[str, Any]:
    """Return the description of a release folder; empty when it is not (or no longer) there."""
    return read_object(folder / DESCRIPTION)


def passed(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of the caller that the hooks of a release are given; never recorded."""
    return {name: environ[name] for name in describe(folder).get("passed", ()) if name in environ}


def workers_of(folder: Path) -> dict[str, Any]:
    """Return the workers of a release by name: each one's command, health command, file and line."""
    return dict(describe(folder).get("workers", {}))


def hide_recorded(releases: Path) -> None:
    """Hide the secrets of every kept release: what runs may have older ones than those of today."""
    for folder in releases.glob("*"):
        with suppress(KickoffError):  # a damaged one cannot be started, either
            environment_of(folder)


def environment_of(folder: Path) -> dict[str, str]:
    """Return the values a release is started with, secrets included; empty when it is not there.

    Its secrets are hidden from now on: they may be older than those of today.
    """
    values: dict[str, str] = read_object(folder / ENVIRONMENT)
    masking.hide(*(values[key] for key in read_object(folder / SETTINGS).get("secrets", ()) if key in values))
    masking.hide_environment(values)
    return values


def read_object(path: Path, part: str = "") -> dict[str, Any]:
    """Return the JSON object in a file, or the object ``part`` of it; empty when there is none.

    Raises:
        KickoffError: The file is damaged (exit 4).
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document.get(part, {}) if part else document
        return dict(found.items())
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        raise damaged(path) from None


def damaged(path: Path) -> KickoffError:
    """Return the error for a file that cannot be read."""
    # What stands in the file may be a secret, so the parser's words are left out.
    return KickoffError(f"{path.name} is damaged", code=ExitCode.UNREACHABLE, at=str(path))
