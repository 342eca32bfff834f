"""The verbs of a release, carried out by the engine."""

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kickoff import github
from kickoff.artifact import bundle, source
from kickoff.artifact.artifact_type import Kind
from kickoff.artifact.build_steps import Steps
from kickoff.cli import output
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, now
from kickoff.release import delivery, targets
from kickoff.release.engine import Engine
from kickoff.release.folder import describe
from kickoff.release.rollback import Request
from kickoff.release.rollback_targets import check_id
from kickoff.release.session import Session, open_recorded, open_session

_FROM_THE_FILES = ("stage", "promote", "plan")
"""The others work from the target's own record, whatever today's checkout looks like."""
_NOTHING = {
    "promote": "nothing to promote: stage found this release live and healthy already",
    "resume": "nothing to do: no attempt is open, and what is recorded as live serves",
}
_STEPS = ("colour", "percent", "weights")


def run(arguments: argparse.Namespace) -> int:
    """Run the verb that ``arguments.command`` names; return its exit code.

    Raises:
        KickoffError: It was refused, or could not be carried out.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: argparse.Namespace) -> int:
    root, command = Path.cwd(), arguments.command
    if command in _FROM_THE_FILES:
        session = open_session(arguments.env, root, _narrate, prepare=command == "stage")
    else:
        session = open_recorded(arguments.env, root, _narrate)
    engine = Engine(session, root)
    if command in _READS:
        return _READS[command](session, arguments)
    if command in _CHANGES:
        return _CHANGES[command](engine, arguments)
    return _act(engine, arguments)


def _interrupt(_number: int, _frame: object) -> None:
    """Let a request to end be noticed like Ctrl-C: what was begun is journalled as interrupted."""
    raise KeyboardInterrupt


def _act(engine: Engine, arguments: argparse.Namespace) -> int:
    """Run a command that may change something; it leaves evidence however it ends."""
    started = now()
    try:
        evidence = _command(engine, arguments)
    except KeyboardInterrupt:
        interrupted = KickoffError(
            f"{arguments.command} was interrupted",
            code=ExitCode.INTERRUPTED,
            hint=f"`kickoff resume --env {arguments.env}` finishes or undoes what was begun",
        )
        _refused(engine, arguments.command, started, interrupted)
        raise interrupted from None
    except KickoffError as error:
        # `resume` finishes another command's work, whose evidence stands; the others have none yet.
        if arguments.command != "resume":
            _refused(engine, arguments.command, started, error)
        raise
    if evidence is None:
        text = _NOTHING.get(arguments.command, "nothing to do: no attempt is open")
        output.say(text)
        github.set_output("changed", False)
        output.result(_outcome(arguments.command, summary=text))
        return ExitCode.PASS
    return _conclude(arguments.command, evidence)


def _refused(engine: Engine, command: str, started: str, error: KickoffError) -> None:
    with suppress(KickoffError):  # a state that cannot be read is what `error` is about
        engine.refusal(command, started, error).write(output.evidence_folder())


def _command(engine: Engine, arguments: argparse.Namespace) -> Evidence | None:  # noqa: PLR0911 - one a verb
    match arguments.command:
        case "stage":
            return _stage(engine, arguments)
        case "promote":
            return engine.promote(arguments.attempt)
        case "watch":
            return engine.watch(arguments.release)
        case "abort":
            return engine.abort(arguments.attempt, arguments.reason)
        case "rollback":
            return engine.rollback(_request(arguments), arguments.wait)
        case "start":
            return engine.start(arguments.wait)
        case _:
            if arguments.rebuild_state:
                state = engine.rebuild_state()
                live = state.release_of(state.live) or "nothing"
                output.say(f"✓ the state was derived again: {live} is live")
            return engine.resume()


def _stage(engine: Engine, arguments: argparse.Namespace) -> Evidence:
    return engine.stage(
        arguments.artifact_digest,
        arguments.artifact_directory or bundle.directory(),
        arguments.commit,
        wait=arguments.wait,
        force=arguments.force,
        unproven_reason=arguments.unproven_reason,
    )


def _request(arguments: argparse.Namespace) -> Request:
    """Return what a rollback is asked for.

    Raises:
        KickoffError: It is to be forced, and nobody says why (exit 2).
    """
    if arguments.force and not arguments.reason.strip():
        raise KickoffError(
            "--force goes to a release that the gates refused, so the history must say why",
            hint="add --reason 'WHY'",
        )
    return Request(
        to=arguments.to,
        failed=arguments.failed,
        forced=arguments.force,
        reason=arguments.reason,
        unproven_reason=arguments.unproven_reason,
    )


def _conclude(command: str, evidence: Evidence) -> int:
    path = evidence.write(output.evidence_folder())
    facts = evidence.facts
    code = int(facts.get("exit_code", evidence.verdict.exit_code))
    outcome = _outcome(
        command,
        verdict=evidence.verdict.value,
        summary=evidence.summary,
        attempt=evidence.attempt,
        release=evidence.release,
        changed=bool(facts.get("changed", True)),
        candidate_url=str(facts.get("candidate_url", "")),
        live_release=facts["serving"]["release"],
        url=facts["address"],
        hint=str(facts.get("hint") or ""),
        evidence=str(path),
        exit_code=code,
    )
    for name in _OUTPUTS:
        github.set_output(name, outcome[name])
    passed = evidence.verdict.exit_code is ExitCode.PASS
    tell = output.say if passed else _tell
    tell(f"{'✓' if passed else '✗'} {evidence.summary}")
    for line in evidence.log_tail:
        tell(f"    {line}")
    if outcome["hint"]:
        tell(f"  fix       {outcome['hint']}")
    tell(f"  serving   {_serving(facts['serving'])} at {facts['address']}")
    tell(f"  evidence  {path}")
    output.result(outcome)
    if not passed:
        github.annotate("error", evidence.summary)
    return code


_OUTPUTS = ("attempt", "release", "changed", "candidate_url", "live_release", "url")


def _outcome(command: str, **known: object) -> dict[str, Any]:
    """Return what ``--json`` prints of a verb that may change something; every field is always there."""
    empty = {"verdict": "pass", "summary": "", "changed": False, "exit_code": 0}
    texts = dict.fromkeys(
        ("attempt", "release", "candidate_url", "live_release", "url", "hint", "evidence"), ""
    )
    return {"verb": command, **empty, **texts, **known}


def _plan(engine: Engine, arguments: argparse.Namespace) -> int:
    service, root = engine.session.service, engine.root
    folder = arguments.artifact_directory or bundle.directory()
    commit = source.resolve(root, arguments.commit)
    digest = arguments.artifact_digest
    if not digest and targets.chosen(root, arguments.env).artifact is not Kind.BUNDLE:
        raise KickoffError(
            "an image is not built to be looked at",
            hint="name one that was pushed: --artifact-digest sha256:…, with the folder of its record",
        )
    if not digest:
        steps = Steps(service.build, service.environment, sys.stderr.write)
        digest = bundle.build(root, commit, service.bundle, folder, steps).digest
    preview = engine.preview(digest, folder, commit)
    lines = [f"{service.name} in {engine.session.environment.name}, nothing is changed yet:"]
    lines += [f"  {line}" for line in preview.lines()]
    output.result(preview.to_document(), "\n".join(lines))
    return ExitCode.PASS


def _metrics(session: Session, arguments: argparse.Namespace) -> int:
    entries = session.store.history.entries()
    figures = delivery.measure(entries, datetime.now(UTC), arguments.days)
    if arguments.format == "prometheus" and not arguments.json:
        print(delivery.to_prometheus(figures, session.service.name, session.environment.name), end="")
    else:
        output.result(asdict(figures), "\n".join(delivery.to_lines(figures)))
    return ExitCode.PASS


def _serving(serving: dict[str, str]) -> str:
    """Return who serves in words: what was asked just now, and the record only where that failed."""
    release, answers = serving["release"], serving["answers"]
    if not release:
        return "nothing: no release is live,"
    who = f"{release} ({serving['colour']})"
    return who if answers == "yes" else f"not {who}, which is recorded as live: {answers},"


def _logs(session: Session, arguments: argparse.Namespace) -> int:
    """Show the last lines of a process's log, or of a refused release's that was kept.

    Raises:
        KickoffError: There is no such process or log, or the number of lines is not above 0 (exit 2).
    """
    if arguments.lines < 1:
        raise KickoffError(f"not a number of lines: {arguments.lines}", hint="ask for 1 line or more")
    process = arguments.process or _live(session)
    kept = session.store.kept_log(check_id(process)) if "-" in process else None
    lines = kept[-arguments.lines :] if kept is not None else session.logs(process, arguments.lines)
    output.result({"process": process, "lines": list(lines)}, "\n".join(lines))
    return ExitCode.PASS


def _status(session: Session, _arguments: argparse.Namespace) -> int:
    state, lease, attempt = session.store.state(), session.store.lease(), session.store.open_attempt()
    problem, idle = session.not_serving(), session.idle_workers(state.live)
    with session.target.reach("live") as endpoint:
        address = endpoint.url
    document: dict[str, Any] = {
        "service": session.service.name,
        "environment": session.environment.name,
        "address": address,
        "serves": not problem,
        "problem": problem,
        "live": _slot(session, "live"),
        "warm": _slot(session, "warm"),
        "workers": {name: name not in idle for name in session.workers(state.live)},
        "weights": {str(colour): weight for colour, weight in session.proxy.weights().items()},
        "lock": lease.owner.who if lease.owner else "",
        "attempt": attempt.id if attempt else "",
    }
    lines = [f"{document['service']} in {document['environment']}: {address}"]
    for role in ("live", "warm"):
        slot = document[role]
        text = f"{slot['release']} ({slot['colour']}, {slot['process']})" if slot else "nothing"
        lines.append(f"  {role:<9} {text}")
        lines += [f"    {name:<13} {value}" for name, value in (slot.get("facts") or {}).items()]
    weights = ", ".join(f"{c} {w}%" for c, w in document["weights"].items()) or "no public traffic"
    lines.append(f"  route     {weights}")
    holder = f"{document['lock']} (attempt {lease.attempt})" if lease.held else "free"
    lines.append(f"  lock      {holder}")
    lines.append(f"  serving   {f'NOT SERVING: {problem}' if problem else 'yes, asked just now'}")
    if document["workers"]:
        up = [f"{name} {'runs' if runs else 'IS DOWN'}" for name, runs in document["workers"].items()]
        lines.append(f"  workers   {', '.join(up)}")
    if (problem or idle) and state.live:
        lines.append(f"  next      kickoff start --env {document['environment']}")
    output.result(document, "\n".join(lines))
    return ExitCode.UNREACHABLE if problem or idle else ExitCode.PASS


def _slot(session: Session, role: str) -> dict[str, Any]:
    state = session.store.state()
    colour = state.live if role == "live" else state.warm
    if colour is None:
        return {}
    release = state.release_of(colour)
    facts = describe(session.store.release_folder(release)).get("facts", {})
    process = session.target.state(colour)
    return {"release": release, "colour": str(colour), "process": process.detail, "facts": facts}


def _history(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.verify:
        count = session.store.history.verify()
        output.result({"entries": count, "intact": True}, f"{count} entries, chain intact")
        return ExitCode.PASS
    lines, documents = [], []
    for entry in session.store.history.entries():
        why, unproven = entry.data.get("reason", ""), entry.data.get("unproven_reason", "")
        more = (f"  {why}" if why else "") + (f"  unproven: {unproven}" if unproven else "")
        lines.append(f"{entry.at}  {entry.action:<13} {entry.outcome:<8} {entry.release}{more}")
        documents.append(
            {
                "at": entry.at,
                "action": entry.action,
                "outcome": entry.outcome,
                "release": entry.release,
                "reason": why,
                "unproven_reason": unproven,
            }
        )
    output.result({"entries": documents}, "\n".join(lines))
    return ExitCode.PASS


def _stop(engine: Engine, arguments: argparse.Namespace) -> int:
    engine.stop()
    name, where = engine.session.service.name, arguments.env
    output.say(f"stopped {name} in {where}; releases are kept")
    output.say(f"  start     kickoff start --env {where}")
    output.result({"service": name, "environment": where, "stopped": True})
    return ExitCode.PASS


def _unlock(engine: Engine, arguments: argparse.Namespace) -> int:
    if not arguments.force:
        raise KickoffError(
            "unlock takes the lock from a run that may be alive",
            hint=f"if it is gone: `kickoff unlock --force --env {arguments.env}`",
        )
    holder = engine.unlock()
    output.say(f"freed; it was held by {holder or 'nobody'}")
    output.result({"freed": bool(holder), "holder": holder or ""})
    return ExitCode.PASS


def _live(session: Session) -> str:
    live = session.store.state().live
    if live is None:
        raise KickoffError(f"nothing is live in {session.environment.name}", code=ExitCode.UNREACHABLE)
    return str(live)


def _narrate(record: dict[str, Any]) -> None:
    if record["event"] == "intent":
        detail = " ".join(f"{key}={value}" for key, value in record.items() if key in _STEPS)
        output.say(f"  {record['step']:<8} {detail}".rstrip())
    else:
        output.detail(f"  {record['event']:<8} {record.get('step', '')}".rstrip())


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


_READS: dict[str, Callable[[Session, argparse.Namespace], int]] = {
    "history": _history,
    "logs": _logs,
    "metrics": _metrics,
    "status": _status,
}
_CHANGES: dict[str, Callable[[Engine, argparse.Namespace], int]] = {
    "plan": _plan,
    "stop": _stop,
    "unlock": _unlock,
}
