"""A loopback service with the football API, a release id, and switches for faults."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers import running


@dataclass
class Toy:
    """What the server does, and what it saw."""

    release: str = "new"
    status: int = 0  # 0: the right one
    broken: tuple[str, ...] = ()  # paths that answer 500
    fails_every: int = 0  # so many requests make one 500
    good_for: int = -1  # requests until it stops answering; -1: for ever
    hangs: bool = False  # how it stops: silent instead of hanging up
    seconds: float = 0.0  # how long an answer takes
    probabilities: tuple[float, float, float] = (0.5, 0.25, 0.25)
    url: str = ""
    markers: set[str] = field(default_factory=set)
    matches: list[str] = field(default_factory=list)
    requests: int = 0
    closed: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(toy: Toy) -> Iterator[Toy]:
    """Serve ``toy`` on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(200, [] if self.path.startswith("/predictions") else {"status": "ok"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            home, draw, away = toy.probabilities
            found = {"probabilities": {"home": home, "draw": draw, "away": away}}
            if "matches" in body:
                self._answer(201, {"predictions": [{**match, **found} for match in body["matches"]]})
            else:
                toy.matches.append(f"{body['home_team']}-{body['away_team']}")
                self._answer(201, {**body, **found})

        def _answer(self, status: int, body: object) -> None:
            toy.markers.add(self.headers.get("X-Kickoff-Check", ""))
            with counting:
                toy.requests += 1
                number = toy.requests
            if 0 <= toy.good_for < number:
                self.close_connection = True
                if toy.hangs:
                    toy.closed.wait(60)
                return
            time.sleep(toy.seconds)
            text = json.dumps(body).encode()
            wrong = self.path.partition("?")[0] in toy.broken or (
                toy.fails_every and not number % toy.fails_every
            )
            self.send_response(500 if wrong else toy.status or status)
            self.send_header("X-Release", toy.release)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            self.wfile.flush()

    counting = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    toy.url = f"http://127.0.0.1:{server.server_port}"
    with running(server):
        try:
            yield toy
        finally:
            toy.closed.set()
