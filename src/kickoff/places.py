"""Where an environment keeps what it knows, on the machine that it runs on."""

import os
from collections.abc import Mapping
from pathlib import Path

HANDED_OVER = "KICKOFF_HANDED_OVER"
"""Variable that is set on a host while a script of a runner's does its work there."""


def state_root(service: str, environment: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder of an environment: ``KICKOFF_STATE_ROOT`` or the user's state home."""
    configured = environ.get("KICKOFF_STATE_ROOT")
    if configured:
        return Path(configured).absolute() / service / environment
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "kickoff" / service / environment
