"""Addresses that answer as a test wants, or not at all."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.servers import running
from tests.unit.checks.web import Seen, Server


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            request = Seen(self.command, self.path, dict(self.headers), body, self.client_address)
            found.seen.append(request)
            answer = found.answer(request)
            self.send_response(answer.status)
            if answer.release:
                self.send_header("X-Release", answer.release)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()

        do_POST = do_GET

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.block_on_close = False
    found = Server(f"http://127.0.0.1:{httpd.server_port}")
    with running(httpd):
        yield found


@pytest.fixture
def closed_url() -> Iterator[str]:
    """An address that nothing listens on, and that nobody else can get during the test."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"
