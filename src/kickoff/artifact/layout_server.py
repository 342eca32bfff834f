"""A read-only registry of one image on the loopback, for as long as somebody fetches it.

It speaks the part of OCI's distribution API by which an engine pulls: manifests and blobs by digest, whole or
from a byte on. Its name for the image cannot be guessed, so other users of a machine find nothing here.
"""

import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kickoff.artifact.layout import Blob

SOURCE = "KICKOFF_IMAGE_SOURCE"
"""Variable that tells a host where it reaches such a server: registry and name."""
SENT = "sent"
"""Path below the image's name that tells what was sent."""
_BASE = "/v2/"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CHUNK = 1 << 20


class ImageServer(ThreadingHTTPServer):
    """A server of one image.

    Args:
        image: Its parts, by digest.

    Attributes:
        name: What the image is called here.
        layers: The layers that were asked for.
        bytes: Bytes of content that went out.
    """

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, image: Mapping[str, Blob]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.image = image
        self.name = f"{secrets.token_hex(16)}/image"
        self.layers: set[str] = set()
        self.bytes = 0
        self._counting = threading.Lock()

    @property
    def reference(self) -> str:
        """Registry and name under which the image is pulled from this machine."""
        return f"127.0.0.1:{self.server_port}/{self.name}"

    def count(self, sent: int) -> None:
        """Note that bytes went out."""
        with self._counting:
            self.bytes += sent


@contextmanager
def serving(image: Mapping[str, Blob]) -> Iterator[ImageServer]:
    """Serve an image on a free port of the loopback until the context ends."""
    with ImageServer(image) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: ImageServer
    protocol_version = "HTTP/1.1"
    # An engine tries TLS first; only a status line tells it that this is plain HTTP.
    default_request_version = "HTTP/1.0"
    timeout = 60

    def do_GET(self) -> None:
        """Answer with content."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer as to GET, without the content."""
        self._answer()

    def _answer(self) -> None:
        own = f"{_BASE}{self.server.name}/"
        if self.path == _BASE:
            self._text(HTTPStatus.OK, {})
        elif self.path == own + SENT:
            self._text(HTTPStatus.OK, {"layers": len(self.server.layers), "bytes": self.server.bytes})
        else:
            kind, _, digest = self.path.removeprefix(own).partition("/")
            blob = self.server.image.get(digest) if self.path.startswith(own) else None
            if blob is None or kind != ("manifests" if blob.is_manifest else "blobs"):
                code = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
                self._text(HTTPStatus.NOT_FOUND, {"errors": [{"code": code, "message": "not served here"}]})
            else:
                self._content(digest, blob)

    def _content(self, digest: str, blob: Blob) -> None:
        size = blob.path.stat().st_size
        first, last = 0, size - 1
        if asked := _RANGE.fullmatch(self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            if first > last:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", blob.media_type)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            if blob.is_layer:
                self.server.layers.add(digest)
            self._copy(blob, first, last - first + 1)

    def _copy(self, blob: Blob, first: int, left: int) -> None:
        with blob.path.open("rb") as stream, suppress(ConnectionError):  # whoever asked has gone: no error
            stream.seek(first)
            while left and (chunk := stream.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                self.server.count(len(chunk))
                left -= len(chunk)

    def _text(self, status: HTTPStatus, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the paths hold the image's name."""
