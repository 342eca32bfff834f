"""The stack of containers around the service: what a host needs first, bringing it up, and changing it."""

from kickoff.stack.changes import RELEASED, STATEFUL, Change, Stack, differences, release_only
from kickoff.stack.compose import Compose, file_of
from kickoff.stack.preparing import (
    NETWORK,
    STACKS,
    THRESHOLDS,
    ensure_network,
    folder_of,
    open_stack,
    prepare,
    sources,
    variables,
)

__all__ = [
    "NETWORK",
    "RELEASED",
    "STACKS",
    "STATEFUL",
    "THRESHOLDS",
    "Change",
    "Compose",
    "Stack",
    "differences",
    "ensure_network",
    "file_of",
    "folder_of",
    "open_stack",
    "prepare",
    "release_only",
    "sources",
    "variables",
]
