"""The release that answers users now, as far as the evidence tells. Pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kickoff.evidence import Evidence, fields
from kickoff.report.language import marked, say, told
from kickoff.report.messages import line, moment

_SOME = re.compile(r"\((?P<wrong>\d+) of (?P<asked>\d+) requests failed\)$")
"""Ends what :func:`kickoff.release.serving.ask` says where not every request failed."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The release that answers users, as far as the evidence tells.

    Attributes:
        known: Whether the evidence tells.
        release: What is recorded as live; empty for nothing.
        colour: Its colour.
        answers: ``yes``, ``no``, or what answered instead when it was asked; empty when nobody asked.
        share: Percentage of the traffic that it has.
        note: What to say when it is not known.
    """

    known: bool
    release: str = ""
    colour: str = ""
    answers: str = ""
    share: int = 100
    note: str = marked("not known from the evidence")

    @property
    def asked(self) -> bool:
        """True when the release itself answered, and is not just recorded."""
        return self.known and bool(self.release) and self.answers == "yes"

    @property
    def down(self) -> bool:
        """True when what is recorded as live was asked, and failed most requests."""
        if not self.known or not self.release or self.answers in ("", "yes"):
            return False
        some = _SOME.search(self.answers)
        return some is None or int(some["wrong"]) > int(some["asked"]) / 2

    @property
    def label(self) -> str:
        """The verb in front of :meth:`__str__`."""
        return say("Live") if self.known and self.release and not self.asked else say("Serving now")

    def __str__(self) -> str:
        if not self.known:
            return say(self.note)
        if not self.release:
            return say("nothing: there was no release before")
        name = f"{self.release} ({self.colour})" if self.colour else self.release
        if self.asked:
            return name
        if not self.answers:
            return say("{name}, recorded as live", name=name)
        return self._unwell(name)

    def _unwell(self, name: str) -> str:
        if self.answers == "no":
            return say("{name} does not answer", name=name)
        answers = told(self.answers)
        if self.down:
            return say("{name} does not serve: {answers}", name=name, answers=answers)
        return say("{name} serves, with errors: {answers}", name=name, answers=answers)


NOBODY_SAID = Serving(known=False)


def serving_now(documents: Sequence[Evidence]) -> Serving:
    """Return who serves: what the last stage that asked found, or what the first one saw."""
    for document in sorted(documents, key=lambda d: d.finished, reverse=True):
        found = fields.read(document.facts, fields.Phase).get("serving")
        if found is not None:
            parts = (line(found["release"], 80), line(found["colour"], 20))
            share = found.get("share")
            share = share if isinstance(share, int) else 100
            return Serving(True, *parts, line(found["answers"], 200), share)
    if any(document.stage in ("promote", "rollback") for document in documents):
        return Serving(known=False)  # who was live before says nothing any more
    for document in documents:
        if document.stage == "stage" and "live_release" in document.facts:
            return Serving(True, line(document.facts["live_release"], 80))
    return Serving(known=False)


def live_down(documents: Sequence[Evidence]) -> str:
    """Return in words that live was down, since when and why; empty when no evidence says so."""
    found = [fact for d in documents if isinstance(fact := d.facts.get("live_down"), dict)]
    if not found:
        return ""
    # What was started again served as a baseline, unless a later stage found it down once more.
    fact = next((entry for entry in found if entry.get("started_again") is not True), found[0])
    since = next((time for entry in found if (time := moment(line(entry.get("since"), 40)))), None)
    begun = moment(documents[0].started)
    same_day = since is not None and begun is not None and since.date() == begun.date()
    when = ""
    if since:
        when = (
            say(" since {at:%H:%M} UTC", at=since)
            if same_day
            else say(" since {at:%Y-%m-%d %H:%M} UTC", at=since)
        )
    reason = told(line(fact.get("reason"), 200))
    end = say("started again") if fact.get("started_again") is True else say("absolute rules decide")
    reason = say(" ({reason})", reason=reason) if reason else ""
    return say("was down{when}{reason}: {end}", when=when, reason=reason, end=end)
