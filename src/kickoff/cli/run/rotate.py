"""The verb ``kickoff stack rotate``: replace a secret of the stack while both values are valid."""

import os
from pathlib import Path
from typing import Any

from kickoff import stack
from kickoff.cli import output
from kickoff.release import rotation
from kickoff.release.attempt import Run
from kickoff.release.rotation import Next, Standing
from kickoff.release.session import Session, open_recorded


def run(name: str, root: Path, secret: str) -> int:
    """Rotate a secret as far as it goes now; without one, say how each stands and change nothing.

    Raises:
        KickoffError: The secret cannot be rotated (exit 2), the stack is not what the project says (1),
            something is at work (75), or a server does not do what it is told (4).
    """
    opened = stack.open_stack(name, root)
    if not secret:
        return _list(opened, open_recorded(name, root))
    found = stack.Rotation(opened, secret)
    found.require_ready(root, os.environ)
    session = open_recorded(name, root)
    with opened.alone():
        stands = rotation.rotate(Run(session, root, output.say), found)
    done = f"✓ {secret} has a new value, and the former one is refused"
    text = done if stands.next is Next.BEGIN else _said(stands, found, name)
    output.result(_document(name, [stands]), text)
    return 0


def under_way(name: str, root: Path) -> list[str]:
    """Return a line for each rotation that waits, for the plan of a stack."""
    opened = stack.open_stack(name, root)
    begun = [stack.Rotation(opened, one) for one in stack.under_way(opened.folder)]
    session = open_recorded(name, root) if begun else None
    return [
        f"rotate    {one.secret:<24} {_said(rotation.standing(session, one), one, name)}"
        for one in begun
        if session is not None
    ]


def _list(opened: stack.Stack, session: Session) -> int:
    known = [stack.Rotation(opened, one) for one in sorted(stack.read(opened.root, opened.name).rotations)]
    stands = [rotation.standing(session, one) for one in known]
    lines = [
        f"{one.secret:<24} {_said(one, found, opened.name)}" for one, found in zip(stands, known, strict=True)
    ]
    output.result(_document(opened.name, stands), "\n".join(lines) or "nothing says how a secret is rotated")
    return 0


def _said(stands: Standing, found: stack.Rotation, name: str) -> str:
    """Return how a rotation stands and what comes next, for people."""
    again = f"`kickoff stack rotate {stands.secret} --env {name}`"
    if stands.next is Next.BEGIN:
        return f"one value is valid; {again} begins"
    if stands.next is Next.RELEASE and stands.callers:
        then = f"tell callers the new value ({found.place_of_new}), then {again}"
        return f"{stands.stale} knows the former value alone: `kickoff deploy --env {name}`, {then}"
    if stands.next is Next.RELEASE:
        then = f", then {again}" if stands.under_way else ""
        return f"{stands.stale} has the former value: `kickoff deploy --env {name}`{then}"
    if stands.callers:
        return f"both values are valid; once callers have the new one: {again}"
    return f"the former value is needed no more: {again} withdraws it"


def _document(name: str, stands: list[Standing]) -> dict[str, Any]:
    rows = [
        {"secret": one.secret, "under_way": one.under_way, "waits_for": one.stale, "next": str(one.next)}
        for one in stands
    ]
    return {"environment": name, "secrets": rows}
