"""Preview of a release: its changes, before anything is changed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kickoff.judging import Comparison
from kickoff.release.model import Facts
from kickoff.release.strategy import Step

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Environment keys by name, each list sorted; values are never shown."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> "KeyChanges":
        """Compare the values of two releases; the release id itself differs always and is left out."""
        old, new = (
            {key: value for key, value in values.items() if key != "KICKOFF_RELEASE"}
            for values in (before, after)
        )
        return cls(
            added=tuple(sorted(new.keys() - old.keys())),
            changed=tuple(sorted(key for key in new.keys() & old.keys() if new[key] != old[key])),
            removed=tuple(sorted(old.keys() - new.keys())),
        )

    def __str__(self) -> str:
        parts = [f"{word} {', '.join(keys)}" for word, keys in asdict(self).items() if keys]
        return "; ".join(parts) or "no key changes"


@dataclass(frozen=True, slots=True)
class Preview:
    """A release that was assembled and not started.

    Attributes:
        release: Its id.
        live: The release that serves now; empty when none does.
        before: Facts of the live release; ``None`` when there is none, or its folder is gone.
        after: Facts of the candidate.
        keys: Environment keys that differ between the two.
        judged: The rules it would be judged by, beside those of the live release.
        candidate: Colour the candidate would start on.
        serving: Colour that serves now; empty when none does.
        gives_way: Release that is warm on the candidate's colour and would be stopped; may be empty.
        command: What would be started.
        hook: What would run before it; empty when the service has no hook.
        checks: Checks that must pass before traffic moves.
        no_load: Why there is no load test among them; empty when there may be one.
        steps: How traffic would move.
        frozen: Until when the environment takes no release, and why; empty when it does.
    """

    release: str
    live: str
    before: Facts | None
    after: Facts
    keys: KeyChanges
    judged: Comparison
    candidate: str
    serving: str
    gives_way: str
    command: tuple[str, ...]
    hook: tuple[str, ...]
    checks: tuple[str, ...]
    no_load: str
    steps: Sequence[Step]
    frozen: str = ""

    @property
    def changes(self) -> bool:
        """True when there is anything to ship."""
        return self.release != self.live

    @property
    def held_seconds(self) -> float:
        """Seconds for which traffic is watched at least, all steps together."""
        return sum(step.hold_seconds for step in self.steps)

    @property
    def migrates(self) -> bool:
        """True when the artefact brings another schema revision than the live one did."""
        return bool(self.after.schema) and (self.before is None or self.before.schema != self.after.schema)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        derived = {
            "changes": self.changes,
            "migrates": self.migrates,
            "held_seconds": self.held_seconds,
            "judged": self.judged.to_document(),
        }
        return asdict(self) | derived

    def lines(self) -> list[str]:
        """Return the preview for people, one line each."""
        if not self.changes:
            return [f"{self.release} serves already: nothing to do"]
        rows = [("release", _arrow(self.live, self.release))]
        if self.frozen:
            rows.append(("refused", self.frozen))
        for name, after in asdict(self.after).items():
            before = asdict(self.before)[name] if self.before else ""
            rows.append((name, "unchanged" if before == after else _arrow(_short(before), _short(after))))
        rows.append(("keys", str(self.keys)))
        if self.hook:
            why = "migrates" if self.migrates else "finds the schema as it should be"
            rows.append(("hook", f"`{' '.join(self.hook)}` ({why})"))
        if self.gives_way:
            rows.append(("stop", f"{self.gives_way} on {self.candidate}, drained"))
        rows.append(("start", f"`{' '.join(self.command)}` on {self.candidate}"))
        rows.append(("checks", ", ".join(self.checks) or "none required"))
        if self.no_load:
            rows.append(("load", self.no_load))
        rows += [("" if number else "rules", text) for number, text in enumerate(self.judged.lines())]
        rows += [("traffic", self._step(step)) for step in self.steps]
        if self.serving:
            rows.append(("keep", f"{self.live} warm on {self.serving}"))
        return [f"{label:<12} {value}" for label, value in rows]

    def _step(self, step: Step) -> str:
        rest = f", {self.serving} {100 - step.percent}%" if self.serving and step.percent < 100 else ""
        return f"{self.candidate} {step.percent}%{rest}, watched for {step.hold_seconds:g} s"


def _arrow(before: str, after: str) -> str:
    return f"{before or NOTHING} → {after or NOTHING}"


def _short(fact: str) -> str:
    return fact if len(fact) <= 20 else f"{fact[:19]}…"
