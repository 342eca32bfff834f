"""The class of this machine: absolute times compare within one class of runner only."""

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from kickoff.errors import KickoffError

VARIABLE = "KICKOFF_RUNNER_CLASS"

_BUSY = 2.0
"""Processes that want each processor, above which others are at work, too."""


def runner_class(environ: Mapping[str, str] | None = None) -> str:
    """Return the class of this machine, e.g. ``linux-x86_64-2cpu``, or what the variable names.

    Raises:
        KickoffError: The variable holds more than letters, digits, dots, hyphens and underscores.
    """
    named = (os.environ if environ is None else environ).get(VARIABLE, "")
    if not named:
        return f"{platform.system().lower()}-{platform.machine()}-{os.cpu_count() or 1}cpu"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", named):
        raise KickoffError(
            f"{VARIABLE} is {named!r}", hint="use letters, digits, dots, hyphens and underscores"
        )
    return named


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy(load: float, cores: int) -> str:
    """Return in words that a machine has too much to do to measure on it; empty when it has not.

    The load that a check makes itself keeps each processor at work, so only twice as much is somebody else's.
    """
    if load <= _BUSY * cores:
        return ""
    return f"the machine was busy: load {load:.0f} on {cores} cores; run again when it is quiet"


def processor() -> str:
    """Return the processor's model; empty when the system does not tell."""
    file = Path("/proc/cpuinfo")
    text = file.read_text("utf-8", "replace") if file.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor()
