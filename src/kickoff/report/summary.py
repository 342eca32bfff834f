"""The job summary: Markdown that says the verdict first and never outgrows its limit. Pure functions."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from kickoff.evidence import Verdict
from kickoff.report import judged, tables
from kickoff.report.charts.steps import steps
from kickoff.report.language import headings, named, say, told
from kickoff.report.messages import duration, line, link, moment, plural
from kickoff.report.outcome import Outcome, each
from kickoff.report.run import Run
from kickoff.report.verdicts import GOOD, RunVerdict

LIMIT = 200_000
"""Bytes. GitHub drops a summary of more than 1 MiB without a word, and nobody reads a fifth of that."""

_ROOM_FOR_NOTE = 300
_MOST_GANTT_ROWS = 60
_ACTIVE = re.compile(r"[&<>\\`*_\[\]|~#!@$(){}:]|www\.", re.IGNORECASE)


def text(value: object, limit: int = 300) -> str:
    """Return any value as Markdown text that renders as what it says and as nothing else.

    Every character with a meaning in GitHub's Markdown becomes a numeric entity, which can neither open
    a tag, a link, a code span nor a table cell. A joiner keeps ``@name`` from notifying anybody.
    """

    def entity(match: re.Match[str]) -> str:
        found = match[0]
        if len(found) > 1:
            return f"{found[:-1]}&#46;"
        return "&#64;&#8288;" if found == "@" else found if found in ":()" else f"&#{ord(found)};"

    # A colon and brackets are harmless by themselves, but "https://" would become a link.
    return _ACTIVE.sub(entity, line(value, limit)).replace("://", "&#58;//")


def code(value: object, limit: int = 300) -> str:
    """Return any value as a code span, in a form that also survives inside a table cell."""
    found = line(value, limit)
    if not found:
        return ""
    if "|" in found or "`" in found:
        return f"<code>{text(found, limit)}</code>"
    return f"`{found}`"


def fence(lines: Sequence[str]) -> str:
    """Return lines as a code block that none of them can close."""
    body = "\n".join(lines)
    ticks = "`" * max(3, max((len(run) for run in re.findall(r"`+", body)), default=0) + 1)
    return f"{ticks}text\n{body}\n{ticks}"


@dataclass(slots=True)
class _Block:
    """Text that may be cut between its rows, but not elsewhere."""

    head: str
    rows: list[str] = field(default_factory=list)
    foot: str = ""
    left: Callable[[int], str] = lambda cut: plural(cut, "more row")

    def render(self, room: int) -> str:
        """Return what fits into ``room`` bytes and how much does not; empty if not even one row fits."""
        head, foot = self.head, self.foot
        whole = "\n".join(part for part in (head, *self.rows, foot) if part)
        if len(whole.encode()) <= room:
            return whole
        left = room - len(head.encode()) - len(foot.encode()) - _ROOM_FOR_NOTE
        kept: list[str] = []
        for row in self.rows:
            left -= len(row.encode()) + 1
            if left < 0:
                break
            kept.append(row)
        if not kept:
            return ""
        cut = len(self.rows) - len(kept)
        note = f"\n_{say('{left} in the report page.', left=self.left(cut))}_"
        return "\n".join(part for part in (head, *kept, foot, note) if part)


def render(run: Run, outcome: Outcome, limit: int = LIMIT) -> str:
    """Return the job summary.

    Args:
        run: What the run left behind.
        outcome: Its outcome.
        limit: Most bytes the text may have. The verdict, who serves and what to do next come first in the
            budget and are never cut.
    """
    head = "\n\n".join(part for part in (_verdict(outcome), _serving(run, outcome)) if part)
    tail = _next(run, outcome)
    pieces = [head]
    room = limit - len(head.encode()) - len(tail.encode()) - 8
    for block in _blocks(run, outcome):
        piece = block.render(room - 2)
        if piece:
            pieces.append(piece)
            room -= len(piece.encode()) + 2
    pieces.append(tail)
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _blocks(run: Run, outcome: Outcome) -> Iterable[_Block]:
    for environment in run.environments:
        if rules := judged.read(run.of(environment).get("stage")):
            yield _rules(rules)
    # The log explains a failure, so it comes before the long tables can use up the room.
    gates = _gates(run)
    if gates:
        yield gates
    if outcome.log_tail and outcome.verdict not in GOOD:
        title = say("Log of {stage}", stage=line(outcome.log_of, 60)) if outcome.log_of else say("Log")
        block = fence(outcome.log_tail)
        yield _Block(f"<details><summary>{text(title)}</summary>\n\n{block}\n\n</details>")
    yield _stages(run)
    for environment in run.environments:
        if found := _steps(run, environment):
            yield found
    gantt = _gantt(run)
    if gantt:
        yield _Block(gantt)


def _verdict(outcome: Outcome) -> str:
    sentence = (
        f"**{outcome.verdict.icon} {text(outcome.title)}** {text(outcome.subject)}, "
        f"{text(duration(outcome.seconds))}"
    )
    why = say(": {why}", why=text(outcome.why, 1000)) if outcome.why else ""
    cause = say(" (cause: {cause})", cause=text(outcome.cause, 1000)) if outcome.cause else ""
    said = sentence + why + cause
    return f"{said}  \n{say('Fix: {fix}', fix=text(outcome.fix))}" if outcome.fix else said


def _serving(run: Run, outcome: Outcome) -> str:
    lines = []
    everyone = each(run)
    for entry in everyone:
        if not entry.environment:
            continue
        where = f"{text(entry.environment)}: " if len(everyone) > 1 else ""
        stays = entry.serving.asked and entry.verdict in (RunVerdict.RELEASED, RunVerdict.UNCHANGED)
        label = say("Serving now to everybody") if stays else entry.serving.label
        sentence = say("{where}{label}: **{serving}**", where=where, label=label, serving=text(entry.serving))
        if entry.address:
            sentence += say(" at {address}", address=_address(entry.address))
        if entry.previous:
            sentence += say("; previous {release} is kept for a rollback", release=text(entry.previous))
        if len(everyone) > 1 and entry is not outcome:
            sentence += say(" ({reason})", reason=text(entry.title.lower()))
        lines.append(say("{sentence}.", sentence=sentence))
        if entry.live_down:
            lines.append(say("{where}Live {state}.", where=where, state=text(entry.live_down)))
    extra = [text(part, 600) for part in (outcome.users, outcome.verified, outcome.measures) if part]
    if extra:
        lines.append(say("{sentence}.", sentence="; ".join(extra)))
    return "  \n".join(lines)


def _address(address: str) -> str:
    plain = re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~/-]*)?", address)
    return f"<{address}>" if plain else text(address)


def _gates(run: Run) -> _Block | None:
    found = tables.gates(run)
    if not found:
        return None
    columns = headings("gate", "rule", "measured", "threshold", "samples", "result")
    head = (
        f"### {say('Gates: {tally}', tally=tables.tally(found))}\n\n"
        f"| | {' | '.join(columns)} |\n"
        "| --- | --- | --- | --- | --- | ---: | --- |"
    )

    def row(gate: tables.Gate) -> str:
        rule = gate.rule
        word = told(rule.word)
        result = word if rule.verdict is Verdict.PASS else f"**{word}**"
        if rule.reason and (rule.finding or rule.verdict is not Verdict.PASS):
            result += say(": {why}", why=text(told(line(rule.reason))))
        cells = (
            rule.sign,
            text(gate.stage, 80),
            text(named(line(rule.rule), rule.id)),
            text(told(line(rule.measured, 120)), 120),
            text(told(line(rule.threshold, 120)), 120),
            f"{rule.samples:,}",
            result,
        )
        return f"| {' | '.join(cells)} |"

    return _Block(head, [row(gate) for gate in found], left=lambda cut: plural(cut, "more gate"))


def _rules(found: judged.Judged) -> _Block:
    """Return what a release was judged by other than the one before."""
    title = found.title[:1].upper() + found.title[1:]
    if not found.rows:
        return _Block(say("{sentence}.", sentence=text(title)))
    columns = headings("change", "rule", "before", "now")
    head = f"### {text(title)}\n\n| {' | '.join(columns)} |\n| --- | --- | --- | --- |"

    def row(one: judged.Row) -> str:
        word = f"**{text(one.change)}**" if one.weaker else text(one.change)
        return f"| {word} | {text(one.rule)} | {text(one.old)} | {text(one.new)} |"

    return _Block(head, [row(one) for one in found.rows], left=lambda cut: plural(cut, "more rule"))


def _stages(run: Run) -> _Block:
    found = tables.stages(run)
    columns = headings("stage", "took", "outcome")
    head = f"### {say('Stages')}\n\n| | {' | '.join(columns)} |\n| --- | --- | ---: | --- |"
    lines = []
    for row in found:
        cells = (row.verdict.sign, text(row.label, 100), tables.stage_length(row), text(row.summary))
        lines.append(f"| {' | '.join(cells)} |")

    return _Block(head, lines, left=lambda cut: plural(cut, "more stage"))


def _steps(run: Run, environment: str) -> _Block | None:
    """Return what was judged at each share of the traffic, folded."""
    found = steps(run.of(environment).get("promote"))
    if found is None:
        return None
    title = say("What was judged at each step in {environment}", environment=text(environment, 60))
    head = (
        f"<details><summary>{title}</summary>\n\n"
        f"| {' | '.join(found.columns)} |\n|{' --- |' * len(found.columns)}"
    )
    lines = [f"| {' | '.join(text(cell, 120) for cell in row)} |" for row in found.rows]

    return _Block(head, lines, "\n</details>", lambda cut: plural(cut, "more rule"))


def _gantt(run: Run) -> str:
    """Return the stages as a Mermaid chart; names are reduced to characters that Mermaid reads as text."""
    timed = []
    for document in run.evidence[:_MOST_GANTT_ROWS]:
        begin, end = moment(document.started), moment(document.finished)
        if begin is not None and end is not None:
            timed.append((document, begin, end))
    if len(timed) < 2:
        return ""
    mark = {Verdict.FAIL: "crit, ", Verdict.INCONCLUSIVE: "active, ", Verdict.PASS: "done, "}
    lines = ["```mermaid", "gantt", "  dateFormat x", "  axisFormat %H:%M:%S"]
    section = None
    for document, begin, end in timed:
        name = re.sub(r"[^A-Za-z0-9 -]", "", document.environment)[:40] or say("before deployment")
        if name != section:
            section = name
            lines.append(f"  section {name}")
        first = round(begin.timestamp() * 1000)
        last = max(round(end.timestamp() * 1000), first + 1)
        lines.append(
            f"  {document.stage[:60]} :{mark.get(tables.shown_verdict(document), '')}{first}, {last}"
        )
    lines.append("```")
    chart = "\n".join(lines)
    return f"<details><summary>{say('Timeline')}</summary>\n\n{chart}\n\n</details>"


def _next(run: Run, outcome: Outcome) -> str:
    lines = [
        say("{label}: {command}", label=label, command=code(command, 200))
        for label, command in _commands(outcome)
    ]
    if run.subject:
        name = code(run.commit[:12])
        address = link(run.commit_url)
        by = say(", by {author}", author=text(run.author, 120)) if run.author else ""
        commit = f"{f'[{name}]({address})' if address else name} {text(run.subject, 120)}{by}"
        lines.append(say("Commit: {commit}", commit=commit))
    if run.run_url:
        lines.append(say("Report: the artefact `report` of this run holds the whole page."))
    elif outcome.report:
        lines.append(say("Report: {path}", path=code(outcome.report)))
    return "  \n".join(lines)


def _commands(outcome: Outcome) -> Iterable[tuple[str, str]]:
    if outcome.undo:
        yield say("Undo"), outcome.undo
    for command in outcome.next:
        yield say("Next"), command
