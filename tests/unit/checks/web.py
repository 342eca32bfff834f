"""A loopback service whose answers the tests choose."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Answer:
    status: int = 200
    body: bytes = b'{"status": "ok"}'
    release: str = "new-1"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


@dataclass
class Server:
    """The running service: ``answer`` may be replaced at any time; ``seen`` grows."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    answer: Callable[[Seen], Answer] = lambda _: Answer()
