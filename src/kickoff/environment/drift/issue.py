"""The one issue about drift: opened, updated and closed from the evidence of a scheduled check."""

from collections.abc import Sequence
from typing import Any

from kickoff import gh
from kickoff.environment.findings import Finding, as_table
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict

MARKER = "<!-- kickoff: configuration drift -->"
TITLE = "Configuration drift"
_MOST = 5000
_HINT = "the job needs `issues: write` and GH_TOKEN"
_SHOWN = 40  # of each part; GitHub takes 65,536 characters


def render(evidence: Sequence[Evidence], planned: Sequence[str]) -> str:
    """Return the issue's text; empty when every planned check ran and found nothing.

    Args:
        evidence: What the checks left behind: one document without environment for the files, and one for
            each environment.
        planned: The environments whose target was to be checked.
    """
    documents = {one.environment: one for one in evidence}
    sections = [_section(name, documents.get(name)) for name in ("", *planned)]
    if not any(sections):
        return ""
    # An @ in a value must not call somebody.
    return "\n".join([MARKER, *filter(None, sections)]).replace("@", "&#64;")


def _section(name: str, document: Evidence | None) -> str:
    title = f"### {name or 'The files in configs/environments'}\n"
    if document is None:
        return f"{title}\nThe check left no result, so nothing is known. The run's log says why.\n"
    if document.verdict is Verdict.PASS:
        return ""
    found = [Finding(**one) for one in document.facts["findings"]]
    doubts = "".join(f"\nInconclusive: {doubt}.\n" for doubt in document.facts["doubts"])
    table = as_table(found[:_SHOWN]) if found else ""
    more = f"\nand {len(found) - _SHOWN} more, listed in the run\n" if len(found) > _SHOWN else ""
    return f"{title}\n{table}{more}{doubts}"


def settle(text: str, repository: str, run_url: str) -> str:
    """Make the repository's one issue say ``text``, or close it when there is nothing to say.

    Args:
        text: The issue's text; empty closes it.
        repository: ``owner/name``.
        run_url: Address of the run that found this out.

    Returns:
        What was done, in words.

    Raises:
        KickoffError: GitHub cannot be asked (exit code 4).
    """
    issues = f"repos/{repository}/issues"
    current = _find(issues)
    if not text:
        if current is None:
            return "nothing has drifted, and no issue is open"
        _gh(
            "POST",
            f"{issues}/{current['number']}/comments",
            {"body": f"Nothing has drifted any more: {run_url}"},
        )
        _gh("PATCH", f"{issues}/{current['number']}", {"state": "closed", "state_reason": "completed"})
        return f"closed #{current['number']}"
    if current is None:
        made = _gh("POST", issues, {"title": TITLE, "body": f"{text}\nFirst seen in {run_url}\n"})
        return f"opened #{made['number']}"
    known, _, _ = str(current["body"]).replace("\r\n", "\n").partition("\nFirst seen in ")
    if known == text:
        return f"#{current['number']} says it already"
    first = str(current["body"]).replace("\r\n", "\n").rpartition("\nFirst seen in ")[2].split("\n")[0]
    body = f"{text}\nFirst seen in {first}\n\nLast changed in {run_url}\n"
    _gh("PATCH", f"{issues}/{current['number']}", {"body": body})
    return f"updated #{current['number']}"


def _find(issues: str) -> dict[str, Any] | None:
    """Return the oldest open issue that carries the marker and was written by a workflow."""
    query = f"{issues}?state=open&sort=created&direction=asc"
    for number, one in enumerate(gh.listed(query, hint=_HINT), 1):
        mine = one["user"]["login"] == gh.WORKFLOW and "pull_request" not in one
        if mine and str(one["body"]).startswith(MARKER):
            return dict(one)
        if number == _MOST:
            raise KickoffError(
                f"more than {_MOST} issues are open; the one about drift was not found among them",
                code=ExitCode.UNREACHABLE,
            )
    return None


def _gh(method: str, path: str, document: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - any JSON
    return gh.api(method, path, document, hint=_HINT)
