"""The real service with one endpoint made worse: ``python -m benchmarks.perf_gate.injected --port 8001 …``.

The fault stands around the application, never in it: a slowdown burns processor time in proportion to what
the request took, as slower code would.
"""

import argparse
import os
import random
import time

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.main import create_app
from app.settings import Settings
from app.telemetry import logs

APP_MS = b"x-app-ms"
"""Response header with the milliseconds that the application took; tells how much of a request is its own."""


class Injected:
    """An ASGI layer that slows, breaks or delays some answers of one endpoint.

    Args:
        app: The service.
        endpoint: ``METHOD /path`` of the endpoint.
        slow: Time added to each answer, as a share of what the application took (0.25 = 25 %).
        errors: Share of answers that become a 500.
        tail: Share of answers that take ten times as long.
    """

    def __init__(self, app: ASGIApp, endpoint: str, *, slow: float, errors: float, tail: float) -> None:
        self._app = app
        self._method, _, self._path = endpoint.partition(" ")
        self._slow, self._errors, self._tail = slow, errors, tail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != (self._method, self._path):
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        share = 9.0 if random.random() < self._tail else self._slow
        broken = random.random() < self._errors

        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = time.perf_counter() - begun
                until = time.perf_counter() + took * share
                while time.perf_counter() < until:
                    pass
                headers = [*message["headers"], (APP_MS, f"{took * 1000:.4f}".encode())]
                message = {**message, "headers": headers, "status": 500 if broken else message["status"]}
            await send(message)

        await self._app(scope, receive, changed)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--endpoint", default="POST /predictions")
    for name in ("slow", "errors", "tail"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    options = parser.parse_args()
    settings = Settings()
    logs.configure(settings.log_level, settings.kickoff_release)
    random.seed(os.urandom(8))
    application = Injected(
        create_app(settings),
        options.endpoint,
        slow=options.slow,
        errors=options.errors,
        tail=options.tail,
    )
    uvicorn.run(
        application,
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("X-Release", settings.kickoff_release)],
        timeout_keep_alive=120,
    )


if __name__ == "__main__":
    main()
