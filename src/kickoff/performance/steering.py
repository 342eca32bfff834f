"""The users inside a generator: requests are marked, recorded, paced and sent to both sides."""

# ruff: noqa: ANN401 - Locust calls with whatever it has, and users are whatever the locustfile defines
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kickoff.performance.samples import Sample, Writer

MARKER = {"X-Kickoff-Check": "performance"}
_BACKLOG_SECONDS = 1.0
_BALANCED_BLOCK = 4
_LONGEST_ERROR = 4000
_LEAST_ASKED = 5


class Refused(Exception):
    """The plan cannot be carried out; the message says why."""


class Arm:
    """One side: where its requests go and which release must answer."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.name: str = document["name"]
        self.url: str = document["url"].rstrip("/")
        self.headers: dict[str, str] = {**document["headers"], **MARKER}
        self.release: str = document["release"]
        self._asked: list[float] = []  # times of the requests since the last right answer
        self._waiting: list[float] = []  # times of those that have no answer yet

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Note a request for as long as it has no answer."""
        now = time.perf_counter()
        self._asked.append(now)
        self._waiting.append(now)
        try:
            yield
        finally:
            self._waiting.remove(now)

    def answered(self) -> None:
        """Note a right answer."""
        self._asked.clear()

    @property
    def silent(self) -> float:
        """Seconds of asking without a right answer; a few wrong ones far apart are no silence."""
        since = [*self._waiting[:1], *(self._asked[:1] if len(self._asked) >= _LEAST_ASKED else [])]
        return time.perf_counter() - min(since) if since else 0.0


class Recorder:
    """Turns Locust's request events into samples and keeps the counts that the progress line shows."""

    def __init__(self, writer: Writer, arms: list[Arm], release_header: str, slow_ms: float) -> None:
        self._writer = writer
        self._arms = {arm.name: arm for arm in arms}
        self._header = release_header
        self._slow_ms = slow_ms
        self.requests = 0
        self.failures = 0
        self.recent: list[float] = []
        self.slow: list[dict[str, Any]] = []

    def __call__(  # noqa: PLR0917 - Locust passes keywords
        self,
        request_type: str,
        name: str,
        response_time: float,
        context: dict[str, Any],
        exception: BaseException | None = None,
        response: Any = None,
        start_time: float = 0.0,
        response_length: int | None = None,
        **_: Any,
    ) -> None:
        """Record one finished request (the signature is Locust's)."""
        arm = str(context.get("kickoff_arm", ""))
        headers = getattr(response, "headers", None)
        release = str((headers.get(self._header) if headers and self._header else None) or "")
        error = one_line(exception) if exception is not None else ""
        side = self._arms.get(arm)
        if side and not error and self._header and side.release and release != side.release:
            error = f"answered by release {release or '(none named)'}, expected {side.release}"
        if side and not error:
            side.answered()
        sample = Sample(
            time=start_time or time.time() - response_time / 1000,
            endpoint=f"{request_type} {name}",
            arm=arm,
            ms=response_time,
            ok=not error,
            error=error,
            release=release,
            pair=str(context.get("kickoff_pair", "")),
            slot=int(context.get("kickoff_slot", 0)),
            size=response_length or 0,
        )
        self._writer.add(sample)
        self.requests += 1
        self.failures += not sample.ok
        self.recent.append(response_time)
        if response_time > self._slow_ms and len(self.slow) < 100:
            self.slow.append(
                {
                    "time": sample.time,
                    "endpoint": sample.endpoint,
                    "arm": arm,
                    "ms": round(response_time, 1),
                    "status": getattr(response, "status_code", 0) or 0,
                    "release": release,
                    "error": error,
                }
            )


class Steering:
    """The next step of one user: which side it talks to, and how many requests it has sent."""

    def __init__(self, user: Any, number: str, arms: list[Arm], rate: float) -> None:
        self.arms = arms
        self.number = number
        self.rate = rate
        self.sent = 0
        self.started = time.perf_counter() + (random.random() / rate if rate else 0.0)  # noqa: S311
        self.skipped = 0.0
        self._pairs = 0
        self._orders = _balanced_orders(random.Random(f"{number}-{time.time_ns()}"))  # noqa: S311 - not a secret
        self._context: dict[str, Any] = {}
        self._arm = arms[0]
        self._wrap(user)

    def _wrap(self, user: Any) -> None:
        client = getattr(user, "client", None)
        if client is None or not hasattr(client, "base_url"):
            raise Refused(f"{type(user).__name__} is neither a FastHttpUser nor an HttpUser")
        client.trust_env = False  # an HttpUser is a session of requests; both sides are hosts of ours
        original_request, original_context = client.request, user.context

        def request(method: str, url: str, **options: Any) -> Any:
            self.sent += 1
            if "kickoff_pair" in self._context:
                self._context["kickoff_pair"] = f"{self.number}-{self._pairs}-{self.sent}"
            options["headers"] = {**self._arm.headers, **(options.get("headers") or {})}
            with self._arm.asking():
                return original_request(method, url, **options)

        def context() -> dict[str, Any]:
            return {**original_context(), **self._context}

        client.request = request
        user.context = context
        self._turn_to(user, self.arms[0], {})

    def _turn_to(self, user: Any, arm: Arm, context: dict[str, Any]) -> None:
        self._arm = arm
        user.client.base_url = arm.url
        self._context = {"kickoff_arm": arm.name, **context}

    def run_pair(self, user: Any, name: str, run: Callable[[], None]) -> None:
        """Run a task against each side in random order, with the same random numbers.

        Raises:
            Exception: What the task raised for the candidate. What it raises for live alone is not the fault
                of the users' code: it counts as a failed request of live.
        """
        self._pairs += 1
        before = self.sent
        numbers = random.getstate()
        errors: dict[int, Exception] = {}
        for slot, index in enumerate(next(self._orders)):
            self.sent = before
            random.setstate(numbers)
            self._turn_to(user, self.arms[index], {"kickoff_pair": "", "kickoff_slot": slot})
            try:
                run()
            except Exception as error:
                errors[index] = error
        self._turn_to(user, self.arms[0], {})
        if 0 in errors:
            raise errors[0]
        for index, raised in errors.items():
            user.environment.events.request.fire(
                request_type="TASK",
                name=name,
                response_time=0.0,
                exception=raised,
                context={"kickoff_arm": self.arms[index].name},
            )

    def wait(self) -> float:
        """Return the seconds until this user's next request is due (0 when it is late)."""
        due = self.started + self.skipped + self.sent / self.rate
        late = time.perf_counter() - due
        # After a stall the user catches up on a second's work at most, so that a pause is not followed by
        # a burst nobody planned; what is dropped shows as a missed target.
        self.skipped += max(0.0, late - _BACKLOG_SECONDS)
        return max(0.0, -late)


def _balanced_orders(source: random.Random) -> Iterator[tuple[int, int]]:
    while True:
        block = [(0, 1), (1, 0)] * (_BALANCED_BLOCK // 2)
        source.shuffle(block)
        yield from block


def one_line(error: BaseException) -> str:
    """Return an error as one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    # Whoever knows the secrets masks it and cuts it for the reader: half a secret could not be hidden.
    return text[:_LONGEST_ERROR]
