"""The frame of every command: output in any locale, secrets masked, errors as a message and an exit code."""

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable

from kickoff import github, masking
from kickoff.errors import ExitCode, KickoffError

_SPELT = {
    "✓": "+", "✗": "x", "╰": "`", "─": "-", "▶": ">", "│": "|", "→": "->", "…": "...", "·": "-",
    "\u2013": "-", "≤": "<=", "≥": ">=", "±": "+/-", "◇": "o", "●": "*", "↯": "!", "↶": "<-", "ë": "e",
    "≈": "~", "⎯": "-", "\u2212": "-",
}  # fmt: skip


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write in ASCII what an encoding lacks: our own marks by what they look like, the rest by its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    text = "".join(_SPELT.get(char) or char.encode("ascii", "backslashreplace").decode() for char in missing)
    return text, error.end


codecs.register_error("kickoff", _spell)


# httpx imports its own command line where it finds click, and with it half of a terminal's toolbox: a fifth
# of the time in which a command starts.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def write_in_any_locale() -> None:
    """Let what is printed fall back to ASCII where the locale's encoding has no such character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a test or a caller has put its own
            stream.reconfigure(errors="kickoff")


def run(command: Callable[[], int]) -> int:
    """Run a command's body and turn what it raises into a message and an exit code.

    Nothing that the body prints holds a secret or, inside a workflow, a command that is not ours.

    Args:
        command: The body; it returns the exit code.

    Returns:
        The exit code for ``sys.exit``.
    """
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
