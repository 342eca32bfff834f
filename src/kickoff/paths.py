"""Paths, ports and the user of this machine: where an environment's state is kept, and where it is served."""

import os
import re
from collections.abc import Mapping
from getpass import getuser
from pathlib import Path

from kickoff.errors import KickoffError

# What a path list, the supervisor's configuration, its pattern of files and Traefik's command line cannot
# hold, however quoted; and what is no UTF-8, which reads as lone surrogates.
_UNFIT = re.compile(r"[\x00-\x1f\x7f$:*?\[\ud800-\udfff]|\s[;#]|%\(here\)s")
STATE_HOME = ("XDG_STATE_HOME", ".local/state")
"""Variable that names the home of state, and the folder below the user's home that is it without one."""
HANDED_OVER = "KICKOFF_HANDED_OVER"
"""Variable that is set on a host while a script of a runner's does its work there."""


METRICS = "metrics"
"""Folder below an environment's state folder with files for Prometheus."""


def state_root(service: str, environment: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder of an environment: ``KICKOFF_STATE_ROOT`` or the user's state home.

    Raises:
        KickoffError: There is no such home, or the path holds what a configuration cannot (exit 2).
    """
    folder = state_base(environ) / service / environment
    unfit = _UNFIT.search(str(folder))
    if unfit is not None:
        raise KickoffError(
            f"the state folder's path has {unfit[0]!a}, which cannot be written into configurations",
            at=ascii(str(folder))[1:-1],
            hint="set KICKOFF_STATE_ROOT to a path in UTF-8 without control characters, "
            "`$`, `:`, `*`, `?`, `[`, ` ;`, ` #` and `%(here)s`",
        )
    return folder


def state_base(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of every environment's state: ``KICKOFF_STATE_ROOT``, or one in the state home.

    Raises:
        KickoffError: The user has no home (exit 2).
    """
    configured = environ.get("KICKOFF_STATE_ROOT")
    base = Path(configured) if configured else _home(environ, *STATE_HOME, "KICKOFF_STATE_ROOT") / "kickoff"
    return base.absolute()


def cache_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return ``XDG_CACHE_HOME`` or its default.

    Raises:
        KickoffError: The user has no home (exit 2).
    """
    return _home(environ, "XDG_CACHE_HOME", ".cache", "XDG_CACHE_HOME")


def _home(environ: Mapping[str, str], variable: str, below: str, hint: str) -> Path:
    try:
        return Path(environ.get(variable) or Path.home() / below)
    except RuntimeError:
        raise KickoffError(
            f"user {os.getuid()} has no home: HOME is not set, and the system does not know the user",
            hint=f"set HOME, or {hint}",
        ) from None


def user() -> str:
    """Return the user's name; its number where the system knows no name, as in many containers."""
    try:
        return getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def public_port(
    configured: int, environ: Mapping[str, str] = os.environ, variable: str = "KICKOFF_PORT"
) -> int:
    """Return the port that a variable of the caller names, or the environment's own.

    Raises:
        KickoffError: It is not the number of a port (exit 2).
    """
    text = environ.get(variable, "")
    if not text:
        return configured
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise KickoffError(
            f"{variable} is {text!r}, not the number of a port",
            hint=f"set it to a number from 1 to 65535, or unset it for {configured}",
        )
    return int(text)
