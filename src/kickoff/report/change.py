"""The plan of a pull request: what a change would do, as Markdown and for a terminal. Pure functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

from kickoff.change import Artifact, Change, Delta, Migration, Part, Reached, Verdict
from kickoff.environments import HEAD
from kickoff.report.language import headings, say, told
from kickoff.report.messages import line, plural
from kickoff.report.summary import text

LIMIT = 30_000
"""Bytes of the part of a comment; releases have theirs beside it."""
SUMMARY_LIMIT = 200_000
"""Bytes of a job summary."""
_ROOM_FOR_NOTE = 400
_LENGTH = 160
_Item = TypeVar("_Item")


class Table(NamedTuple):
    """A title, and rows of plain cells below their heads."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def render(change: Change, limit: int = LIMIT) -> str:
    """Return the Markdown: what people must not miss, the environments, then every table that has a row.

    Args:
        change: The change.
        limit: Most bytes. Rows that do not fit are counted, and the command that shows them is named.
    """
    if not change.affected:
        return say("**Release plan**: {what}", what=_nothing(change)) + "\n"
    begin = [f"### {say('Release plan: {what}', what=text(_headline(change), 600))}", _between(change)]
    begin += ["\n".join(f"- **{text(one, 600)}**" for one in warnings(change))]
    foot = "  \n".join(text(one, 600) for one in notes(change))
    pieces = [piece for piece in begin if piece]
    room = limit - len("\n\n".join([*pieces, foot]).encode()) - _ROOM_FOR_NOTE
    left = 0
    for table in tables(change):
        head, *rows = _markdown(table)
        kept = _fitting([head, *rows], room)
        left += len(rows) - max(kept - 1, 0)
        if kept > 1:
            pieces.append("\n".join([head, *rows][:kept]))
            room -= len(pieces[-1].encode()) + 2
    if left:
        amount, command = plural(left, "row"), _command(change)
        pieces.append(say("_{rows} left out here; `{command}` shows all._", rows=amount, command=command))
    return "\n\n".join([*pieces, *filter(None, [foot])]) + "\n"


def lines(change: Change) -> list[str]:
    """Return the same for a terminal."""
    if not change.affected:
        return [_nothing(change)]
    found = [_headline(change), _between(change).replace("`", ""), *(f"! {one}" for one in warnings(change))]
    for title, columns, rows in tables(change):
        widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
        found += ["", title]
        found += [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (columns, *rows)
        ]
    return [*found, "", *notes(change)]


def warnings(change: Change) -> list[str]:
    """Return what people must not miss, one sentence each."""
    found = []
    rules = {one for environment in change.environments for one in environment.rules}
    if rules:
        kinds = _kinds()
        amounts = {kind: sum(one.change == kind for one in rules) for kind in kinds}
        tally = say(", ").join(f"{amounts[kind]} {word}" for kind, word in kinds.items() if amounts[kind])
        found.append(say("Releases would be judged by other rules than before: {tally}", tally=tally))
    if change.gates:
        unowned = "" if change.gates.owned else say("; no CODEOWNERS names one, so GitHub asks nobody")
        found.append(say("Changes the gates: needs a code owner{unowned}", unowned=unowned))
    breaking = sum(one.breaking for one in change.interface_changes)
    if breaking:
        found.append(say("Breaks clients of the interface: {amount}", amount=plural(breaking, "change")))
    if any(one.verdict is Verdict.CONTRACTS for one in change.migrations):
        found.append(say("A migration takes away what the release before still uses"))
    if any(one.action != "added" for one in change.migrations):
        found.append(say("A migration that may have run already is another one, or gone"))
    return found


def tables(change: Change) -> list[Table]:
    """Return what differs, each table only where it has rows."""
    found = [
        _environments(change),
        _rules(change),
        Table(say("Gates"), headings("file"), [(line(one, _LENGTH),) for one in change.gates.files]),
        _keys(change),
        _stack(change),
        _migrations(change.migrations),
        _interface(change),
        _dependencies(change.dependencies),
    ]
    return [table for table in found if table.rows]


def notes(change: Change) -> list[str]:
    """Return what was not looked at or not compared, and why."""
    found = list(dict.fromkeys(one.doubt for one in change.environments if one.doubt))
    if change.interface_doubt:
        found.append(say("Interface: {why}", why=change.interface_doubt))
    if change.locks_unread:
        found.append(say("Lock files not read: {files}", files=", ".join(change.locks_unread)))
    if change.locks_read:
        found.append(say("Lock files read: {files}", files=", ".join(change.locks_read)))
    if any(one.artifact is not Artifact.UNCHANGED for one in change.environments):
        missing = [say("size of the artefact (nothing is built for a plan)")]
        missing += [] if change.migrations_declared else [say("migrations (kickoff.yml has no `migrations`)")]
        missing += [] if change.interface else [say("interface (kickoff.yml has no `openapi`)")]
        found.append(say("Not looked at: {things}", things=say(", ").join(missing)))
    return [line(one, 600) for one in found]


def _command(change: Change) -> str:
    return f"kickoff workflow change --base {change.base[:7]} --head {change.head[:7]}"


def _nothing(change: Change) -> str:
    between = f"{change.base[:7]}…{change.head[:7]}"
    return say("nothing of {project} is affected by {between}", project=change.project, between=between)


def _headline(change: Change) -> str:
    names = say(", ").join(one.name for one in change.reached)
    return say("{project} in {names}", project=change.project, names=names) if names else change.project


def _between(change: Change) -> str:
    return say(
        "`{head}` beside `{base}`, by their files alone: nothing was built, and no host asked.",
        head=change.head[:7],
        base=change.base[:7],
    )


def _environments(change: Change) -> Table:
    columns = headings("environment", "reached by", "artefact", "configuration", "stack", "rules")
    return Table(say("Environments"), columns, [_environment(one) for one in change.reached])


def _environment(one: Reached) -> tuple[str, ...]:
    name = {"added": say("{name} (new)", name=one.name), "removed": say("{name} (gone)", name=one.name)}
    keys = len(one.keys.added) + len(one.keys.changed) + len(one.keys.removed)
    sealed = say("sealed secrets") if one.keys.sealed else ""
    configuration = [plural(keys, "key") if keys else "", sealed]
    stack = [plural(len(one.stack), "part") if one.stack else "", say("description") if one.described else ""]
    rules = [plural(len(one.rules), "rule") if one.rules else ""]
    artifact = {
        Artifact.CHANGED: say("{kind} built anew", kind=one.kind),
        Artifact.REBUILT: say("{kind} built again, perhaps the same", kind=one.kind),
        Artifact.UNCHANGED: "",
    }[one.artifact]
    cells = ([artifact], configuration, stack, rules)
    unchanged = say("unchanged")
    return (
        name.get(one.declared, one.name),
        _trigger(one),
        *(say(", ").join(filter(None, cell)) or unchanged for cell in cells),
    )


def _trigger(one: Reached) -> str:
    if one.branch:
        branch = say("the default branch") if one.branch == HEAD else one.branch
        found = say("push to {branch}", branch=branch)
    else:
        found = say("tag {tag}", tag=one.tag) if one.tag else say("by hand")
    found += say(", or a comment") if one.comment_deploys else ""
    after = say(", proved by {after}", after=one.after) if one.after else ""
    changed = say(" (changed)") if one.declared == "changed" else ""
    return f"{found}{after}{changed}"


def _kinds() -> dict[str, str]:
    """Return the ways that a rule may have changed, in words, the one to be seen first."""
    return dict(zip(("weaker", "other", "stricter"), headings("weaker", "other", "stricter"), strict=True))


def _rules(change: Change) -> Table:
    words = _kinds()
    order = list(words)
    found = _by_item(change.environments, lambda one: one.rules)
    rows = [
        (
            words[str(rule.change)],
            line(rule.rule, _LENGTH),
            told(line(rule.old, _LENGTH)),
            told(line(rule.new, _LENGTH)),
            names,
        )
        for rule, names in sorted(found.items(), key=lambda pair: order.index(str(pair[0].change)))
    ]
    return Table(say("Judging rules"), headings("change", "rule", "before", "now", "environment"), rows)


def _keys(change: Change) -> Table:
    def listed(one: Reached) -> Iterable[tuple[str, str]]:
        for action in ("added", "changed", "removed"):
            yield from ((action, key) for key in getattr(one.keys, action))

    found = _by_item(change.environments, listed)
    rows = [(key, told_action(action), names) for (action, key), names in found.items()]
    return Table(say("Environment keys"), headings("key", "change", "environment"), rows)


def _stack(change: Change) -> Table:
    found: Mapping[Part, str] = _by_item(change.environments, lambda one: one.stack)
    rows = [
        (line(part.name, 80), told_action(part.action), line(part.what, _LENGTH), names)
        for part, names in found.items()
    ]
    return Table(say("Stack"), headings("part", "change", "what", "environment"), rows)


def _migrations(found: Sequence[Migration]) -> Table:
    verdicts = {
        Verdict.CONTRACTS: say("contracts"),
        Verdict.NOTHING_FOUND: say("nothing found that takes something away"),
        Verdict.NOT_JUDGED: say("not judged"),
    }
    rows = [
        (
            line(one.path, _LENGTH),
            told_action(one.action),
            say(
                "{verdict}: {words}", verdict=verdicts[one.verdict], words=line(", ".join(one.words), _LENGTH)
            )
            if one.words
            else verdicts[one.verdict],
        )
        for one in found
    ]
    return Table(say("Migrations, as they read"), headings("file", "change", "verdict"), rows)


def _interface(change: Change) -> Table:
    rows = [
        (
            say("breaking") if one.breaking else say("compatible"),
            line(one.place, _LENGTH),
            line(one.what, _LENGTH),
        )
        for one in change.interface_changes
    ]
    title = say("Interface: {path}", path=line(change.interface, _LENGTH))
    return Table(title, headings("change", "where", "what"), rows)


def _dependencies(found: Sequence[Delta]) -> Table:
    by_package: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        by_package.setdefault((one.package, one.old, one.new), []).append(one.file)
    none = say("none")
    rows = [
        (line(package, 80), line(old, 80) or none, line(new, 80) or none, line(", ".join(files), _LENGTH))
        for (package, old, new), files in by_package.items()
    ]
    return Table(say("Dependencies"), headings("package", "before", "now", "file"), rows)


def told_action(action: str) -> str:
    """Return what became of something, in words."""
    return {"added": say("added"), "changed": say("changed"), "removed": say("removed")}[action]


def _by_item(
    environments: Iterable[Reached], items: Callable[[Reached], Iterable[_Item]]
) -> dict[_Item, str]:
    """Return what environments have in common once, each with their names."""
    found: dict[_Item, list[str]] = {}
    for one in environments:
        for item in items(one):
            found.setdefault(item, []).append(one.name)
    return {item: say(", ").join(names) for item, names in found.items()}


def _markdown(table: Table) -> list[str]:
    """Return a table: its head with the title, then its rows."""
    head = f"#### {text(table.title)}\n\n| {' | '.join(table.columns)} |\n|{' --- |' * len(table.columns)}"
    return [head, *(f"| {' | '.join(text(cell) for cell in row)} |" for row in table.rows)]


def _fitting(rows: Sequence[str], room: int) -> int:
    """Return how many of the rows, from the first, there is room for, in bytes."""
    ends = accumulate(len(row.encode()) + 1 for row in rows)
    return sum(end <= room for end in ends)
