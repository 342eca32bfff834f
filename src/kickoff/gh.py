"""Asking GitHub through its command line ``gh``, which knows the host, the proxy and the token.

Where there is no ``gh`` but a token, its API is asked without: a runner of one's own often has none.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from kickoff.errors import ExitCode, KickoffError

TIMEOUT = 60
"""Seconds GitHub gets for one answer."""
WORKFLOW = "github-actions[bot]"
"""Who writes with the token of a workflow."""
_PAGE = 100

_API = "GITHUB_API_URL"
"""Variable with the API's root, which GitHub sets where it is another one."""
_NO_LOGIN = 4
"""Exit code of ``gh`` when it has no token."""
_NOT_FOUND = 404
_UNATTESTED = re.compile(r"no (matching )?attestations|verification failed|failed to verify", re.IGNORECASE)
"""What ``gh`` says of an attestation that is missing or bad; of anything else we cannot tell."""


class GitHubError(KickoffError):
    """GitHub was not reached or did not do what was asked.

    Attributes:
        status: The HTTP status of its answer, 0 when there was none, -1 when there is no ``gh`` to ask.
        answer: What it said, in one line.
    """

    def __init__(self, message: str, *, status: int, answer: str, hint: str) -> None:
        super().__init__(message, code=ExitCode.UNREACHABLE, causes=[answer], hint=hint)
        self.status, self.answer = status, answer

    @property
    def passing(self) -> bool:
        """True when asking again in a moment may help."""
        return self.status in (0, 429) or self.status >= 500


def api(method: str, path: str, document: object = None, *, hint: str) -> Any:  # noqa: ANN401 - any JSON
    """Send one request and return the JSON that comes back; ``None`` for an empty answer.

    Args:
        method: The HTTP method.
        path: The path below the API's root, with its query.
        document: JSON to send.
        hint: What to do when GitHub refuses, e.g. the permission the job needs.

    Raises:
        GitHubError: ``gh`` is missing or silent, or GitHub refused (exit code 4).
    """
    raw = download(path, method=method, document=document, hint=hint)
    if not raw.strip():
        return None
    try:
        return json.loads(raw)
    except ValueError:
        raise _refusal(method, path, "gh answers no JSON", 0, hint) from None


def listed(path: str, key: str = "", *, hint: str) -> Iterator[Mapping[str, Any]]:
    """Yield what GitHub lists, page by page; a page is asked for when what came before it is used up.

    Args:
        path: The path below the API's root, with its query if it has one.
        key: Key of the list in the answer; empty where the answer is the list.
        hint: As for :func:`api`.

    Raises:
        GitHubError: As for :func:`api`.
    """
    query = f"{path}{'&' if '?' in path else '?'}per_page={_PAGE}"
    for page in count(1):
        answer = api("GET", f"{query}&page={page}", hint=hint)
        found = answer[key] if key else answer
        yield from found
        if len(found) < _PAGE:
            return


def download(path: str, *, hint: str, method: str = "GET", document: object = None) -> bytes:
    """Send one request and return the bytes that come back.

    Raises:
        GitHubError: As for :func:`api`.
    """
    if token := _token():
        return _asked(token, method, path, document, hint)
    command = ["api", "--method", method, path, *(["--input", "-"] if document is not None else [])]
    given = json.dumps(document).encode() if document is not None else None
    done = _run(command, f"{method} {path}", hint, given)
    if done.returncode == 0:
        return done.stdout
    answer = _answer(done)
    found = re.search(r"\(HTTP (\d{3})\)", answer)
    status = int(found[1]) if found else 401 if done.returncode == _NO_LOGIN else 0
    raise _refusal(method, path, answer, status, hint)


def _token() -> str:
    """Return the token to ask with where there is no ``gh``; empty where there is, or no token."""
    if shutil.which("gh") is not None:
        return ""
    return os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN") or ""


def _asked(token: str, method: str, path: str, document: object, hint: str) -> bytes:
    """Send one request as https://docs.github.com/en/rest has it; the token goes to no other host.

    Raises:
        GitHubError: As for :func:`api`.
    """
    import httpx  # noqa: PLC0415 - most machines have gh

    if "{" in path:  # gh would look up which repository this is
        raise _refusal(method, path, "without gh the repository has to be named", -1, hint)
    root = os.environ.get(_API) or "https://api.github.com"
    headers = {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {token}"}
    try:
        answer = httpx.request(
            method,
            f"{root.rstrip('/')}/{path}",
            headers={**headers, "X-GitHub-Api-Version": "2022-11-28"},
            json=document,
            follow_redirects=True,
            trust_env=True,  # the way to GitHub is the caller's
            timeout=TIMEOUT,
        )
    except httpx.HTTPError as error:
        raise _refusal(method, path, f"{type(error).__name__}: {error}", 0, hint) from None
    if answer.is_success:
        return answer.content
    raise _refusal(
        method, path, f"{_told(answer.text)} (HTTP {answer.status_code})", answer.status_code, hint
    )


def _told(text: str) -> str:
    """Return what the API says of a refusal, in one line."""
    try:
        document = json.loads(text)
        errors = [one["message"] if isinstance(one, dict) else one for one in document.get("errors", ())]
        return " ".join([document["message"], *map(str, errors)])
    except (AttributeError, KeyError, TypeError, ValueError):
        return "it does not say why"


def attestations(file: Path, *, repository: str, workflow: str, predicate: str, hint: str) -> Any:  # noqa: ANN401
    """Return the attestations of a file that ``gh`` has verified, as its JSON has them.

    Args:
        file: The subject.
        repository: ``owner/name`` of the repository that must have signed.
        workflow: Path of the workflow in it that must have signed.
        predicate: Type of the predicate.
        hint: What to do when GitHub refuses.

    Raises:
        GitHubError: ``gh`` is missing, too old or silent, or GitHub cannot be asked (exit code 4).
        KickoffError: There is none, or none that is good (exit code 1).
    """
    command = ["attestation", "verify", str(file), "--repo", repository, "--format", "json"]
    command += ["--signer-workflow", f"{repository}/{workflow}", "--predicate-type", predicate]
    done = _run(command, "attestation verify", hint, None)
    answer = _answer(done)
    if done.returncode == 0:
        try:
            return json.loads(done.stdout)
        except ValueError:
            answer = "gh answers no JSON"
    found = re.search(r"\bHTTP (\d{3})\b", answer)
    status = int(found[1]) if found else 401 if done.returncode == _NO_LOGIN else 0
    if done.returncode != 0 and (status == _NOT_FOUND or (status == 0 and _UNATTESTED.search(answer))):
        raise KickoffError("no attestation that counts was found", code=ExitCode.REJECTED, causes=[answer])
    if "unknown command" in answer or "unknown flag" in answer:
        status, hint = -1, "install a newer gh: https://cli.github.com"
    raise _refusal("attestation", "verify", answer, status, hint)


def _run(
    command: Sequence[str], what: str, hint: str, given: bytes | None
) -> "subprocess.CompletedProcess[bytes]":
    method, _, path = what.partition(" ")
    try:
        return subprocess.run(
            ["gh", *command], input=given, capture_output=True, timeout=TIMEOUT, check=False
        )
    except FileNotFoundError:
        lack = "install it: https://cli.github.com; or, but for signatures, give a token in GH_TOKEN"
        raise _refusal(method, path, "gh is not installed", -1, lack) from None
    except subprocess.TimeoutExpired:
        raise _refusal(method, path, f"no answer within {TIMEOUT} s", 0, hint) from None


def _answer(done: "subprocess.CompletedProcess[bytes]") -> str:
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return " ".join(said[-3:]) or f"gh ended with exit code {done.returncode}"


def _refusal(method: str, path: str, answer: str, status: int, hint: str) -> GitHubError:
    return GitHubError(
        f"GitHub did not take {method} {path.partition('?')[0]}", status=status, answer=answer, hint=hint
    )
