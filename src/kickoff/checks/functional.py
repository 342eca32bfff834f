"""The service's own tests against a release that runs: its interface, from outside."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kickoff.evidence import RuleResult
from kickoff.quality import Outcome, execute
from kickoff.service import Command

STAGE = "functional-candidate"
HEADERS = "KICKOFF_CHECK_HEADERS"
"""Environment variable that hands the headers to the tests: they hold secrets, and arguments are public."""


def run(
    command: Command,
    *,
    url: str,
    release: str,
    headers: Mapping[str, str],
    root: Path,
    logs: Path,
    environ: Mapping[str, str],
    show: Callable[[str], object],
) -> Outcome:
    """Run the tests against an address.

    Args:
        command: The tests; ``{url}`` and ``{release}`` in its arguments are replaced.
        url: Address of the release.
        release: The release that must answer.
        headers: What every request must carry.
        root: The folder the tests run in.
        logs: The folder their log goes to.
        environ: Their environment, besides the headers.
        show: Called with each line of their output.
    """
    filled = tuple(part.replace("{url}", url).replace("{release}", release) for part in command.run)
    return execute(
        replace(command, run=filled),
        root=root,
        logs=logs,
        environ={**environ, HEADERS: json.dumps(dict(headers))},
        show=show,
        stage=STAGE,
    )


def rule(outcome: Outcome) -> RuleResult:
    """Return the rule for the report; what the tests said last stands beside their exit code."""
    found = outcome.result()
    said = next((line.strip() for line in reversed(outcome.tail()) if line.strip()), "")
    return replace(found, measured=f"{found.measured}: {said}" if said else found.measured)
