"""Where an environment keeps what it knows, on the machine that it runs on."""

import os
from collections.abc import Mapping
from pathlib import Path


def state_root(service: str, environment: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder of an environment: ``KICKOFF_STATE_ROOT`` or the user's state home."""
    configured = environ.get("KICKOFF_STATE_ROOT")
    if configured:
        return Path(configured).absolute() / service / environment
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "kickoff" / service / environment
