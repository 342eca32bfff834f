"""The wait until a release is ready, and the question the proxy will ask."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import httpx

from kickoff.probing.http import open_client, perform
from kickoff.service import HttpCheck

_POLL_SECONDS = 0.05
_REQUEST_SECONDS = 2.0


class Readiness(NamedTuple):
    """The end of a wait for readiness: ready or not, why not, and after how many seconds that was known.

    ``ended`` tells that the service cannot answer any more, ``status`` is its last answer's (0 for none),
    ``wrong`` tells that another release answered than expected, and ``named`` which, if it said so.
    """

    ok: bool
    reason: str
    seconds: float
    ended: bool = False
    status: int = 0
    wrong: bool = False
    named: str = ""


def wait_ready(  # noqa: PLR0917 - the documented order
    url: str,
    headers: Mapping[str, str],
    path: str,
    header: str,
    expected_release: str,
    seconds: float,
    still_running: Callable[[], str],
    *,
    most_wrong: int = 0,
    instances: int = 1,
) -> Readiness:
    """Ask every 50 ms until ``path`` answers 200 by the expected release, or until that is hopeless.

    Args:
        url: Address of the service.
        headers: Sent with every request.
        path: Readiness path.
        header: Response header that names the release; empty when the service sends none.
        expected_release: The release that must answer; empty for no such demand.
        seconds: How long to wait; one request is sent even for 0.
        still_running: Returns why the service cannot become ready any more (it crashed), or nothing.
        most_wrong: Give up after this many answers in a row by a ready service of another release; 0 keeps
            waiting, for an address that is still to be switched.
        instances: How many answer in turn behind the address: so many good answers in a row are all of them.
    """
    check = HttpCheck(name="ready", path=path)
    started = time.monotonic()
    wrongs = good = 0
    with open_client(url, headers, seconds=max(_POLL_SECONDS, min(_REQUEST_SECONDS, seconds))) as client:
        while True:
            stopped = still_running()
            if stopped:
                return Readiness(False, stopped, time.monotonic() - started, ended=True)
            result = perform(client, check, header=header, expected_release="", marker="ready")
            wrong = bool(header and expected_release and result.release != expected_release)
            elapsed = time.monotonic() - started
            good = good + 1 if result.ok and not wrong else 0
            if good >= instances:
                return Readiness(True, "", elapsed)
            if good and elapsed < seconds:
                continue
            wrongs = wrongs + 1 if result.ok else 0
            if elapsed + _POLL_SECONDS >= seconds or (most_wrong and wrongs >= most_wrong):
                break
            time.sleep(_POLL_SECONDS)
    reason = still_running()
    ended = bool(reason)
    if not reason and good:
        reason = f"only {good} of {instances} instances answered in a row within {seconds:g} s"
    elif not reason and result.ok:
        answered = result.release or f"a service without {header}"
        reason = f"wrong release: expected {expected_release}, answered {answered}"
    elif not reason:
        last = result.error.removeprefix("expected status 200, found ")
        reason = f"never ready in {seconds:g} s (last: {last})"
    elapsed = time.monotonic() - started
    return Readiness(False, reason, elapsed, ended, result.status, result.ok and wrong, result.release)


def wait_live(
    url: str, headers: Mapping[str, str], path: str, seconds: float, still_running: Callable[[], str]
) -> Readiness:
    """Ask ``path`` as the proxy's health check does, until it answers 2xx or 3xx.

    Args:
        url: Address of the service.
        headers: What the way to the service needs; nothing of the service's own, for the proxy has none.
        path: Liveness path.
        seconds: How long the proxy waits for an answer; also how long this asks again.
        still_running: Returns why the service cannot answer any more (it crashed), or nothing.
    """
    started = time.monotonic()
    with open_client(url, headers, seconds=seconds) as client:
        while True:
            stopped = still_running()
            if stopped:
                return Readiness(False, stopped, time.monotonic() - started)
            status = 0
            try:
                answer = client.get(path)
                status = answer.status_code
                problem = "" if 200 <= status < 400 else f"answered {status}"
            except httpx.HTTPError as error:
                problem = f"did not answer ({type(error).__name__})"
            elapsed = time.monotonic() - started
            if not problem:
                return Readiness(True, "", elapsed)
            if elapsed >= seconds:
                reason = f"GET {path}, asked without headers as the proxy will ask, {problem}"
                return Readiness(False, reason, elapsed, status=status)
            time.sleep(_POLL_SECONDS)
