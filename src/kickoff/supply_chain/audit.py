"""Audits of a commit's lock files, each by the tool of its language against a database of vulnerabilities."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kickoff import logs, process_group
from kickoff.errors import KickoffError
from kickoff.process_group import Stop

SECONDS = 300
"""Time limit of one audit: some hundred packages, each asked for by itself."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability of a locked package.

    Attributes:
        package: The package.
        version: Its locked version.
        ids: Its id in the database, then its other names.
        fixed: The versions without it; empty when none is known.
    """

    package: str
    version: str
    ids: tuple[str, ...]
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known of the packages of one lock file.

    Attributes:
        lock: Path of the file in the project.
        packages: How many packages were asked for.
        found: The vulnerabilities.
        doubt: Why not everything is known; empty when it is.
    """

    lock: str
    packages: int = 0
    found: tuple[Vulnerability, ...] = ()
    doubt: str = ""


Auditor = Callable[[Path, str, Mapping[str, str], Stop], Audit]
"""Audits a lock file: the folder it is in, its path there, the environment of the tool, what ends it."""


def _own(project: Path, path: str) -> Path:
    """Return a file of the project, and of nobody else: a change may hold a link to a file of this machine.

    Raises:
        KickoffError: It is not there, or it is a link to elsewhere (exit 2).
    """
    file = project / path
    if not file.resolve().is_relative_to(project.resolve()):
        raise KickoffError(
            f"{path} leads out of the commit", at=path, hint="commit the file, not a link to it"
        )
    if not file.is_file():
        raise KickoffError(f"the commit does not hold {path}", at=path, hint=f"git add {path}, and commit it")
    return file


class Tool:
    """One run of an auditing tool in a folder of its own, where nothing of the project configures it.

    Args:
        project: The project's files.
        stop: Ends it.
        copied: Those of them that the tool needs, by path.
    """

    def __init__(self, project: Path, stop: Stop, *copied: str) -> None:
        self._project, self._stop, self._copied = project, stop, copied
        self.said: list[str] = []
        self.printed = ""

    def run(self, line: list[str], environ: Mapping[str, str], report: str = "") -> int | None:
        """Run the tool; return its exit code, ``None`` when its time ran out.

        Args:
            line: The program and its arguments.
            environ: Its environment.
            report: The file it writes its findings into; without one it prints them.

        Raises:
            KickoffError: A file is not in the commit (exit 2).
        """
        with tempfile.TemporaryDirectory(prefix="kickoff-audit-") as name:
            folder = Path(name)
            for path in self._copied:
                shutil.copyfile(_own(self._project, path), folder / Path(path).name)
            status = process_group.run(
                line, folder, environ, seconds=SECONDS, write=self.said.append, stop=self._stop
            )
            self.printed = "".join(self.said)
            if report:
                self.printed = ""
                with suppress(FileNotFoundError):  # it had nothing to write: the caller doubts
                    self.printed = (folder / report).read_text(encoding="utf-8")
        return status

    def reason(self, status: int | None) -> str:
        """Return why there are no findings to read: the last thing that the tool said."""
        if status is None:
            return f"it did not answer within {SECONDS} s"
        lines = [line.strip() for line in self.said if line.strip()]
        said = logs.essence(lines[-1:]) or (lines[-1] if lines else "")
        return said[:300] or f"it ended with exit code {status}"
