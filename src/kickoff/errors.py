"""The exit codes every command shares, and the error that carries one to the terminal."""

from collections.abc import Sequence
from enum import IntEnum

from kickoff import masking


class ExitCode(IntEnum):
    """Exit codes of every command; scripts and workflows branch on these."""

    PASS = 0
    REJECTED = 1
    BAD_INPUT = 2
    INCONCLUSIVE = 3
    UNREACHABLE = 4
    ROLLED_BACK = 5
    ROLLBACK_FAILED = 6
    LOCK_HELD = 75
    INTERRUPTED = 130


class KickoffError(Exception):
    """A failure a person can act on: one line, its causes, where, and how to fix it.

    Secrets are masked in all of it from the beginning: it may quote what a program or a page said.

    Args:
        message: What went wrong, with the value found.
        code: The exit code of the command.
        causes: The chain below the message, outermost first.
        at: Where the mistake stands, as ``file:line``.
        hint: The command or the change that fixes it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ExitCode = ExitCode.BAD_INPUT,
        causes: Sequence[str] = (),
        at: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(masking.text(message))
        self.code = code
        self.causes = tuple(map(masking.text, causes))
        self.at = masking.text(at)
        self.hint = masking.text(hint)

    def render(self) -> str:
        """Return the text for standard error: message, causes, place and hint."""
        lines = [f"error: {self}"]
        lines += [f"  ╰─▶ {cause}" for cause in self.causes]
        if self.at:
            lines.append(f"  at {self.at}")
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)
