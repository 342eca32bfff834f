"""What the comment on a pull request says of one run: its summary, short."""

from kickoff.report import summary
from kickoff.report.language import say
from kickoff.report.messages import link
from kickoff.report.outcome import Outcome
from kickoff.report.run import Run

LIMIT = 10_000
"""Bytes: a comment holds six."""
FILE = "comment.md"
"""Its name beside the report."""
_ROOM_FOR_LINK = 500


def render(run: Run, outcome: Outcome) -> str:
    """Return the text, which ends with where the run is; empty when nothing was deployed."""
    if not outcome.environment:
        return ""
    address = link(run.run_url)
    where = f"\n[{say('The run')}]({address})\n" if address else ""
    return summary.render(run, outcome, LIMIT - _ROOM_FOR_LINK) + where
