"""What a project accepts of its supply chain, each with a reason: ``supply_chain:`` of its description."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from kickoff.description import Reader

KEY = "supply_chain"


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability that may stay until a day, which is the last one.

    Attributes:
        id: Its id in the database, or one of its other names there.
        reason: Why it may stay.
        until: The last day.
    """

    id: str
    reason: str
    until: date


@dataclass(frozen=True, slots=True)
class Secret:
    """Places that look like a secret to one rule, and hold none.

    Attributes:
        path: The files: a path from the project's folder, or from the repository's top with a slash in front;
            ``*`` stands for anything.
        rule: The scanner's name of the rule.
        reason: Why there is none.
    """

    path: str
    rule: str
    reason: str

    def covers(self, path: str, rule: str) -> bool:
        """Return whether a finding is one of these."""
        return rule == self.rule and fnmatchcase(path, self.path)


@dataclass(frozen=True, slots=True)
class Accepted:
    """All that is accepted; without an entry, nothing is."""

    vulnerabilities: tuple[Vulnerability, ...] = ()
    secrets: tuple[Secret, ...] = ()

    def vulnerability(self, ids: Iterable[str]) -> Vulnerability | None:
        """Return the entry for a vulnerability that has these ids; of several the one that lasts longest."""
        names = {one.casefold() for one in ids}
        known = (one for one in self.vulnerabilities if one.id.casefold() in names)
        return max(known, key=lambda one: one.until, default=None)

    def secret(self, paths: Iterable[str], rule: str) -> Secret | None:
        """Return the entry that covers a finding of the secret scan, by any way to write its path."""
        return next((one for path in paths for one in self.secrets if one.covers(path, rule)), None)

    def allowances(self) -> Mapping[str, str]:
        """Return a name for each finding that a release may have all the same, with how long it may."""
        found = {f"vulnerability {one.id}": f"until {one.until}" for one in self.vulnerabilities}
        return found | {f"secret {one.rule} in {one.path}": "given" for one in self.secrets}


def read(reader: Reader, document: Mapping[str, Any]) -> Accepted:
    """Return what a description accepts.

    Raises:
        KickoffError: A day is not one; names file and line (exit 2).
    """
    given = document.get(KEY, {})
    listed = given.get("vulnerabilities", ())
    return Accepted(
        tuple(
            Vulnerability(one["id"], one["reason"], _day(reader, one["expires"], place))
            for place, one in enumerate(listed)
        ),
        tuple(Secret(one["path"], one["rule"], one["reason"]) for one in given.get("secrets", ())),
    )


def _day(reader: Reader, value: object, place: int) -> date:
    """Return a day; YAML has read one that was written without quotes."""
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise reader.error(
            f"expires: {value} is not a day",
            *(KEY, "vulnerabilities", place, "expires"),
            hint="write it as year-month-day, e.g. 2026-12-31",
        ) from None
