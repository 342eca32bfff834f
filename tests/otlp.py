"""A receiver of traces as OTLP sends them over HTTP: by the service with a length, by Traefik in chunks."""

import gzip
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.servers import running


@dataclass(frozen=True)
class Span:
    """A span as it was received.

    Attributes:
        name: Its name.
        trace: The id of its trace, in hexadecimal.
        id: Its own id.
        parent: The id of the span that it is part of; empty for the first one.
        attributes: What it says of itself, as text.
        resource: What it says of who sent it.
        text: Everything in it, readable.
    """

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    resource: dict[str, str]
    text: str = field(repr=False)

    @property
    def service(self) -> str:
        """Who sent it."""
        return self.resource["service.name"]

    @property
    def system(self) -> str:
        """The kind of server that was asked; empty when none was."""
        return self.attributes.get("db.system.name", "")


class Receiver:
    """Spans by the order in which they came.

    Attributes:
        url: Its address, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` has it.
    """

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = b"".join(self._body())
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def _body(self) -> Iterator[bytes]:
                if self.headers.get("transfer-encoding") != "chunked":
                    yield self.rfile.read(int(self.headers["content-length"]))
                    return
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True  # senders keep their connections
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        """Keep what a request brought."""
        assert path == "/v1/traces"
        found = [
            Span(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                _texts(span.attributes),
                _texts(group.resource.attributes),
                str(span),
            )
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._changed:
            self._spans += found
            self._changed.notify_all()

    def spans(self, until: Callable[[list[Span]], bool] = lambda _: True, seconds: float = 60) -> list[Span]:
        """Return what has come, once it is enough."""
        end = time.monotonic() + seconds
        with self._changed:
            while not until(self._spans):
                if not self._changed.wait(end - time.monotonic()):
                    raise AssertionError(f"not within {seconds:g} s: {self._spans}")
            return list(self._spans)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver for the length of a block."""
    found = Receiver()
    with running(found.server):
        yield found


def _texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {one.key: str(getattr(one.value, one.value.WhichOneof("value") or "")) for one in attributes}
