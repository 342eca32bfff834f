"""A registry behind a password: forwards to the open one whatever comes with the right user and password."""

import base64
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers import running

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@contextmanager
def guarded(registry: str, username: str, password: str) -> Iterator[str]:
    """Yield the address (host and port) of a guard before ``registry``, which lets in this user alone."""
    wanted = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    class Guard(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # BuildKit tries TLS first; only a status line tells it that this is plain HTTP.
        default_request_version = "HTTP/1.0"

        def _forward(self) -> None:
            body = self._body()
            if self.headers.get("Authorization") != wanted:
                self._answer(401, [("WWW-Authenticate", 'Basic realm="registry"')], b"{}")
                return
            upstream = http.client.HTTPConnection(registry, timeout=60)
            try:
                # With the guard's own name the registry sends the client on to the guard.
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                self._answer(answer.status, answer.getheaders(), answer.read())
            finally:
                upstream.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            declared = next((v for k, v in headers if k.lower() == "content-length"), str(len(body)))
            for name, value in headers:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", declared)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _forward

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the headers hold the password."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Guard)
    server.daemon_threads = True
    with running(server):
        yield f"127.0.0.1:{server.server_port}"
