"""The environments that a service declares: what reaches each one, and whose proof it demands."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from kickoff import freeze
from kickoff.errors import KickoffError
from kickoff.yaml_lines import line_of

KEY = "environments"
HEAD = "HEAD"
"""Stands for the repository's default branch; git allows no branch of this name."""
BRANCH, TAG = "refs/heads/", "refs/tags/"
"""Beginnings of a full ref."""
_RESERVED = "proofs"
"""Name of the folder beside the environments' state that holds their proofs."""


@dataclass(frozen=True, slots=True)
class DeclaredEnvironment:
    """One environment.

    Attributes:
        name: Its name, which is that of its file in ``configs/environments``.
        branch: Every push to it is deployed here; empty for none, ``HEAD`` for the default branch.
        tag: Tags that match are deployed here, ``*`` standing for anything but ``/``; empty for none.
        after: The environment whose proof a commit needs before it comes here; empty for none.
        required_checks: Further checks that ``promote`` demands here.
        compose: The compose file of its stack, where it has none of its own; empty for none.
        freezes: When it takes no release.
        comment_deploys: Whether a comment on a pull request may have its branch deployed here.
        at: File and line of the declaration; empty for those of a service that declares none.
    """

    name: str
    branch: str = ""
    tag: str = ""
    after: str = ""
    required_checks: tuple[str, ...] = ()
    compose: str = ""
    freezes: tuple[freeze.Window, ...] = ()
    comment_deploys: bool = False
    at: str = field(default="", compare=False)

    def takes(self, ref: str) -> bool:
        """Return whether a push to ``ref`` (``refs/heads/…`` or ``refs/tags/…``) is deployed here."""
        if ref.startswith(TAG):
            return self.takes_tag(ref.removeprefix(TAG))
        return bool(self.branch) and ref == f"{BRANCH}{self.branch}"

    def takes_tag(self, tag: str) -> bool:
        """Return whether a tag is deployed here."""
        pattern = re.escape(self.tag).replace(r"\*", "[^/]*")
        return bool(self.tag) and re.fullmatch(pattern, tag) is not None


DEFAULT = (
    DeclaredEnvironment("development"),
    DeclaredEnvironment("staging", branch=HEAD),
    DeclaredEnvironment("production", tag="v*", after="staging"),
)
"""The environments of a service that declares none."""


def parse(
    entries: Mapping[str, Mapping[str, Any] | None] | None, text: str, source: str
) -> tuple[DeclaredEnvironment, ...]:
    """Return the declared environments in promotion order.

    Args:
        entries: The key ``environments`` of a description that keeps the schema; ``None`` without one.
        text: The whole description, of which errors name a line.
        source: Its file.

    Raises:
        KickoffError: ``after`` names none of them or leads in a circle, a push would reach two, or a freeze
            is not a time.
    """
    if entries is None:
        return DEFAULT
    found = tuple(
        DeclaredEnvironment(
            name=name,
            branch=(entry or {}).get("branch", ""),
            tag=(entry or {}).get("tag", ""),
            after=(entry or {}).get("after", ""),
            required_checks=tuple((entry or {}).get("required_checks", ())),
            compose=(entry or {}).get("compose", ""),
            freezes=tuple(
                freeze.parse(window, f"{source}:{line_of(text, [KEY, name, freeze.KEY, place])}")
                for place, window in enumerate((entry or {}).get(freeze.KEY, ()))
            ),
            comment_deploys=(entry or {}).get("comment_deploys", False),
            at=f"{source}:{line_of(text, [KEY, name])}",
        )
        for name, entry in entries.items()
    )
    for name, key, message, hint in _problems(found):
        raise KickoffError(message, at=f"{source}:{line_of(text, [KEY, name, key])}", hint=hint)
    return found


def resolve(declared: Sequence[DeclaredEnvironment], default_branch: str) -> tuple[DeclaredEnvironment, ...]:
    """Return the environments with the name of the default branch in the place of ``HEAD``.

    Raises:
        KickoffError: Another environment names that branch already.
    """
    found = tuple(replace(one, branch=default_branch) if one.branch == HEAD else one for one in declared)
    for name, _, message, hint in _twice(found):
        at = next(one.at for one in found if one.name == name)
        raise KickoffError(message, at=at, hint=hint)
    return found


def proving(declared: Sequence[DeclaredEnvironment]) -> frozenset[str]:
    """Return the names of the environments whose proof another one demands."""
    return frozenset(one.after for one in declared if one.after)


def take_comments(declared: Sequence[DeclaredEnvironment]) -> bool:
    """Return whether a service takes commands from comments, and so may have locks: one deploys by them."""
    return any(one.comment_deploys for one in declared)


def require(declared: Sequence[DeclaredEnvironment], name: str) -> DeclaredEnvironment:
    """Return the environment that is called ``name``.

    Raises:
        KickoffError: There is none.
    """
    found = next((one for one in declared if one.name == name), None)
    if found is None:
        raise KickoffError(
            f"cannot deploy to {name!r}: no such environment",
            hint=f"choose one of {', '.join(one.name for one in declared)}",
        )
    return found


def require_files(declared: Sequence[DeclaredEnvironment], root: Path, folder: Path) -> None:
    """Refuse a declared environment that has no file in ``folder`` of a project; the default ones need none.

    Raises:
        KickoffError: One has none.
    """
    for one in declared:
        if one.at and not (root / folder / f"{one.name}.env").is_file():
            raise KickoffError(
                f"{one.name} is declared, and {folder}/{one.name}.env is missing",
                at=one.at,
                hint=f"begin it with `kickoff env template --env {one.name}`, or take the name out",
            )


_Problem = tuple[str, str, str, str]
"""The environment, its key, a message and a fix."""


def _problems(declared: Sequence[DeclaredEnvironment]) -> Iterator[_Problem]:
    names = [one.name for one in declared]
    for one in declared:
        if one.name == _RESERVED:
            yield one.name, "", f"no environment can be called {_RESERVED}", "choose another name"
        if one.after and one.after not in names:
            message = f"{one.name} comes after {one.after!r}, which is not declared"
            yield one.name, "after", message, f"name one of {', '.join(names)}, or leave `after` out"
    yield from _circles({one.name: one.after for one in declared})
    yield from _twice(declared)


def _circles(after: Mapping[str, str]) -> Iterator[_Problem]:
    for name in after:
        way = [name]
        while (before := after.get(way[-1], "")) and before not in way:
            way.append(before)
        if before == name:
            message = f"nothing could ever be proved: {' after '.join([*way, name])}"
            yield name, "after", message, "leave one `after` out"


def _twice(declared: Sequence[DeclaredEnvironment]) -> Iterator[_Problem]:
    for place, one in enumerate(declared):
        for other in declared[:place]:
            if one.branch and one.branch == other.branch:
                message = f"a push to {one.branch} would reach {other.name} and {one.name}"
                yield one.name, "branch", message, "a push is deployed once: leave one `branch` out"
            if one.tag and other.tag and _overlap(one.tag, other.tag):
                message = f"one tag can match {other.tag!r} of {other.name} and {one.tag!r} of {one.name}"
                yield one.name, "tag", message, "a tag is deployed once: make one `tag` more exact"


@cache
def _overlap(one: str, other: str) -> bool:
    """Return whether some tag matches both patterns."""
    if not one.startswith("*"):
        if other.startswith("*"):
            return _overlap(other, one)
        return one == other or (bool(one and other) and one[0] == other[0] and _overlap(one[1:], other[1:]))
    rest = _overlap(one[1:], other)
    return rest or (other != "" and other[0] != "/" and _overlap(one, other[1:]))
