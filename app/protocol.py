"""The only answer that the server gives without asking the application: to what is not HTTP."""

import json
import os

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol; its refusal of a malformed request names the release and is a problem document."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and hang up."""
        problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": msg}
        body = json.dumps(problem).encode()
        release = os.environ.get("KICKOFF_RELEASE") or "unreleased"
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"x-release: {release}\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
