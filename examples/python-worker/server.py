"""The web process: takes jobs, and tells how many are done."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from store import connect


class Handler(BaseHTTPRequestHandler):
    """Answers with JSON and names its release."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the health check, and how far the jobs are."""
        if self.path not in ("/healthz", "/jobs"):
            return self._send(404, {"error": "not found"})
        with connect() as database:
            total, done = database.execute("SELECT count(*), count(done) FROM jobs").fetchone()
        return self._send(200, {"jobs": total, "done": done})

    def do_POST(self) -> None:
        """Take a job."""
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with connect() as database:
            number = database.execute("INSERT INTO jobs (text) VALUES (?)", (text,)).lastrowid
        self._send(201, {"job": number})

    def _send(self, status: int, document: dict[str, object]) -> None:
        body = json.dumps(document).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Release", os.environ.get("KICKOFF_RELEASE", ""))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Leave the log to what is worth reading."""


def main() -> None:
    """Serve until SIGTERM; requests in flight are finished."""
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


if __name__ == "__main__":
    main()
