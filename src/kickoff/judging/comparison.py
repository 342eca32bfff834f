"""Two sets of judging rules compared: what is weaker, stricter or only other. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kickoff.environment import values as convert
from kickoff.judging.collection import ALLOWANCE, FIGURES, PART, Rules, keys

NONE = "none"
NOT_RECORDED = "not recorded"


class Change(StrEnum):
    """The way a rule changed, the one that people must see first."""

    WEAKER = "weaker"
    OTHER = "other"
    STRICTER = "stricter"


@dataclass(frozen=True, slots=True)
class Difference:
    """One rule that is not what it was."""

    rule: str
    old: str
    new: str
    change: Change

    def __str__(self) -> str:
        return f"{self.rule}: {self.old} → {self.new} ({self.change})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rules of a release beside those of the one before.

    Attributes:
        before: The release before; empty for none.
        recorded: Whether it is known by which rules that was judged.
        changes: The rules that differ, weaker ones first.
    """

    before: str
    recorded: bool
    changes: tuple[Difference, ...]

    @classmethod
    def of(cls, before: str, old: Rules | None, new: Rules) -> "Comparison":
        """Compare with the release ``before``, whose rules may not be recorded."""
        return cls(before, old is not None, compare(old, new) if old is not None else ())

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Comparison":
        """Rebuild a comparison from its JSON form."""
        changes = (Difference(**{**one, "change": Change(one["change"])}) for one in document["changes"])
        return cls(document["before"], document["recorded"], tuple(changes))

    def lines(self) -> list[str]:
        """Return it for people; nothing where there is no release before."""
        if not self.before:
            return []
        if not self.recorded:
            return [f"not compared with those of {self.before}: {NOT_RECORDED}"]
        if not self.changes:
            return ["unchanged"]
        head = f"judged by other rules than {self.before}: {tally(self.changes)}"
        return [head, *map(str, self.changes)]

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        changes = [asdict(one) | {"change": str(one.change)} for one in self.changes]
        return {"before": self.before, "recorded": self.recorded, "changes": changes}


def tally(changes: tuple[Difference, ...]) -> str:
    """Return how many there are of each kind: ``2 weaker, 1 other``."""
    amounts = Counter(one.change for one in changes)
    return ", ".join(f"{amounts[change]} {change}" for change in Change if amounts[change])


def compare(old: Rules, new: Rules) -> tuple[Difference, ...]:
    """Return the rules that differ, weaker ones first, then those of which nobody can say."""
    judging = keys()
    found = []
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if before == after or _implied(name, old, new):
            continue
        if before is not None and after is not None:
            change = _sense(name, before, after, judging)
            if change is not None:
                found.append(Difference(name, before or NONE, after or NONE, change))
        elif name in judging:  # every environment has each key, so a version of Kickoff did not know it
            found.append(Difference(name, before or NOT_RECORDED, after or NOT_RECORDED, Change.OTHER))
        else:
            less = (after is None) != name.startswith(ALLOWANCE)
            change = Change.WEAKER if less else Change.STRICTER
            found.append(Difference(name, before or NONE, after or NONE, change))
    return tuple(sorted(found, key=lambda one: list(Change).index(one.change)))


def shortfall(demanded: Rules, used: Rules) -> tuple[Difference, ...]:
    """Return what was judged otherwise than demanded, and not more strictly.

    A key that the version of either side did not know is neither.
    """
    return tuple(
        one
        for one in compare(demanded, used)
        if one.change is not Change.STRICTER and NOT_RECORDED not in (one.old, one.new)
    )


def _implied(name: str, old: Rules, new: Rules) -> bool:
    """Return whether a part differs only because its rule came or went."""
    rule, part, _ = name.partition(PART)
    return bool(part) and (rule in old) != (rule in new)


def _sense(name: str, old: str, new: str, judging: Mapping[str, Mapping[str, Any]]) -> Change | None:
    """Return how a rule changed that both have; ``None`` when it is the same in other words (1000ms, 1s)."""
    figure = FIGURES.get(name.partition(PART)[2])
    rules = judging.get(name)
    if rules is None:
        if figure is None:
            return Change.OTHER
        rules = {"type": "number", "x-weaker": figure[0], "x-unit": figure[1]}
    try:
        before, after = convert.convert(old, rules), convert.convert(new, rules)
        less = _less(rules, before, after)
    except ValueError:  # unreadable, or none of the values that this version knows
        return Change.OTHER
    if before == after:
        return None
    if less is None:
        return Change.OTHER
    return Change.WEAKER if less else Change.STRICTER


def _less(rules: Mapping[str, Any], old: Any, new: Any) -> bool | None:  # noqa: ANN401 - typed by the schema
    """Return whether the new one of two values judges less; ``None`` where nobody can say."""
    match rules["x-weaker"]:
        case "lower":
            return bool(new < old)
        case "higher":
            return bool(new > old)
        case "fewer":
            a, b = set(old), set(new)
            return b < a if b < a or a < b else None
        case "earlier" | "later" as where:
            before, after = rules["enum"].index(old), rules["enum"].index(new)
            return bool(after < before) if where == "earlier" else bool(after > before)
        case _:
            return None
