"""What a person sees, and which exit code a script ends with, when something goes wrong."""

import errno
from collections.abc import Callable
from typing import NoReturn

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.program import run


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> NoReturn:
        raise error

    return command


def test_the_bodys_own_code_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: ExitCode.INCONCLUSIVE) == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("code", list(ExitCode))
def test_an_errors_code_becomes_the_exit_code(code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KickoffError("no", code=code))) == code
    assert capsys.readouterr().err == f"error: no\n\ndocs: kickoff explain {int(code)}\n"


def test_message_causes_place_and_hint_are_all_shown() -> None:
    error = KickoffError("it broke", causes=["first", "second"], at="a.yml:3", hint="fix it")
    assert error.code is ExitCode.BAD_INPUT
    said = "error: it broke\n  ╰─▶ first\n  ╰─▶ second\n  at a.yml:3\n\nhint: fix it\ndocs: kickoff explain 2"
    assert error.render() == said


def test_an_interruption_is_130_and_a_closed_pipe_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyboardInterrupt())) == 130
    assert "interrupted" in capsys.readouterr().err
    assert run(raising(BrokenPipeError())) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize(
    ("filename", "shown"), [("/state/lock.json", "/state/lock.json"), (None, "state folder")]
)
def test_a_full_or_closed_disk_is_a_sentence_without_traceback(
    number: int, filename: str | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(OSError(number, "no room", filename))) == ExitCode.UNREACHABLE
    text = capsys.readouterr().err
    assert text.startswith("error: cannot write ")
    assert shown in text
    assert "no room" in text
    assert "KICKOFF_STATE_ROOT" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.EINVAL, "odd")])
def test_a_defect_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)):
        run(raising(error))
