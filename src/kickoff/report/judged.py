"""What a release was judged by other than the one before it, as its evidence says. Pure functions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kickoff.evidence import Evidence, fields
from kickoff.report.language import headings, say, told
from kickoff.report.messages import line

_SHOWN = 3
"""Rules that the closing block names; summary and page have all of them."""
_LENGTH = 160


@dataclass(frozen=True, slots=True)
class Row:
    """A rule that is not what it was; ``weaker`` is what people must see."""

    rule: str
    old: str
    new: str
    change: str
    weaker: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """The rules of a release beside those of the release before.

    Attributes:
        title: That they are other ones, and how many; or that nobody recorded the former.
        rows: Each rule that differs, weaker ones first.
    """

    title: str
    rows: Sequence[Row]


def sentence(stage: Evidence | None) -> str:
    """Return all of it in one line, of many rules the first; empty where there is nothing to say."""
    judged = read(stage)
    if judged is None or not judged.rows:
        return judged.title if judged else ""
    found = [
        say("{rule}: {old} → {new} ({change})", rule=r.rule, old=r.old, new=r.new, change=r.change)
        for r in judged.rows[:_SHOWN]
    ]
    more = len(judged.rows) - len(found)
    found += [say("{amount} more", amount=more)] if more else []
    return say("{title}: {rules}", title=judged.title, rules="; ".join(found))


def read(stage: Evidence | None) -> Judged | None:
    """Return what the evidence of ``stage`` says; ``None`` where nothing differs, or nothing was before."""
    known = stage.facts.get("judged_by") if stage is not None else None
    if not isinstance(known, dict):
        return None
    judged = fields.read(known, fields.JudgedBy)
    before = line(judged.get("before"), 80)
    if not before:
        return None
    if not judged.get("recorded"):
        return Judged(say("not compared with the rules of {release}: not recorded", release=before), ())
    changes = judged.get("changes") or []
    if not changes:
        return None
    words = dict(zip(("weaker", "other", "stricter"), headings("weaker", "other", "stricter"), strict=True))
    amounts = Counter(one["change"] for one in changes)
    tally = say(", ").join(f"{amounts[key]} {word}" for key, word in words.items() if amounts[key])
    title = say("judged by other rules than {release}, {tally}", release=before, tally=tally)
    rows = [
        Row(
            line(one["rule"], _LENGTH),
            told(line(one["old"], _LENGTH)),
            told(line(one["new"], _LENGTH)),
            words.get(one["change"], line(one["change"], 20)),
            one["change"] == "weaker",
        )
        for one in changes
    ]
    return Judged(title, rows)
