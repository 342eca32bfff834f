"""The server that may be written, of two that hold the same data; and making the other one it.

A file on the host names it, and each server reads the file when it starts: one that is not named follows.
So the one that was lost cannot come back as a second primary, whoever starts it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.stack import declaration
from kickoff.stack.changes import Stack
from kickoff.stack.secret_files import READABLE

FILE: Final = "primary"
"""In the stack's folder, mounted by both servers: the name of the service that may be written."""


def recorded(folder: Path) -> str:
    """Return the text of the file; empty where there is none yet."""
    return (folder / FILE).read_text("utf-8") if (folder / FILE).is_file() else ""


def promote_replica(stack: Stack, service: str, tell: Callable[[str], None]) -> None:
    """Make a replica the primary, and the former primary its replica, with a new copy of the data.

    A former primary that runs is stopped first, so that it has sent all it wrote. Doing it again finishes
    what was begun.

    Args:
        stack: The stack, as it was brought up.
        service: The one that becomes the primary.
        tell: Is given each step, for people.

    Raises:
        KickoffError: There are no such servers (exit 2), the replica does not run (4; nothing was changed),
            a step fails (4), or another process changes the stack (75).
    """
    declared = declaration.read(stack.root, stack.name).primary
    if declared is None or service not in declared.services:
        known = " and ".join(declared.services) if declared else "none"
        raise KickoffError(
            f"{service} cannot become the primary in {stack.name}: {known} can",
            hint="x-kickoff.primary names them, docs/reference/stack.md",
        )
    with stack.alone():
        former = next(one for one in declared.services if one != service)
        _require_running(stack, service)
        tell(f"fence     {former} may not be written any more, whoever starts it")
        write_atomic(stack.folder / FILE, f"{service}\n", mode=READABLE)
        stack.compose.run("stop", former)
        tell(f"promote   {service}")
        stack.compose.run("exec", "-T", service, *declared.promote)
        tell(f"follow    {former} gets a new copy of the data")
        hint = f"`kickoff logs --env {stack.name} --process {former}` shows why; then do the same again"
        stack.compose.run("up", "--detach", "--wait", "--no-deps", "--no-build", former, hint=hint)
        stack.remember()


def _require_running(stack: Stack, service: str) -> None:
    if not any(row["State"] == "running" for row in stack.compose.containers(service)):
        raise KickoffError(
            f"{service} does not run, so it cannot become the primary",
            code=ExitCode.UNREACHABLE,
            hint=f"`kickoff stack apply --env {stack.name}` starts what was stopped; nothing was changed",
        )
