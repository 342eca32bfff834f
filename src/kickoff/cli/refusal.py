"""Evidence of what ended in an error before it could leave its own: a step, or a run that never began."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import get_type_hints

from kickoff import github
from kickoff.cli import output
from kickoff.errors import KickoffError

STAGES = {
    "workflow plan": "planning",
    "env validate": "validate",
    "check": "quality-gate",
    "audit": "dependency-audit",
    "stack prepare": "prepare",
    "stage": "stage",
    "smoke": "smoke-{phase}",
    "functional": "functional-candidate",
    "perf": "perf-baseline",
    "promote": "promote",
    "watch": "watch",
    "rollback": "rollback",
    "resume": "resume",
}
"""The stage of each verb that is a step of a pipeline; the others have evidence of every end."""


def leave(arguments: argparse.Namespace, error: KickoffError, began: float) -> None:
    """Leave the evidence of a step that was refused, unless the step has left its own.

    Outside a pipeline the message is enough, and nothing is written.

    Args:
        arguments: Those of the verb.
        error: What it ended with.
        began: When, in seconds since the epoch.
    """
    parser = getattr(arguments, "parser", None)
    stage = STAGES.get(" ".join(parser.prog.split()[1:]), "") if parser else ""
    if not stage or not ("KICKOFF_EVIDENCE_DIR" in os.environ or github.context().active):
        return
    environment = getattr(arguments, "env", None) or ""
    name = stage.format(phase=getattr(arguments, "phase", ""))
    folder = output.evidence_folder()
    path = folder / (f"{name}.{environment}.json" if environment else f"{name}.json")
    if path.is_file() and path.stat().st_mtime >= began:
        return
    with suppress(KickoffError, OSError):  # what it is about is `error`, which is told all the same
        write(folder, name, environment, error, began)


def write(folder: Path, stage: str, environment: str, error: KickoffError, began: float) -> None:
    """Write the evidence of a stage that ended in an error."""
    from datetime import UTC, datetime

    from kickoff.evidence import Evidence, fields
    from kickoff.release.outcome import verdict_of

    summary = f"{error}: {error.causes[0]}" if len(error.causes) == 1 else str(error)
    started = datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds")
    facts = dict(error.facts)
    if "outcome" in get_type_hints(fields.of(stage)):
        facts["outcome"] = "refused"
    document = Evidence(stage, environment, verdict_of(error), summary, started, facts=facts)
    document.log_tail = list(error.causes) if len(error.causes) > 1 else []
    document.write(folder)
