"""Where releases run: one protocol, one module per kind of target."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kickoff.release.model import Colour, Slot


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address the checks can reach, with the headers that select the colour behind it."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What a colour's process is doing.

    Attributes:
        running: Whether it is up now.
        pid: Its process id, 0 when down.
        detail: The supervisor's words for it.
        memory_bytes: Resident memory with its children.
        cpu_seconds: Processor time used so far with its children.
        processors: How many processors it may use, where its use can be read.
    """

    running: bool
    pid: int
    detail: str
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    processors: float = 1.0


class Target(Protocol):
    """A host, or several, on which two colours and a proxy run."""

    def require_room(self) -> None:
        """Refuse while nothing is begun yet when the host has too little room for another release."""

    @property
    def entry_points(self) -> tuple[str, ...]:
        """The proxy's entry points that users come in by."""

    def prepare(self) -> None:
        """Bring the proxy up if it is not."""

    def find(self, directory: Path, digest: str) -> Path:
        """Return the verified artefact with ``digest`` (or the record of it) in ``directory``."""

    def unpack(self, artifact: Path, digest: str, folder: Path) -> None:
        """Put an artefact that was found into a release folder."""

    def install(self, release_folder: Path) -> None:
        """Make everything the release needs available before it starts."""

    def run_hook(self, release_folder: Path, command: tuple[str, ...], timeout: float) -> str:
        """Run a command of the service under the release's environment; return its output."""

    def start(self, colour: Colour, release_folder: Path) -> Slot:
        """Start the release in ``colour``; return where it listens."""

    def stop(self, colour: Colour) -> None:
        """Stop what runs in ``colour``; nothing to do is fine."""

    def state(self, colour: Colour) -> ProcessState:
        """Return what the colour's process is doing."""

    def slot(self, colour: Colour) -> Slot | None:
        """Return what ``colour`` holds, told by the target and not by the state; ``None`` for nothing."""

    def connections(self, colour: Colour, slot: Slot) -> int:
        """Return how many client connections the colour holds."""

    def logs(self, process: str, lines: int) -> list[str]:
        """Return the last lines of ``blue``, ``green`` or ``traefik``."""

    def reach(self, endpoint: str) -> AbstractContextManager[Endpoint]:
        """Yield an address for ``blue``, ``green``, ``live`` or ``admin``."""

    def server(self, colour: Colour, slot: Slot) -> str:
        """Return the address under which the proxy reaches a slot."""

    def discard(self, release_folder: Path) -> None:
        """Remove what only this release needs outside its folder, before the folder goes."""

    def shut_down(self) -> None:
        """Stop everything this target runs for the environment."""
