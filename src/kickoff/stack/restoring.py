"""An earlier state of a store's data, out of its backups: made and proved first, then put in place."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from kickoff.errors import KickoffError
from kickoff.stack import declaration
from kickoff.stack.changes import Stack

LATEST: Final = "latest"
"""The moment of the last change that a backup has."""
_SECONDS = 24 * 3600.0
"""How long the data may take to be read and written."""


def moment_of(text: str, now: datetime) -> str:
    """Return a moment as backups are asked for it, in UTC.

    Args:
        text: ``latest``, or a date and time of ISO 8601; UTC unless it says otherwise.
        now: The time.

    Raises:
        KickoffError: It is neither, or is still to come (exit 2).
    """
    if text == LATEST:
        return text
    hint = f"write 2026-01-31T14:05:00Z, with the offset of its zone if that is not UTC, or {LATEST}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise KickoffError(f"{text!r} is not a date and time", hint=hint) from None
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    if moment >= now:
        raise KickoffError(f"{moment:%F %T} UTC is still to come", hint=hint)
    return f"{moment:%F %T.%f+00}"


def restore(stack: Stack, moment: str, source: str, tell: Callable[[str], None]) -> None:
    """Give the servers of a store the state of an earlier moment.

    Until that state is there and was read from end to end, the servers go on as they are; what fails before
    leaves them so. ``latest`` stops them first: it is for data that are lost.

    Args:
        stack: The stack, as it was brought up.
        moment: The moment, as :func:`moment_of` returns it.
        source: Environment whose copies of backups are taken, from where this one's are kept, too; empty for
            its own backups on this host.
        tell: Is given each step, for people.

    Raises:
        KickoffError: The stack declares no backups (exit 2), a step fails (4), or another process changes
            the stack (75).
    """
    declared = declaration.read(stack.root, stack.name).restore
    if declared is None:
        hint = "x-kickoff.restore names the service that restores, docs/reference/stack.md"
        raise KickoffError(f"{stack.name} declares no backups", hint=hint)
    once = ("run", "--rm", "--no-deps", "--no-TTY", declared.service)
    recover = (*once, "recover", moment, *filter(None, [source]))
    still = [*declared.servers, declared.backup]
    with stack.alone():
        try:
            if moment != LATEST:
                tell("recover   beside the servers, which go on")
                stack.compose.run("stop", declared.backup)
                stack.compose.run(*recover, seconds=_SECONDS, hint=_UNCHANGED)
            tell(f"stop      {', '.join(declared.servers)}: writes fail from here on")
            # The backup last: so it has all that they wrote.
            for service in still:
                stack.compose.run("stop", service)
            if moment == LATEST:
                tell("recover   everything that was received")
                stack.compose.run(*recover, seconds=_SECONDS, hint=_UNCHANGED)
        except KickoffError:
            stack.revive()
            raise
        tell("install   in place of what the servers had")
        again = "nothing serves the data now: do the same again, once what hinders it is mended"
        stack.compose.run(*once, "install", seconds=_SECONDS, hint=again)
        tell("start     and a first backup of the new history")
        stack.revive(f"`kickoff logs --env {stack.name} --process {declared.servers[0]}` shows why")


_UNCHANGED = "the data are as they were; the message above says what the backups have"
