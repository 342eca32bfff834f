"""A service that greets people by name: what ``kickoff demo`` ships, and changes between its releases."""

import os
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


def greeting(name: str) -> str:
    """Return what a person is told."""
    time.sleep(0.03)  # looks the word up, each time
    return f"Hello {name}\n"


class Greeter(BaseHTTPRequestHandler):
    """Answers ``/?name=…`` with a greeting, and ``/healthz`` while it can."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve a connection, which the other side may drop at any time."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Answer; what goes wrong is logged, and a person is told so."""
        asked, status, body = urlsplit(self.path), 200, b"ok\n"
        try:
            if asked.path != "/healthz":
                name = parse_qs(asked.query)["name"][0]
                body = greeting(name).encode()
        except Exception as error:
            sys.stderr.write(f"GET {self.path}: {type(error).__name__}: {error}\n")
            status, body = 500, b"sorry\n"
        self.send_response(status)
        self.send_header("X-Release", os.environ["KICKOFF_RELEASE"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log no request that went well."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Greeter).serve_forever()
