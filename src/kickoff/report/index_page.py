"""The page of all releases that are kept: one chart and one table for each environment. A pure function."""

from collections.abc import Sequence
from dataclasses import replace

from kickoff.report import assets, messages, past
from kickoff.report.charts.releases import releases
from kickoff.report.past import Past

_MOST_ROWS = 400


def render(runs: Sequence[Past]) -> str:
    """Return the page.

    Args:
        runs: The outcomes, oldest first; their pages are linked relative to the folder of all runs.
    """
    environments = sorted({entry.environment for entry in runs})
    sections = [
        (
            messages.line(name, 60),
            replace(releases(past.of(runs, name), f"releases-{index}", current=False), table=None),
            [entry for entry in reversed(runs) if entry.environment == name][:_MOST_ROWS],
        )
        for index, name in enumerate(environments)
    ]
    text: str = assets.template("index.html").render(
        **assets.parts(),
        sections=sections,
        count=len(runs),
        duration=messages.duration,
        milliseconds=messages.milliseconds,
        minute=messages.minute,
        plural=messages.plural,
    )
    return text
