"""Users of the demo's service: they ask it all the time, and every answer is kept."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote

from kickoff.probing.http import open_client, perform
from kickoff.service import HttpCheck

_THINKING = 0.1
"""Seconds between an answer and the same user's next request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one request.

    Attributes:
        at: When it ended, on the monotonic clock, in seconds.
        ok: Whether it was the right answer.
        milliseconds: How long it took.
        release: The release that answered; empty when none said so.
    """

    at: float
    ok: bool
    milliseconds: float
    release: str

    @property
    def began(self) -> float:
        """When the request was sent, on the same clock."""
        return self.at - self.milliseconds / 1000


class Users:
    """One user per name, each with a connection of its own; the context is the time in which they ask.

    Args:
        address: The public address.
        names: What the service is asked to greet; a right answer holds it.
    """

    def __init__(self, address: str, names: Sequence[str]) -> None:
        self._address, self._names = address, names
        self._answers: list[Answer] = []
        self._gone = threading.Event()
        self._pool = ThreadPoolExecutor(len(names), "user")
        self._users = [self._pool.submit(self._ask, name) for name in names]

    def since(self, moment: float) -> list[Answer]:
        """Return the answers of requests that ended after a moment of the monotonic clock."""
        return [answer for answer in self._answers.copy() if answer.at > moment]

    def leave(self) -> None:
        """Let everybody go, and wait for the answers that are under way; raises what broke a user."""
        self._gone.set()
        self._pool.shutdown()
        for user in self._users:
            user.result()

    def _ask(self, name: str) -> None:
        check = HttpCheck(name, f"/?name={quote(name)}", contains=f"Hello {name}")
        with open_client(self._address, {}) as client:
            while not self._gone.wait(_THINKING):
                seen = perform(client, check, header="X-Release", expected_release="", marker="")
                self._answers.append(Answer(time.monotonic(), seen.ok, seen.milliseconds, seen.release))
