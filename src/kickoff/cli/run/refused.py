"""The end of a run that was refused before it began: an outcome and its page, as every other run has."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kickoff import service
from kickoff.cli import refusal
from kickoff.cli.run import report
from kickoff.cli.run.report import Written
from kickoff.errors import KickoffError
from kickoff.pipeline.inputs import Folders
from kickoff.plan import Plan


def conclude(
    root: Path, environments: Sequence[str], error: KickoffError, began: float, places: Mapping[str, str]
) -> tuple[Folders, Written]:
    """Leave evidence, outcome and page of a run that ``error`` kept from beginning.

    Args:
        root: The project.
        environments: Where the run would have gone; the first one declared by default.
        error: Why it did not begin.
        began: When it was asked for, in seconds since the epoch.
        places: ``KICKOFF_EVIDENCE_DIR`` and ``KICKOFF_REPORT_DIR``, where a caller has chosen them.

    Returns:
        The run's folders, and what was written about it.

    Raises:
        KickoffError: ``error``, when there is no project whose run it could have been.
    """
    if not service.is_described(root):
        raise error
    folders, name = Folders.create(root), ""
    with suppress(KickoffError):  # what is wrong with the description is what `error` is about
        name = service.name_of(root)
        environments = environments or [service.load(root).environments[0].name]
    evidence = Path(places.get("KICKOFF_EVIDENCE_DIR") or folders.evidence)
    environment = next(iter(environments), "")
    error.name_environment(environment)
    refusal.write(evidence, "preflight", environment, error, began)
    Plan(tuple(environments), "", "", "", "it was refused before it began").write(evidence, name)
    return folders, report.write(evidence, Path(places.get("KICKOFF_REPORT_DIR") or folders.report))


def places() -> dict[str, str]:
    """Return the folders that the caller has chosen by the environment."""
    names = ("KICKOFF_EVIDENCE_DIR", "KICKOFF_REPORT_DIR")
    return {name: os.environ[name] for name in names if os.environ.get(name)}
