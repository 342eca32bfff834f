"""The exit codes every command shares, and the error that carries one to the terminal."""

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum

from kickoff import masking


class ExitCode(IntEnum):
    """What a command's exit code says; scripts and workflows branch on these."""

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


_SPELT = {
    "✓": "+", "✗": "x", "╰": "`", "─": "-", "▶": ">", "│": "|", "→": "->", "…": "...", "·": "-",
    "\u2013": "-", "≤": "<=", "≥": ">=", "±": "+/-", "◇": "o", "●": "*", "↯": "!", "↶": "<-",
}  # fmt: skip


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write in ASCII what an encoding lacks: our own marks by what they look like, the rest by its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    text = "".join(_SPELT.get(char) or char.encode("ascii", "backslashreplace").decode() for char in missing)
    return text, error.end


codecs.register_error("kickoff", _spell)


def write_in_any_locale() -> None:
    """Let what is printed fall back to ASCII where the locale's encoding has no such character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a test or a caller has put its own
            stream.reconfigure(errors="kickoff")


def run(command: Callable[[], int]) -> int:
    """Run a script's body and turn what it raises into a message and an exit code.

    Nothing that the body prints holds a secret or, inside a workflow, a command that is not ours.

    Args:
        command: The body; it returns the exit code.

    Returns:
        The exit code for ``sys.exit``.
    """
    from kickoff import github  # noqa: PLC0415 - it raises errors of this module

    write_in_any_locale()
    masking.hide_environment(os.environ)
    sys.excepthook = github.show_traceback
    with github.printing():
        return _run(command)


def _run(command: Callable[[], int]) -> int:
    try:
        return command()
    except KickoffError as error:
        sys.stderr.write(f"{error.render()}\n")
        return error.code
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.PASS
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = error.filename or "the state folder"
        known = KickoffError(
            f"cannot write {where}: {error.strerror}",
            code=ExitCode.UNREACHABLE,
            hint="free some space or fix the permissions, or point KICKOFF_STATE_ROOT at another folder",
        )
        sys.stderr.write(f"{known.render()}\n")
        return known.code
