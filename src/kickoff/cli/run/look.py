"""The verbs that only look: who serves, what a process said, how delivery goes."""

import argparse
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NoReturn

from kickoff.cli import output
from kickoff.errors import ExitCode, KickoffError
from kickoff.release import certificate
from kickoff.release.folder import describe
from kickoff.release.session import Session
from kickoff.report import terminal
from kickoff.report.messages import minute

_FOLLOWED = 1000
"""Lines of a log that are looked at again; more in between are lost."""
_LOOK_AGAIN = 0.5
"""Seconds between two looks."""
_SHORT = 12
"""Digits of a digest that tell it from any other."""


def metrics(session: Session, arguments: argparse.Namespace) -> int:
    """Show delivery figures from the history."""
    from kickoff.release import delivery

    entries = session.store.history.entries()
    figures = delivery.measure(entries, datetime.now(UTC), arguments.days)
    if arguments.format == "prometheus" and not arguments.json:
        print(delivery.to_prometheus(figures, session.service.name, session.environment.name), end="")
    else:
        output.result(asdict(figures), "\n".join(delivery.to_lines(figures)))
    return ExitCode.PASS


def logs(session: Session, arguments: argparse.Namespace) -> int:
    """Show the last lines of a process's log, or of a refused release's that was kept.

    Raises:
        KickoffError: There is no such process or log, or the number of lines is not above 0 (exit 2).
    """
    from kickoff.release.rollback_targets import check_id

    if arguments.lines < 1:
        raise KickoffError(f"not a number of lines: {arguments.lines}", hint="ask for 1 line or more")
    process = arguments.process or _live(session)
    kept = session.store.kept_log(check_id(process)) if "-" in process else None
    lines = kept[-arguments.lines :] if kept is not None else session.logs(process, arguments.lines)
    if arguments.follow and kept is None and not output.is_json():
        _follow(session, process, lines)
    output.result({"process": process, "lines": list(lines)}, "\n".join(lines))
    return ExitCode.PASS


def _follow(session: Session, process: str, lines: list[str]) -> NoReturn:
    """Print the lines of a log as they come, until somebody interrupts."""
    seen = session.logs(process, _FOLLOWED)
    while True:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        time.sleep(_LOOK_AGAIN)
        now = session.logs(process, _FOLLOWED)
        lines, seen = added(seen, now), now


def added(before: list[str], now: list[str]) -> list[str]:
    """Return the lines that the end of a log has now and had not before."""
    for gone in range(len(before) + 1):
        kept = before[gone:]
        if now[: len(kept)] == kept:
            return now[len(kept) :]
    return now


def status(session: Session, arguments: argparse.Namespace) -> int:
    """Show who serves, asked just now; the exit code says whether that is as recorded."""
    state, lease, attempt = session.store.state(), session.store.lease(), session.store.open_attempt()
    problem, idle = session.not_serving(), session.idle_workers(state.live)
    with session.target.reach("live") as endpoint:
        address = certificate.address(session, endpoint.url)
    document: dict[str, Any] = {
        "service": session.service.name,
        "environment": session.environment.name,
        "address": address,
        "serves": not problem,
        "problem": problem,
        "stopped": _stopped(session) if problem else "",
        "live": _slot(session, "live"),
        "warm": _slot(session, "warm"),
        "workers": {name: name not in idle for name in session.workers(state.live)},
        "weights": {str(colour): weight for colour, weight in session.proxy.weights().items()},
        "edges": _edges(session),
        "lock": lease.owner.who if lease.owner else "",
        "attempt": attempt.id if attempt else "",
    }
    output.result(document, _sheet(document, bool(idle), wide=arguments.wide))
    return ExitCode.UNREACHABLE if problem or idle else ExitCode.PASS


def _edges(session: Session) -> dict[str, str]:
    """Return what is wrong with each of several edges, by its address; empty for one that shows the route."""
    shown = session.proxy.shown()
    wrong = {**shown.differing, **shown.silent}
    return {proxy: wrong.get(proxy, "") for proxy in shown.proxies}


def _stopped(session: Session) -> str:
    """Return who stopped what is recorded as live, and when; empty when nobody did since it last changed."""
    last = next(session.store.history.newest_first(), None)
    if last is None or last.action != "stop":
        return ""
    who = last.data.get("actor") or last.data.get("by", "")
    return f"stopped by {who}, {minute(last.at)} UTC"


def _sheet(document: dict[str, Any], idle: bool, *, wide: bool) -> str:
    """Return a status as people read it: first whether users are served, then by whom."""
    problem, live, warm = document["problem"], document["live"], document["warm"]
    where = f"{document['service']} in {document['environment']}   {document['address']}"
    rows = [("why", "; ".join(filter(None, (document["stopped"], problem))))]
    if live:
        rows.append(("recorded" if problem else "live", _who(live)))
        rows += _facts(live["facts"], wide=wide)
    if warm:
        rows.append(("warm", f"{_who(warm)}, for a rollback"))
        rows += _facts(warm["facts"], wide=True) if wide else []
    weights = ", ".join(f"{colour} {weight}%" for colour, weight in document["weights"].items())
    rows.append(("route", weights or "no public traffic"))
    show = sum(not wrong for wrong in document["edges"].values())
    rows.append(("edges", f"{show} of {len(document['edges'])} show the route" if document["edges"] else ""))
    rows += [("", f"{edge}: {wrong}") for edge, wrong in document["edges"].items() if wrong]
    attempt = f" (attempt {document['attempt']})" if document["attempt"] else ""
    rows.append(("lock", f"held by {document['lock']}{attempt}" if document["lock"] else "free"))
    up = [f"{name} {'runs' if runs else 'IS DOWN'}" for name, runs in document["workers"].items()]
    rows.append(("workers", ", ".join(up)))
    if problem or idle:
        ship = "start" if live else "deploy"
        rows.append(("next", f"kickoff {ship} --env {document['environment']}"))
    if problem:
        return terminal.sheet(f"✗ NOT SERVING  {where}", rows, "bad", sys.stdout, wide=wide)
    return terminal.sheet(f"✓ SERVING  {where}", rows, "doubtful" if idle else "good", sys.stdout, wide=wide)


def _who(slot: dict[str, Any]) -> str:
    return f"{slot['release']} ({slot['colour']}, {slot['process']})"


def _facts(facts: dict[str, str], *, wide: bool) -> list[tuple[str, str]]:
    """Return the four facts: each whole in a row of its own, or two in a row, shortened."""
    if wide:
        return [("", f"{name:<11} {value}") for name, value in facts.items() if value]
    known = [f"{name:<11} {short(value):<12}" for name, value in facts.items() if value]
    return [("", "   ".join(known[at : at + 2]).rstrip()) for at in range(0, len(known), 2)]


def short(fact: str) -> str:
    """Return a fact as short as it can be told from another: the first digits of a digest."""
    text = fact.removeprefix("sha256:")
    return text[:_SHORT] if len(text) == 64 else text


def _slot(session: Session, role: str) -> dict[str, Any]:
    state = session.store.state()
    colour = state.live if role == "live" else state.warm
    if colour is None:
        return {}
    release = state.release_of(colour)
    facts = describe(session.store.release_folder(release)).get("facts", {})
    process = session.target.state(colour)
    return {"release": release, "colour": str(colour), "process": process.detail, "facts": facts}


def _live(session: Session) -> str:
    live = session.store.state().live
    if live is None:
        raise KickoffError(f"nothing is live in {session.environment.name}", code=ExitCode.UNREACHABLE)
    return str(live)
