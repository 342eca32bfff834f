"""Users of a service that has no locustfile: they send the GET requests of its description.

Loaded by the generator as any locustfile is, and told the requests by the variable ``KICKOFF_LOAD``.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, constant

_PLAN = json.loads(os.environ["KICKOFF_LOAD"])


def _asking(path: str, status: int) -> Callable[[Any], None]:
    name = path.partition("?")[0]

    def ask(user: Any) -> None:  # noqa: ANN401 - Locust has no type for it
        options = {"name": name, "catch_response": True, "allow_redirects": False}
        with user.client.request("GET", path, **options) as response:
            # Without an answer the client has recorded why.
            if response.status_code and response.status_code != status:
                response.failure(f"status {response.status_code}, expected {status}")

    ask.__name__ = name
    return ask


class Visitor(FastHttpUser):
    """Somebody who sends any of the requests, again and again."""

    wait_time = constant(1)
    default_headers = {"X-Kickoff-Check": "performance", **_PLAN["headers"]}  # noqa: RUF012 - Locust's way
    connection_timeout = 10.0
    network_timeout = 30.0
    tasks = [_asking(*request) for request in _PLAN["requests"]]  # noqa: RUF012
