"""The stack of containers around the service: what a host needs first, bringing it up, and changing it."""

from kickoff.stack.changes import ALERTS, RELEASED, Stack, release_only
from kickoff.stack.compose import Compose, copied, file_of, project_of, source_files, source_of
from kickoff.stack.declaration import NOTHING, Declaration, document_of, every_key, every_secret, read
from kickoff.stack.differences import STATEFUL, Change, differences
from kickoff.stack.preparing import folder_of, open_stack, prepare, sources, upcoming, variables
from kickoff.stack.primary import promote_replica
from kickoff.stack.restoring import moment_of, restore
from kickoff.stack.rotation import Rotation, under_way

__all__ = [
    "ALERTS",
    "NOTHING",
    "RELEASED",
    "STATEFUL",
    "Change",
    "Compose",
    "Declaration",
    "Rotation",
    "Stack",
    "copied",
    "differences",
    "document_of",
    "every_key",
    "every_secret",
    "file_of",
    "folder_of",
    "moment_of",
    "open_stack",
    "prepare",
    "project_of",
    "promote_replica",
    "read",
    "release_only",
    "restore",
    "source_files",
    "source_of",
    "sources",
    "under_way",
    "upcoming",
    "variables",
]
