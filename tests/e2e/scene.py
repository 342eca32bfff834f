"""One rehearsal under way: its project, the artefact, and what happens at which journal record."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickoff.release.model import Colour
from kickoff.release.targets.local.target import LocalTarget
from tests.e2e.project import Project

Disturbance = Callable[["Scene"], AbstractContextManager[None]]


@dataclass(slots=True)
class Scene:
    """What a disturbance may see and touch.

    Attributes:
        project: The project that is released.
        artefact: The bundle about to be shipped, or the record of the image.
        live: The release that users have meanwhile; empty when nothing is live yet.
        values: What the row's command is filled in with.
        record_count: Journal records this process has seen.
    """

    project: Project
    artefact: Path
    live: str
    values: dict[str, str] = field(default_factory=dict)
    record_count: int = 0
    _actions: list[tuple[str, str, Callable[[], object]]] = field(default_factory=list)
    _staged: list[Callable[[], object]] = field(default_factory=list)

    @property
    def target(self) -> LocalTarget:
        """The target, with its supervisor."""
        target = self.project.session().target
        assert isinstance(target, LocalTarget)
        return target

    @property
    def candidate(self) -> Colour:
        """The colour of the open attempt."""
        colour = self.project.session().colour_of("candidate")
        assert colour is not None
        return colour

    def at(self, event: str, step: str, action: Callable[[], object]) -> None:
        """Do ``action`` once, right after the journal holds this record."""
        self._actions.append((event, step, action))

    def once_staged(self, action: Callable[[], object]) -> None:
        """Do ``action`` between ``stage`` and ``promote``."""
        self._staged.append(action)

    def staged(self) -> None:
        """Do what was to be done between the two commands."""
        for action in self._staged:
            action()

    def observe(self, record: dict[str, Any]) -> None:
        """Do what was to be done at this record."""
        self.record_count += 1
        for entry in [e for e in self._actions if e[:2] == (record["event"], record.get("step", ""))]:
            self._actions.remove(entry)
            entry[2]()


@contextmanager
def nothing(_scene: Scene) -> Iterator[None]:
    """Disturb nothing."""
    yield
