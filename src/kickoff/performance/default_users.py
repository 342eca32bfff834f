"""Users of a service that has no locustfile: they send the requests of its description.

Loaded by the generator as any locustfile is, and told the requests by the variable ``KICKOFF_LOAD``.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, constant

_PLAN = json.loads(os.environ["KICKOFF_LOAD"])


def _asking(request: dict[str, Any]) -> Callable[[Any], None]:
    method, path, status = request["method"], request["path"], request["status"]
    name = path.partition("?")[0]

    def ask(user: Any) -> None:  # noqa: ANN401 - Locust has no type for it
        options = {"name": name, "catch_response": True, "allow_redirects": False}
        if request["json"] is not None:
            options["json"] = request["json"]
        with user.client.request(method, path, **options) as response:
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
    tasks = [_asking(one) for one in _PLAN["requests"] for _ in range(one["weight"])]  # noqa: RUF012
