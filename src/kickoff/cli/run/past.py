"""The verbs about what was: the history of an environment, and one release of it."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kickoff import git
from kickoff.cli import output
from kickoff.cli.run.look import short
from kickoff.errors import ExitCode, KickoffError
from kickoff.judging import Comparison
from kickoff.release import judged
from kickoff.release.folder import describe, environment_of
from kickoff.release.preview import KeyChanges
from kickoff.release.session import Session
from kickoff.release.stores.history import Entry
from kickoff.report import terminal
from kickoff.report.messages import line, minute, plural

LIMIT = 20
"""Entries that people see when they ask for no number."""
_INDENT = 18
_WHY = 300
"""Characters of a reason; `kickoff show` has the whole of it."""
_WORDS = {
    ("release", "live"): "released",
    ("rollback", "live"): "went back to",
    ("auto-rollback", "undone"): "taken back",
    ("abort", "undone"): "refused",
    ("start", "recorded"): "started",
    ("stop", "recorded"): "stopped",
    ("unlock", "recorded"): "unlocked",
    ("promote-replica", "recorded"): "promoted a replica beside",
    ("restore", "recorded"): "restored the database beside",
    ("rotate", "recorded"): "replaced a secret beside",
}


def history(session: Session, arguments: argparse.Namespace) -> int:
    """List what was released, rolled back or refused, oldest first, and why."""
    if arguments.verify:
        count = session.store.history.verify()
        output.result({"entries": count, "intact": True}, f"{count} entries, chain intact")
        return ExitCode.PASS
    entries = session.store.history.entries()
    limit = arguments.limit or (len(entries) if output.is_json() else LIMIT)
    shown = entries[max(len(entries) - limit, 0) :]
    head = f"{session.service.name} in {session.environment.name}, times in UTC, the newest last"
    if len(shown) < len(entries):
        head += f"; {len(entries) - len(shown):,} before these: --limit {len(entries)}"
    lines = [
        *terminal.wrapped(head, terminal.width(sys.stdout)),
        *(row for entry in shown for row in _rows(entry)),
    ]
    output.result({"entries": [_document(entry) for entry in shown]}, "\n".join(lines))
    return ExitCode.PASS


def _document(entry: Entry) -> dict[str, Any]:
    """Return the JSON form of an entry: every field that any entry may have."""
    texts = (
        "reason",
        "unproven_reason",
        "freeze_reason",
        "perf_allow_once",
        "actor",
        "by",
        "run",
        "attempt",
        "commit",
        "committed",
        "subject",
        "stage",
    )
    data = {key: str(entry.data.get(key) or "") for key in texts}
    checks, (by, run) = entry.data.get("checks") or {}, _caller(entry)
    known = {"at": entry.at, "action": entry.action, "outcome": entry.outcome, "release": entry.release}
    return known | {"previous": entry.previous, **data, "actor": by, "run": run, "checks": checks}


def _caller(entry: Entry) -> tuple[str, str]:
    """Return who was at it and in which run; older entries name the run on GitHub for a person."""
    by, run = str(entry.data.get("by") or ""), str(entry.data.get("run") or "")
    if by.startswith(("https://", "http://")):
        by, run = "", run or by
    return str(entry.data.get("actor") or by), run


def _word(entry: Entry) -> str:
    """Return what happened, in a word or two: what no gate refused was aborted by somebody."""
    checks, stage = entry.data.get("checks") or {}, entry.data.get("stage")
    if entry.action == "abort" and stage == "rollback":
        return "not gone back"
    passed = all(verdict in ("pass", "not-applicable") for verdict in checks.values())
    if entry.action == "abort" and stage in ("abort", None) and passed:
        return "aborted"
    return _WORDS.get((entry.action, entry.outcome), f"{entry.action} {entry.outcome}")


def _rows(entry: Entry) -> list[str]:
    """Return an entry as people read it: when, what, which, by whom; below it why, and in which run."""
    columns, (by, run) = terminal.width(sys.stdout), _caller(entry)
    subject = line(entry.data.get("subject"), 200)
    head = f"{minute(entry.at)}  {_word(entry):<13} {entry.release or '-':<17}{f'  by {by}' if by else ''}"
    back = entry.previous if entry.action == "rollback" and entry.previous else ""
    unproven = line(entry.data.get("unproven_reason"), 1000)
    into_freeze = line(entry.data.get("freeze_reason"), 1000)
    cost = line(entry.data.get("perf_allow_once"), 1000)
    holder = line(entry.data.get("holder"))
    below = [
        subject,
        f"from {back}" if back else "",
        line(entry.data.get("reason"), _WHY),
        f"unproven: {unproven}" if unproven else "",
        f"in spite of a freeze: {into_freeze}" if into_freeze else "",
        f"allowed once: {cost}" if cost else "",
        f"the lock was held by {holder}" if holder else "",
        f"run {run}" if run else "",
    ]
    rows = terminal.wrapped(head.rstrip(), columns)
    for text in filter(None, below):
        whole = [text] if text.startswith("run ") else terminal.wrapped(text, max(columns - _INDENT, 0))
        rows += [f"{' ' * _INDENT}{row}" for row in whole]
    return rows


def show(session: Session, arguments: argparse.Namespace) -> int:
    """Show one release: what it is, what it went through, and what it changed.

    Raises:
        KickoffError: The history has no such release (exit 2).
    """
    entries = session.store.history.entries()
    found = [one for one in entries if arguments.release and one.release.startswith(arguments.release)]
    names = dict.fromkeys(one.release for one in found)
    if len(names) != 1:
        name = session.environment.name
        what = "several releases begin" if names else "no release begins"
        raise KickoffError(
            f"{what} with {arguments.release[:60]!r} in the history of {name}",
            hint=f"`kickoff history --env {name}` lists them",
        )
    release, root = next(iter(names)), Path.cwd()
    came = next((one for one in found if one.action in ("release", "abort", "auto-rollback")), found[0])
    described = describe(session.store.release_folder(release))
    state = session.store.state()
    document = {
        "release": release,
        "live": state.release_of(state.live) == release,
        "commit": str(came.data.get("commit") or described.get("commit") or ""),
        "subject": str(came.data.get("subject") or described.get("subject") or ""),
        "facts": described.get("facts", {}),
        "checks": came.data.get("checks") or {},
        "evidence": _caller(came)[1],
        "entries": [_document(one) for one in found],
        "before": _before(session, root, came, entries),
    }
    output.result(document, _sheet(document, found))
    return ExitCode.PASS


def _before(session: Session, root: Path, came: Entry, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the release before and what changed since: commits, files and keys; empty for a first one.

    What is not known, because the commit is not in this repository or a folder is gone, is left out.
    """
    if not came.previous:
        return {}
    names = (came.previous, came.release)
    folders = [session.store.release_folder(name) for name in names]
    known = {one.release: str(one.data["commit"]) for one in entries if one.data.get("commit")}
    old, new = (
        known.get(name) or str(describe(folder).get("commit") or "")
        for name, folder in zip(names, folders, strict=True)
    )
    found: dict[str, Any] = {"release": came.previous} | (_commits(root, old, new) if old and new else {})
    if all(describe(folder) for folder in folders):
        found["keys"] = asdict(KeyChanges.between(*map(environment_of, folders)))
        then, rules = map(judged.of, folders)
        compared = Comparison.of(came.previous, then if rules is not None else None, rules or {})
        found["judged"] = compared.to_document()
    return found


def _commits(root: Path, old: str, new: str) -> dict[str, int]:
    """Return how many commits lead from one to the other, and how many files differ; empty if not known."""
    counted = git.run(root, "rev-list", "--count", f"{old}..{new}", check=False)
    files = git.run(root, "diff", "--name-only", "-z", old, new, "--", check=False)
    if counted.returncode or files.returncode:
        return {}
    return {"commits": int(counted.stdout), "files": files.stdout.count("\0")}


def _sheet(document: dict[str, Any], entries: Iterable[Entry]) -> str:
    checks, before = document["checks"], document["before"]
    facts = [f"{name:<11} {short(value)}" for name, value in document["facts"].items() if value]
    gates = [f"{verdict:<14} {name}" for name, verdict in checks.items()]
    past = [
        f"{minute(one.at)} {_word(one)}"
        + (f" by {by}" if (by := _caller(one)[0]) else "")
        + (f": {why}" if (why := line(one.data.get("reason"), 1000)) else "")
        for one in entries
    ]
    rows = [
        ("commit", f"{document['commit'][:7]}  {line(document['subject'])}".rstrip()),
        *_labelled("history", past),
        *_labelled("gates", gates),
        *_labelled("facts", facts or ["not kept any more"]),
        ("before", before.get("release", "")),
        *_labelled("", _changes(before)),
        *_labelled("rules", Comparison.from_document(before["judged"]).lines() if "judged" in before else ()),
        ("evidence", document["evidence"]),
    ]
    live = "live" if document["live"] else "not live"
    return terminal.sheet(f"{document['release']}  {live}", rows, "good", sys.stdout)


def _labelled(label: str, values: Iterable[str]) -> list[tuple[str, str]]:
    return [("" if number else label, value) for number, value in enumerate(values)]


def _changes(before: dict[str, Any]) -> list[str]:
    found = []
    if "commits" in before:
        found.append(f"{plural(before['commits'], 'commit')}, {plural(before['files'], 'changed file')}")
    elif before:
        found.append("its commits are not in this repository")
    if "keys" in before:
        found.append(str(KeyChanges(**before["keys"])))
    return found
