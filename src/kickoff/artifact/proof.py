"""Proof: the statement that an artefact went through an environment with every check passed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, Verdict, now


def state(
    documents: Sequence[Evidence],
    *,
    environment: str,
    digest: str,
    commit: str,
    required_checks: Sequence[str],
) -> dict[str, Any]:
    """Return the statement for one environment, from the evidence of one run.

    Args:
        documents: All evidence of the run, oldest first.
        environment: Where the artefact was deployed.
        digest: The artefact.
        commit: The commit it was built from.
        required_checks: The checks without which nothing is promoted.

    Raises:
        KickoffError: A stage left no evidence, did not pass, or spoke of another release.
    """
    found = {document.stage: document for document in documents if document.environment == environment}
    stage = found.get("stage")
    changed = stage is None or stage.facts.get("changed") is not False
    # A release that was live already went through its checks when it came; only its health is news.
    needed = ("stage", *required_checks, "promote", "smoke-live") if changed else ("stage", "smoke-live")
    problems = [problem for name in needed if (problem := _problem(name, found.get(name)))]
    releases = {found[name].release for name in needed if name in found} - {""}
    if len(releases) > 1:
        problems.append(f"the stages speak of different releases: {', '.join(sorted(releases))}")
    if problems:
        raise KickoffError(
            f"{environment} is not proved: {problems[0]}",
            code=ExitCode.REJECTED,
            causes=problems[1:],
            hint="the report shows every stage with its verdict",
        )
    return {
        "version": 1,
        "environment": environment,
        "digest": digest,
        "commit": commit,
        "release": next(iter(releases), ""),
        "changed": changed,
        "proved": now(),
        "stages": {name: [asdict(rule) for rule in found[name].rules] for name in needed},
    }


def _problem(name: str, document: Evidence | None) -> str:
    if document is None:
        return f"{name} left no evidence"
    if document.verdict is not Verdict.PASS:
        return f"{name} ended with {document.verdict}: {document.summary}"
    return ""
