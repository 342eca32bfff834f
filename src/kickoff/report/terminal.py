"""The block every run ends with on a terminal, as plain text; the caller may colour it."""

from collections.abc import Mapping
from typing import Any

from kickoff.report.messages import clean, line

LOG_LINES = 20
"""Lines of the failing log that the block repeats; the report holds more."""


def closing_block(outcome: Mapping[str, Any]) -> str:
    """Return the closing block of a run, without colour and without a final line break.

    Args:
        outcome: The document ``outcome.json``; text in it is made safe for a terminal.
    """

    def text(key: str) -> str:
        return line(outcome.get(key), 1000)

    headline = clean(str(outcome.get("headline") or "? no outcome")).replace("\n", " ")
    lines = [headline]

    def row(label: str, value: str) -> None:
        if value:
            lines.append(f"  {label:<9} {value}")

    verdict = outcome.get("verdict")
    row("why", text("why"))
    row("fix", text("fix"))
    serving, previous = text("serving"), text("previous")
    asked, recorded = outcome.get("serving_asked") is True, text("serving_release")
    if recorded and verdict not in ("inconclusive", "rollback-failed"):
        serving += " 100%" * asked + (f"   previous {previous} kept for rollback" if previous else "")
    row("live" if recorded and not asked else "serving", serving)
    row("live", text("live_down"))
    row("address", text("address"))
    row("users", text("users"))
    row("verified", text("verified"))
    row("checks", text("measures").replace(") errors", ")   errors"))
    log = outcome.get("log_tail")
    if isinstance(log, list) and log and verdict not in ("released", "unchanged", "checked"):
        tail = [clean(str(entry)).replace("\n", " ") for entry in log][-LOG_LINES:]
        of = text("log_of")
        row("logs", f"last {'line' if len(tail) == 1 else f'{len(tail)} lines'}{f' of {of}' if of else ''}:")
        lines += [f"            {entry[:400]}".rstrip() for entry in tail]
    row("report", text("report"))
    row("undo", text("undo"))
    row("next", text("next").replace(" · ", "   ·   "))
    return "\n".join(lines)
