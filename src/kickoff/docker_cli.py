"""Docker's command line: the one place that runs it, waits for it and says what went wrong."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError

_SECONDS = 120
_SAID_LINES, _LOG_LINES = 10, 2000
_ASK = "see whether the engine answers: docker info"
# A variable of the shell must not change what a stack is.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SSH_AUTH_SOCK", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST")


def reaching(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the part of ``environ`` that the command line needs to find an engine, and nothing else."""
    return {key: environ[key] for key in _KEPT if key in environ}


@dataclass(frozen=True)
class Docker:
    """The command line in one environment.

    Attributes:
        environ: The environment of every command.
        folder: Where commands run; ``None`` for the current folder.
    """

    environ: Mapping[str, str]
    folder: Path | None = None

    def run(
        self,
        *arguments: str,
        given: str = "",
        seconds: float = _SECONDS,
        check: bool = True,
        name: str = "",
        code: ExitCode = ExitCode.UNREACHABLE,
        hint: str = _ASK,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one command to its end.

        Args:
            arguments: What follows ``docker``.
            given: Text for its standard input.
            seconds: How long it may take.
            check: Raise when it fails.
            name: The command in errors; by default its first two words.
            code: Exit code of the error when it fails or takes too long.
            hint: How to fix that.

        Raises:
            KickoffError: Docker is not installed (exit 4) or takes too long; or the command failed while
                ``check`` is set.
        """
        what = f"docker {name or ' '.join(arguments[:2])}"
        try:
            done = subprocess.run(
                ["docker", *arguments],
                cwd=self.folder,
                env=dict(self.environ),
                input=given.encode(),
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except FileNotFoundError:
            raise _missing() from None
        except subprocess.TimeoutExpired:
            raise KickoffError(f"`{what}` did not end within {seconds:g} s", code=code, hint=hint) from None
        if check and done.returncode != 0:
            raise KickoffError(
                f"`{what}` failed with exit code {done.returncode}", code=code, causes=said(done), hint=hint
            )
        return done

    def text(self, *arguments: str) -> str:
        """Return what a command prints.

        Raises:
            KickoffError: As :meth:`run` does.
        """
        return decoded(self.run(*arguments).stdout).strip()

    def stream(self, *arguments: str, **environ: str) -> tuple[int, Sequence[str]]:
        """Run one command and show on standard error what it prints, masked, as it prints it.

        Args:
            arguments: What follows ``docker``.
            environ: Further variables for it.

        Returns:
            The exit code and the last lines.

        Raises:
            KickoffError: Docker is not installed (exit 4).
        """
        last: deque[str] = deque(maxlen=_LOG_LINES)
        try:
            process = subprocess.Popen(
                ["docker", *arguments],
                cwd=self.folder,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            )
        except FileNotFoundError:
            raise _missing() from None
        with process:
            try:
                for line in process.stdout or ():
                    text = masking.text(line.rstrip("\n"))
                    sys.stderr.write(f"{text}\n")
                    if text.strip():
                        last.append(text)
            except BaseException:
                process.terminate()
                raise
        return process.returncode, list(last)


def decoded(output: bytes) -> str:
    """Return what a command printed as text."""
    return output.decode(errors="replace")


def said(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """Return the last lines that a command printed, those of its standard error at the end."""
    return decoded(done.stdout + done.stderr).strip().splitlines()[-_SAID_LINES:]


def _missing() -> KickoffError:
    return KickoffError(
        "docker is not installed here",
        code=ExitCode.UNREACHABLE,
        hint="install Docker Engine 28 or newer with compose and buildx; DEPLOY_TARGET=local needs none",
    )
