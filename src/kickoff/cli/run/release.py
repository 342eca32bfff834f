"""The verbs of a release, carried out by the engine; those that only look start without it."""

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kickoff import git, github, logs
from kickoff.cli import output
from kickoff.cli.run import look, past
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, fields, now
from kickoff.paths import user
from kickoff.process_group import handling
from kickoff.release.session import Session, open_recorded, open_session
from kickoff.report import judged, terminal
from kickoff.report.messages import duration, headline, line
from kickoff.report.outcome import seconds, verified
from kickoff.report.serving import Serving
from kickoff.report.verdicts import STOPPED, RunVerdict

if TYPE_CHECKING:
    from kickoff.release.engine import Engine
    from kickoff.release.rollback import Request

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
    # A request to end is noticed like Ctrl-C: what was begun is journalled as interrupted.
    with handling(signal.default_int_handler, (signal.SIGTERM,)):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    root, command = Path.cwd(), arguments.command
    if command in _FROM_THE_FILES:
        session = open_session(arguments.env, root, _narrate, prepare=command == "stage")
    else:
        session = open_recorded(arguments.env, root, _narrate)
    if command in _READS:
        return _READS[command](session, arguments)
    from kickoff.release.engine import Engine

    engine = Engine(session, root, output.say)
    if command in _CHANGES:
        return _CHANGES[command](engine, arguments)
    return _act(engine, arguments)


def _act(engine: "Engine", arguments: argparse.Namespace) -> int:
    """Run a command that may change something; it leaves evidence however it ends."""
    started = now()
    try:
        evidence = _command(engine, arguments)
    except KeyboardInterrupt:
        interrupted = KickoffError(
            f"{user()} interrupted {arguments.command} at {datetime.now(UTC):%H:%M:%S} UTC",
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


def _refused(engine: "Engine", command: str, started: str, error: KickoffError) -> None:
    with suppress(KickoffError):  # a state that cannot be read is what `error` is about
        evidence = engine.refusal(command, started, error)
        evidence.write(output.evidence_folder())
        output.say(f"  serving   {_serving(evidence.facts['serving'])}")
        output.say(f"  address   {evidence.facts['address']}")


def _command(engine: "Engine", arguments: argparse.Namespace) -> Evidence | None:  # noqa: PLR0911 - one a verb
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


def _stage(engine: "Engine", arguments: argparse.Namespace) -> Evidence:
    from kickoff.artifact import bundle

    return engine.stage(
        arguments.artifact_digest,
        arguments.artifact_directory or bundle.directory(),
        arguments.commit,
        wait=arguments.wait,
        force=arguments.force,
        unproven_reason=arguments.unproven_reason,
        freeze_reason=arguments.freeze_reason,
        perf_allow_once=arguments.perf_allow_once,
    )


def _request(arguments: argparse.Namespace) -> "Request":
    """Return what a rollback is asked for.

    Raises:
        KickoffError: It is to be forced, and nobody says why (exit 2).
    """
    from kickoff.release.rollback import Request

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
    if not (passed and output.is_quiet()):
        sys.stderr.write(f"{terminal.fitted(_closing(command, evidence, code, path), sys.stderr)}\n")
    output.result(outcome)
    if not passed:
        github.annotate("error", evidence.summary)
    return code


_DONE = {
    "abort": "ABORTED",
    "promote": "PROMOTED",
    "resume": "RESUMED",
    "rollback": "ROLLED BACK",
    "stage": "STAGED",
    "start": "STARTED",
    "watch": "WATCHED",
}


def _closing(command: str, evidence: Evidence, code: int, path: Path) -> dict[str, Any]:
    """Return what the closing block of a verb says, in the form of a run's outcome."""
    facts, name = evidence.facts, evidence.environment
    serving = facts["serving"]
    subject = f"{evidence.service} {evidence.release} in {name}".replace("  ", " ")
    verdict = STOPPED.get(ExitCode(code), RunVerdict.RELEASED)
    word = f"✓ {_DONE[command]}" if code == ExitCode.PASS else f"{verdict.icon} {verdict.word}"
    if facts.get("outcome") in ("unchanged", "unwatched"):
        word = "✓ UNCHANGED"
    elif command == "rollback" and code == ExitCode.PASS:
        word, subject = "↶ ROLLED BACK", f"{name} {facts.get('previous') or 'nothing'} → {evidence.release}"
    passed = evidence.verdict.exit_code is ExitCode.PASS
    return {
        "headline": headline(f"{word}  {subject}   {duration(seconds([evidence]))}", f"{word}  {subject}"),
        "verdict": verdict.value,
        "exit_code": code,
        "why": line(facts.get("reason")) if passed else evidence.summary,
        "verified": evidence.summary if passed else verified({command: evidence}),
        "fix": str(facts.get("hint") or ""),
        "judged": judged.sentence(evidence),
        "serving": _serving(serving),
        "serving_release": serving["release"],
        "serving_asked": serving["answers"] == "yes",
        "serving_share": serving.get("share", 100),
        "address": facts["address"],
        "log_tail": logs.excerpt(evidence.log_tail, terminal.LOG_LINES - 1).text(),
        "log_of": evidence.stage,
        "log_in": "the evidence",
        "evidence": str(path),
    }


_OUTPUTS = ("attempt", "release", "changed", "candidate_url", "live_release", "url")


def _outcome(command: str, **known: object) -> dict[str, Any]:
    """Return what ``--json`` prints of a verb that may change something; every field is always there."""
    empty = {"verdict": "pass", "summary": "", "changed": False, "exit_code": 0}
    texts = dict.fromkeys(
        ("attempt", "release", "candidate_url", "live_release", "url", "hint", "evidence"), ""
    )
    return {"verb": command, **empty, **texts, **known}


def _plan(engine: "Engine", arguments: argparse.Namespace) -> int:
    from kickoff.artifact import bundle, source
    from kickoff.artifact.artifact_type import Kind
    from kickoff.artifact.build_steps import Steps
    from kickoff.release import targets

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
    below = git.below_top(root)
    if below and not preview.changes:
        lines.append(f"  nothing changed in {below} since the live release")
    output.result(preview.to_document(), "\n".join(lines))
    return ExitCode.PASS


def _serving(found: fields.Serving) -> str:
    """Return who serves in words, as it was asked just now."""
    if not found["release"]:
        return "nothing: no release is live"
    return str(Serving(True, found["release"], found["colour"], found["answers"]))


def _stop(engine: "Engine", arguments: argparse.Namespace) -> int:
    engine.stop()
    name, where = engine.session.service.name, arguments.env
    output.say(f"stopped {name} in {where}; releases are kept")
    output.say(f"  start     kickoff start --env {where}")
    output.result({"service": name, "environment": where, "stopped": True})
    return ExitCode.PASS


def _unlock(engine: "Engine", arguments: argparse.Namespace) -> int:
    if not arguments.force:
        raise KickoffError(
            "unlock takes the lock from a run that may be alive",
            hint=f"if it is gone: `kickoff unlock --force --env {arguments.env}`",
        )
    holder = engine.unlock()
    output.say(f"freed; it was held by {holder or 'nobody'}")
    output.result({"freed": bool(holder), "holder": holder or ""})
    return ExitCode.PASS


def _narrate(record: dict[str, Any]) -> None:
    if record["event"] == "intent":
        detail = ", ".join(output.said(key, value) for key, value in record.items() if key in _STEPS)
        output.say(f"  {record['step']:<8} {detail}".rstrip())
    elif record["event"] == "sent":
        output.say(f"  {'sent':<8} {record['sent']}")
    else:
        output.detail(f"  {record['event']:<8} {record.get('step', '')}".rstrip())


_READS: dict[str, Callable[[Session, argparse.Namespace], int]] = {
    "history": past.history,
    "logs": look.logs,
    "metrics": look.metrics,
    "show": past.show,
    "status": look.status,
}
_CHANGES: dict[str, "Callable[[Engine, argparse.Namespace], int]"] = {
    "plan": _plan,
    "stop": _stop,
    "unlock": _unlock,
}
