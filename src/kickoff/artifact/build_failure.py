"""The failure of a build, of whichever kind of artefact."""

from collections.abc import Sequence

from kickoff import logs
from kickoff.errors import ExitCode, KickoffError

_SHOWN, _KEPT = 15, 40
"""Lines of its log that the error shows, and that the evidence keeps."""


class BuildFailed(KickoffError):
    """A build that was refused (exit 1); ``log`` is what it said last.

    Args:
        message: What failed.
        log: What it said.
        hint: The way out.
        at: Where it is described.
    """

    def __init__(self, message: str, *, log: Sequence[str], hint: str, at: str = "") -> None:
        shown = logs.excerpt(log, _SHOWN).lines
        super().__init__(message, code=ExitCode.REJECTED, causes=shown, at=at, hint=hint)
        self.log = tuple(logs.of_command(log, _KEPT))
