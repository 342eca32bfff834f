"""The exit codes every command shares, and the error that carries one to the terminal."""

import shlex
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

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

    Attributes:
        docs: The command that says more about errors of this kind.
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
        self.docs = f"kickoff explain {int(code)}"

    @property
    def advice(self) -> str:
        """What it says about its place and its fix, for evidence, which has one field for both."""
        return ": ".join(filter(None, (self.at, self.hint)))

    @property
    def facts(self) -> dict[str, Any]:
        """The evidence fields of whatever ended with it."""
        return {"exit_code": int(self.code), "hint": self.advice}

    def name_environment(self, name: str) -> None:
        """Let the commands that it names be about the environment ``name``; empty for none in particular."""
        if name:
            given = f"--env {shlex.quote(name)}"
            self.hint = self.hint.replace("--env NAME", given)
            self.docs += f" {given}"

    def render(self) -> str:
        """Return the text for standard error: message, causes, place, hint, and where to read on."""
        lines = [f"error: {self}"]
        lines += [f"  ╰─▶ {cause}" for cause in self.causes]
        if self.at:
            lines.append(f"  at {self.at}")
        lines += ["", f"hint: {self.hint}"] if self.hint else [""]
        lines += [f"docs: {self.docs}"]
        return "\n".join(lines)
