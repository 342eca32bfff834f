"""One request, and whether its answer is what the service description asks for."""

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from kickoff import masking
from kickoff.service import HttpCheck

MARKER = "X-Kickoff-Check"
SECONDS = 10.0
_SHOWN = 200
_BODY_LIMIT = 1 << 20
# Below the 5 s after which common servers hang up: a reused connection must not meet their goodbye.
_KEEP_ALIVE_SECONDS = 2.0
_MISSING = object()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: The check's name.
        ok: Whether every expectation was met.
        status: HTTP status code; 0 when nothing answered.
        milliseconds: Time from sending until the whole answer was read, or until the failure.
        release: The release that answered; empty when the answer did not say.
        error: What was expected and what was found; empty when ``ok``.
    """

    name: str
    ok: bool
    status: int
    milliseconds: float
    release: str
    error: str = ""


def open_client(base_url: str, headers: Mapping[str, str], *, seconds: float = SECONDS) -> httpx.Client:
    """Return a client for checks of ``base_url``; the caller closes it.

    It ignores the proxies of the process environment and keeps no cookie: a sticky session would pin all
    later requests to the release that answered first.

    Args:
        base_url: Address of the service.
        headers: Sent with every request.
        seconds: Limit for connecting and for every read and write.
    """
    # Reading the authorities takes 50 ms, which no address without TLS needs; redirects are not followed.
    encrypted = base_url.startswith("https:")
    return httpx.Client(
        base_url=base_url,
        verify=True if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        headers=dict(headers),
        timeout=seconds,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE_SECONDS),
    )


def perform(
    client: httpx.Client, check: HttpCheck, *, header: str, expected_release: str, marker: str
) -> CheckResult:
    """Send one request and compare its answer with ``check``; never raises for what the service does.

    Args:
        client: Carries the address, e.g. from :func:`open_client`.
        check: The request and its expectations.
        header: Response header that names the release; empty when the service sends none.
        expected_release: The release that must answer; empty for no such demand.
        marker: Value of the ``X-Kickoff-Check`` header, which keeps the request out of business figures;
            empty for a request like a user's.
    """
    started = time.perf_counter()
    try:
        request = client.build_request(
            check.method,
            check.path,
            json=check.json,
            headers={"Accept": "*/*"} | ({MARKER: marker} if marker else {}),
        )
        response = client.send(request, stream=True)
        try:
            body, complete = _read(response, started + SECONDS)
        finally:
            response.close()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"no answer: {_explain(error)}"
        return CheckResult(check.name, False, 0, _since(started), "", reason)
    elapsed = _since(started)
    release = response.headers.get(header, "") if header else ""
    problems = _problems(check, response.status_code, _text(body, response))
    if not complete:
        problems.append(f"expected a complete answer within {SECONDS:g} s, found {len(body)} bytes so far")
    if header and expected_release and release != expected_release:
        problems.append(f"expected {header} {expected_release}, found {release or 'none'}")
    return CheckResult(check.name, not problems, response.status_code, elapsed, release, "; ".join(problems))


def _read(response: httpx.Response, deadline: float) -> tuple[bytes, bool]:
    """Read at most ``_BODY_LIMIT`` bytes; an answer that trickles past ``deadline`` is incomplete."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) >= _BODY_LIMIT:
            break
        if time.perf_counter() > deadline:
            return bytes(body), False
    return bytes(body), True


def _problems(check: HttpCheck, status: int, text: str) -> list[str]:
    if status != check.status:
        return [f"expected status {check.status}, found {status}: {_cut(text)}"]
    problems = []
    if check.contains and check.contains not in text:
        problems.append(f"expected the text {check.contains!r}, found {_cut(text)}")
    if check.expect:
        try:
            document = json.loads(text)
        except ValueError:
            return [*problems, f"expected JSON, found {_cut(text)}"]
        for key, wanted in check.expect.items():
            found = _lookup(document, key)
            if not _same(found, wanted):
                shown = "no such key" if found is _MISSING else _cut(_show(found))
                problems.append(f"expected {key} = {_show(wanted)}, found {shown} in {_cut(text)}")
    return problems


def _lookup(document: object, key: str) -> object:
    """Return the value at a dotted key; a number descends into a list, a literal key wins over dots."""
    if isinstance(document, dict) and key in document:
        return document[key]
    first, dot, rest = key.partition(".")
    if isinstance(document, dict) and first in document:
        child = document[first]
    elif isinstance(document, list) and first.isdecimal() and int(first) < len(document):
        child = document[int(first)]
    else:
        return _MISSING
    return _lookup(child, rest) if dot else child


def _same(found: object, wanted: object) -> bool:
    # In JSON `true` is not 1, in Python it is.
    return found is not _MISSING and json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _show(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(body: bytes, response: httpx.Response) -> str:
    try:
        return body.decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:  # the answer names a character set that does not exist
        return body.decode("utf-8", "replace")


def _cut(text: str) -> str:
    return masking.cut(text, _SHOWN) or "an empty body"


def _explain(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"timed out ({type(error).__name__})"
    return str(error) or type(error).__name__


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
