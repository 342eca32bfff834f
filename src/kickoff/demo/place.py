"""The place of the demo: a folder with a git repository, its state and a port, and verbs run in it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kickoff import bootstrap, git
from kickoff.errors import ExitCode, KickoffError
from kickoff.process_group import handling
from kickoff.release.targets.ports import free_port, is_free

ENVIRONMENT = "demo"
_SERVICE = Path(__file__).parent / "service"
_CALLERS = ("HOME", "KICKOFF_VENV", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR")
"""What the verbs are given of the caller's variables: nothing that configures a release."""
_SETTINGS = (
    "user.name=Demo",
    "user.email=demo@example.invalid",
    "commit.gpgSign=false",
    "core.hooksPath=/dev/null",
)
_LOOKS = 0.25
"""Seconds between two looks at what runs."""
_LONGEST = 120.0
"""Seconds that one verb may take."""
_UNDOING = 60.0
"""Seconds that it may then take to undo what it began."""


class Place:
    """The folder and everything in it.

    Args:
        folder: An empty folder.

    Attributes:
        root: The repository of the service.
        log: Everything that the verbs said.
        port: The public port.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.log, self.port = folder / "greeter", folder / "log", free_port()
        self._printed = folder / "printed.json"
        shutil.copytree(_SERVICE, self.root, ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / ".gitignore").write_text(".kickoff/\n", encoding="utf-8")
        self.log.touch()
        self._environ = {name: os.environ[name] for name in _CALLERS if name in os.environ} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "KICKOFF_STATE_ROOT": str(folder / "state"),
            "KICKOFF_PORT": str(self.port),
            "PYTHONIOENCODING": "utf-8",
        }
        git.run(self.root, "init", "--quiet", "--template=", "--initial-branch=main")

    @property
    def address(self) -> str:
        """The public address."""
        return f"http://127.0.0.1:{self.port}"

    def change(self, old: str, new: str) -> None:
        """Replace a text of the service."""
        path = self.root / "server.py"
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{old!r} stands {text.count(old)} times in {path}")
        path.write_text(text.replace(old, new), encoding="utf-8")

    def commit(self, message: str) -> None:
        """Commit all files."""
        git.run(self.root, "add", "--all")
        options = [word for setting in _SETTINGS for word in ("-c", setting)]
        git.run(self.root, *options, "commit", "--quiet", "--message", message)

    def kickoff(self, *words: str, tell: Callable[[str], None]) -> tuple[int, dict[str, Any]]:
        """Run a verb as somebody in the folder would; return its exit code and its document.

        Args:
            words: The verb and its arguments.
            tell: Called a few times a second with the verb that runs, or the one that it runs itself.

        Raises:
            KickoffError: It took too long, or left no document (exit 1).
        """
        before, wished = self.log.stat().st_size, list[int]()
        with self._printed.open("wb") as out, self.log.open("ab") as err:
            # A wish to end that comes within the start would leave behind what nobody knows of.
            with handling(lambda number, _: wished.append(number)):
                process = subprocess.Popen(
                    [sys.executable, bootstrap.PACKAGE, *words, "--json"],
                    cwd=self.root,
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,  # Ctrl-C reaches it through this process alone, once
                )
            try:
                if wished:
                    raise KeyboardInterrupt
                code = self._wait(process, lambda: tell(self._running(before) or words[0]))
            finally:
                _end(process)
        said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
        if code is None:
            raise _broken(words[0], f"took more than {_LONGEST:g} s", said)
        try:
            return code, json.loads(self._printed.read_text(encoding="utf-8"))
        except ValueError:
            raise _broken(words[0], f"ended with {code} and no result", said) from None

    def stop(self) -> None:
        """Stop the service and its proxy.

        Raises:
            KickoffError: Something still runs (exit 1).
        """
        code, _ = self.kickoff("stop", "--env", ENVIRONMENT, tell=lambda _: None)
        if code or not is_free(self.port):
            raise _broken("stop", f"ended with {code}, and port {self.port} is not free", [])

    def _wait(self, process: "subprocess.Popen[bytes]", look: Callable[[], None]) -> int | None:
        """Return the exit code; ``None`` when the process takes too long."""
        deadline = time.monotonic() + _LONGEST
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOKS)
            look()
        return None

    def _running(self, before: int) -> str:
        with self.log.open("rb") as stream:
            stream.seek(before)
            said = stream.read().decode("utf-8", "replace")
        begun = re.findall(r"^▶ kickoff ([a-z]+)", said, re.MULTILINE)
        return str(begun[-1]) if begun else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let a verb that still runs undo what it began, as Ctrl-C would."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_UNDOING)
        process.kill()
        process.wait()


def _broken(verb: str, how: str, said: list[str]) -> KickoffError:
    return KickoffError(f"the verb {verb} {how}", code=ExitCode.REJECTED, causes=said)
