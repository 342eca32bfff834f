"""A check: one object that looks at a commit or at a release and returns evidence."""

import argparse
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Flag, auto
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from kickoff import foreign
from kickoff import service as services
from kickoff.artifact import source
from kickoff.checks import commands
from kickoff.evidence import Evidence, Verdict, now
from kickoff.evidence.files import folder
from kickoff.process_group import Stop
from kickoff.service import EVERYTHING, Service

if TYPE_CHECKING:
    from kickoff.release.session import Session


class Need(Flag):
    """The subject of a check, which decides the arguments that its command takes."""

    COMMIT = auto()
    CANDIDATE = auto()


@dataclass(frozen=True)
class Context:
    """Everything that a check may look at.

    Attributes:
        arguments: The parsed arguments of its command.
        root: The project.
        evidence: The folder that receives evidence and logs.
        stop: Ends the programs that it runs.
    """

    arguments: argparse.Namespace
    root: Path
    evidence: Path
    stop: Stop = field(default_factory=Stop)

    @property
    def service(self) -> Service:
        """The service's description: the session's, once there is one."""
        return self.session.service if "session" in self.__dict__ else self._described

    @cached_property
    def _described(self) -> Service:
        return services.load(self.root)

    @cached_property
    def session(self) -> "Session":
        """The environment that ``--env`` names, opened when it is first needed."""
        # Only here, so that testing an address needs neither an environment file nor the engine.
        from kickoff.release.session import open_session  # noqa: PLC0415

        return open_session(self.environment, self.root)

    @property
    def environment(self) -> str:
        """Name of the environment; empty for checks of a commit."""
        return getattr(self.arguments, "env", None) or ""

    @property
    def attempt(self) -> str:
        """The attempt that gets the verdict; empty when none does."""
        return getattr(self.arguments, "attempt", None) or ""

    @property
    def without_candidate(self) -> bool:
        """True when the attempt brought up no candidate because its release was live already."""
        about_live = getattr(self.arguments, "phase", "") == "live"
        return bool(self.attempt) and not about_live and self.session.unchanged(self.attempt)

    @property
    def commit(self) -> str:
        """The commit in question, resolved."""
        return source.resolve(self.root, self.arguments.commit or "HEAD")

    @contextmanager
    def checkout(
        self, commit: str, paths: Sequence[str] = (EVERYTHING,)
    ) -> Iterator[tuple[Path, dict[str, str]]]:
        """Yield a folder with what ``commit`` holds at ``paths``, and the variables for commands in it.

        The files come from git's objects, which are what ships: those checked out may be filtered or changed.
        """
        environ = foreign.environment(self.service.environment)
        lock = commands.lock(self.root, self.arguments.requirements or "")
        if lock is not None:
            tools = commands.tools(lock, commands.cache_folder(os.environ))
            environ["PATH"] = f"{tools}{os.pathsep}{environ.get('PATH', '')}"
        with tempfile.TemporaryDirectory(prefix="kickoff-check-") as name:
            where = Path(name) / "tree"
            source.checkout(self.root, commit, where, paths)
            yield where, environ

    def not_applicable(self, stage: str, why: str, *, release: str = "") -> Evidence:
        """Return the evidence of a check that has nothing to look at here."""
        found = self.document(stage, release=release)
        found.verdict, found.summary = Verdict.NOT_APPLICABLE, why
        return found

    def document(self, stage: str, *, release: str = "") -> Evidence:
        """Return evidence that begins now; it says nothing yet."""
        return Evidence(
            stage=stage,
            environment=self.environment,
            verdict=Verdict.INCONCLUSIVE,
            summary="the check did not end",
            started=now(),
            service=self.service.name,
            release=release,
            attempt=self.attempt,
        )


class Check(ABC):
    """The base of every check; one implements :meth:`documents` and overrides what else it needs.

    Attributes:
        name: Name of the check; also of its command.
        title: What annotations and help call it.
        needs: The subject, which decides the common arguments.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Need]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the check's command."""
        add_common(parser, self.needs)

    def verify(self, arguments: argparse.Namespace) -> None:  # noqa: B027 - most have none to refuse
        """Refuse arguments that contradict each other.

        Raises:
            KickoffError: They do (exit 2).
        """

    @abstractmethod
    def documents(self, context: Context) -> Iterable[Evidence]:
        """Look, and yield the evidence of everything that the check comes to; the runner does the rest."""

    def attach(
        self,
        context: Context,  # noqa: ARG002 - for checks that write more than evidence
        document: Evidence,  # noqa: ARG002
        path: Path,  # noqa: ARG002
    ) -> list[tuple[str, Path]]:
        """Write what belongs beside the evidence at ``path``; return each file with its label."""
        return []


class SingleCheck(Check):
    """The base of a check that comes to one piece of evidence, as most do."""

    @abstractmethod
    def run(self, context: Context) -> Evidence:
        """Look, and return what was found."""

    def documents(self, context: Context) -> Iterable[Evidence]:
        """Yield what was found."""
        yield self.run(context)


def add_common(parser: argparse.ArgumentParser, needs: Need) -> None:
    """Add the arguments that follow from what a check needs."""
    if Need.CANDIDATE in needs:
        parser.add_argument("--env", required=True, metavar="NAME", help="environment to test")
        parser.add_argument(
            "--attempt", required=True, metavar="ID", help="the attempt that gets the verdict"
        )
    if Need.COMMIT in needs:
        parser.add_argument("--commit", help="the commit whose files count (default: the one checked out)")
        parser.add_argument(
            "--requirements",
            help="hash-locked file with the tools of the commands (default: what is on PATH)",
        )
    add_evidence(parser)


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where evidence goes."""
    parser.add_argument(
        "--evidence",
        type=Path,
        default=folder(),
        metavar="DIR",
        help="where the evidence goes (default: %(default)s)",
    )
