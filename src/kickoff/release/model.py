"""The model of releases and the colours they run in: plain data, no side effects."""

import hashlib
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self


class Colour(StrEnum):
    """One of the two slots a release can run in."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Colour":
        """The opposite slot."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True, slots=True)
class Facts:
    """The four facts that make a release what it is; restoring a release restores these.

    Attributes:
        artifact: Digest of the artefact, ``sha256:<hex>``.
        environment: Hash of the environment's values (keyed, reveals nothing).
        stack: Hash of the service description the artefact is run by.
        schema: Database schema revision the artefact brings; empty when the service has none.
    """

    artifact: str
    environment: str
    stack: str
    schema: str


@dataclass(frozen=True, slots=True)
class Release:
    """A releasable unit: a commit and the four facts."""

    commit: str
    facts: Facts

    @property
    def id(self) -> str:
        """``<short commit>-<8 hex of the four facts>``."""
        joined = "\n".join((self.facts.artifact, self.facts.environment, self.facts.stack, self.facts.schema))
        return f"{self.commit[:7]}-{hashlib.sha256(joined.encode()).hexdigest()[:8]}"

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"id": self.id, "commit": self.commit, "facts": asdict(self.facts)}


@dataclass(frozen=True, slots=True)
class Slot:
    """The content of a colour: a release id and the loopback port its process listens on."""

    release: str
    port: int


@dataclass(frozen=True, slots=True)
class State:
    """The recorded state: which release runs in which colour.

    Attributes:
        live: The colour users reach; ``None`` before the first release.
        warm: The colour kept ready for an instant rollback; ``None`` when there is none.
        slots: What each running colour holds.
    """

    live: Colour | None
    warm: Colour | None
    slots: dict[Colour, Slot]

    @property
    def idle(self) -> Colour:
        """The colour a candidate may use."""
        return self.live.other if self.live else Colour.BLUE

    def release_of(self, colour: Colour | None) -> str:
        """Return the release id in ``colour``, or the empty string."""
        slot = self.slots.get(colour) if colour else None
        return slot.release if slot else ""

    def with_slot(self, colour: Colour, slot: Slot | None) -> "State":
        """Return the state with ``colour`` holding ``slot`` (or nothing, and then not warm either)."""
        slots = {key: value for key, value in self.slots.items() if key is not colour}
        if slot is not None:
            slots[colour] = slot
        return replace(self, slots=slots, warm=None if self.warm is colour else self.warm)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "live": self.live,
            "warm": self.warm,
            "slots": {colour: asdict(slot) for colour, slot in self.slots.items()},
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Rebuild the state from its JSON form."""
        return cls(
            live=Colour(document["live"]) if document["live"] else None,
            warm=Colour(document["warm"]) if document["warm"] else None,
            slots={Colour(key): Slot(**value) for key, value in document["slots"].items()},
        )


EMPTY = State(live=None, warm=None, slots={})
