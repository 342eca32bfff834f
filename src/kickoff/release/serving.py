"""Serving now: what an address answers at this moment, never what was recorded."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import httpx

from kickoff.probing.http import open_client, perform
from kickoff.release.targets import Endpoint
from kickoff.service import Service

ROUNDS = 3
SECONDS = 2.0
"""Longest wait for one answer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of an address.

    Attributes:
        asked: Requests sent.
        wrong: Those without an answer, with an error, or answered by a release that should not.
        problem: What was wrong most often; empty when nothing was.
    """

    asked: int
    wrong: int
    problem: str

    @property
    def down(self) -> bool:
        """True when most requests went wrong."""
        return self.wrong > self.asked / 2


def ask(
    endpoint: Endpoint, service: Service, releases: Collection[str], headers: Mapping[str, str]
) -> Answers:
    """Ask an address for the liveness path and for what the probe reads, ``ROUNDS`` times.

    Args:
        endpoint: The address.
        service: Says what to ask for. What the probe writes is left out: asking must change nothing.
        releases: The releases that may answer: two while traffic moves.
        headers: Sent besides those of the endpoint.
    """
    reads = [check for check in service.probe if check.method == "GET"]
    header, asked, wrong = service.release_header, 0, Counter[str]()
    with open_client(endpoint.url, {**endpoint.headers, **headers}, seconds=SECONDS) as client:
        for _ in range(ROUNDS):
            asked += 1 + len(reads)
            try:
                answer = client.get(service.live_path)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                wrong[f"no answer ({_reason(error)})"] += 1 + len(reads)
                continue
            named = answer.headers.get(header, "a service without a release header") if header else ""
            if answer.status_code >= 400:
                wrong[f"{service.live_path}: HTTP {answer.status_code}"] += 1
            elif named and named not in releases:
                wrong[f"{named} answers"] += 1
            for check in reads:
                found = perform(client, check, header=header, expected_release="", marker="status")
                if not found.ok:
                    wrong[f"{check.path}: {f'HTTP {found.status}' if found.status else 'no answer'}"] += 1
    total = wrong.total()
    if not total:
        return Answers(asked, 0, "")
    most = wrong.most_common(1)[0][0]
    return Answers(asked, total, most if total == asked else f"{most} ({total} of {asked} requests failed)")


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"none within {SECONDS:g} s"
    text = str(error) or type(error).__name__
    return "connection refused" if "Connection refused" in text else text
