"""The command line of the release engine."""

import argparse
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kickoff import github
from kickoff.artifact import bundle, source
from kickoff.artifact.kind import Kind
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Evidence, now
from kickoff.release import delivery, targets
from kickoff.release.engine import Engine
from kickoff.release.folder import describe
from kickoff.release.rollback import Request
from kickoff.release.rollback_targets import check_id
from kickoff.release.session import Session, open_recorded, open_session

# What an emergency needs works from the target's own record, whatever today's checkout looks like.
_FROM_THE_RECORD = frozenset(
    {
        "abort",
        "history",
        "logs",
        "metrics",
        "resume",
        "rollback",
        "start",
        "status",
        "stop",
        "unlock",
        "watch",
    }
)


def main() -> int:
    """Run the command named by the arguments; return its exit code."""
    arguments = _parser().parse_args()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: argparse.Namespace) -> int:
    root = Path.cwd()
    if arguments.command in _FROM_THE_RECORD:
        session = open_recorded(arguments.env, root, _narrate)
    else:
        session = open_session(arguments.env, root, _narrate, prepare=arguments.command == "stage")
    engine = Engine(session, root)
    match arguments.command:
        case "stage" | "promote" | "watch" | "abort" | "rollback" | "resume" | "start":
            return _act(engine, arguments)
        case "plan":
            return _plan(engine, arguments)
        case "metrics":
            return _metrics(session, arguments)
        case "unlock":
            return _unlock(engine, force=arguments.force)
        case "stop":
            engine.stop()
            _say(f"stopped {session.service.name} in {session.environment.name}; releases are kept")
            _say(f"  start     scripts/deploy/release.py start --env {session.environment.name}")
            return ExitCode.PASS
        case "logs":
            print("\n".join(_log(session, arguments)))
            return ExitCode.PASS
        case "history":
            return _history(session, verify=arguments.verify)
        case _:
            return _status(session, as_json=arguments.json)


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
            hint=f"scripts/deploy/release.py resume --env {arguments.env} finishes or undoes what was begun",
        )
        _refused(engine, arguments.command, started, interrupted)
        raise interrupted from None
    except KickoffError as error:
        # `resume` finishes another command's work, whose evidence stands; the others have none yet.
        if arguments.command != "resume":
            _refused(engine, arguments.command, started, error)
        raise
    if evidence is None:
        _say("nothing to do: no attempt is open, and what is recorded as live serves")
        return ExitCode.PASS
    return _conclude(evidence)


def _refused(engine: Engine, command: str, started: str, error: KickoffError) -> None:
    with suppress(KickoffError):  # a state that cannot be read is what `error` is about
        engine.refusal(command, started, error).write(_evidence_folder())


def _command(engine: Engine, arguments: argparse.Namespace) -> Evidence | None:
    match arguments.command:
        case "stage":
            return engine.stage(
                arguments.artifact_digest,
                arguments.artifact_directory,
                arguments.commit,
                wait=arguments.wait,
                force=arguments.force,
                unproven_reason=arguments.unproven_reason,
            )
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
                _say(f"✓ the state was derived again: {state.release_of(state.live) or 'nothing'} is live")
            return engine.resume()


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


def _evidence_folder() -> Path:
    return Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence")


def _conclude(evidence: Evidence) -> int:
    path = evidence.write(_evidence_folder())
    facts = evidence.facts
    for name, value in {
        "attempt": evidence.attempt,
        "release": evidence.release,
        "changed": facts.get("changed", True),
        "candidate-url": facts.get("candidate_url", ""),
        "live-release": facts["serving"]["release"],
        "url": facts["address"],
    }.items():
        github.set_output(name, value)
    passed = evidence.verdict.exit_code is ExitCode.PASS
    _say(f"{'✓' if passed else '✗'} {evidence.summary}")
    for line in evidence.log_tail:
        _say(f"    {line}")
    if facts.get("hint"):
        _say(f"  fix       {facts['hint']}")
    _say(f"  serving   {_serving(facts['serving'])} at {facts['address']}")
    _say(f"  evidence  {path}")
    if not passed:
        github.annotate("error", evidence.summary)
    return int(facts.get("exit_code", evidence.verdict.exit_code))


def _plan(engine: Engine, arguments: argparse.Namespace) -> int:
    service, root = engine.session.service, engine.root
    commit = source.resolve(root, arguments.commit)
    digest = arguments.artifact_digest
    if not digest and targets.chosen(root, arguments.env).artifact is not Kind.BUNDLE:
        raise KickoffError(
            "an image is not built to be looked at",
            hint="name one that was pushed: --artifact-digest sha256:…, with the folder of its record",
        )
    if not digest:
        digest = bundle.build(root, commit, service.bundle, arguments.artifact_directory).digest
    preview = engine.preview(digest, arguments.artifact_directory, commit)
    if arguments.json:
        print(json.dumps(preview.to_document(), indent=1))
    else:
        print(f"{service.name} in {engine.session.environment.name}, nothing is changed yet:")
        print("\n".join(f"  {line}" for line in preview.lines()))
    return ExitCode.PASS


def _metrics(session: Session, arguments: argparse.Namespace) -> int:
    entries = session.store.history.entries()
    figures = delivery.measure(entries, datetime.now(UTC), arguments.days)
    match arguments.format:
        case "json":
            print(json.dumps(asdict(figures), indent=1))
        case "prometheus":
            print(delivery.to_prometheus(figures, session.service.name, session.environment.name), end="")
        case _:
            print("\n".join(delivery.to_lines(figures)))
    return ExitCode.PASS


def _days(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("a window has at least some days")
    return value


def _serving(serving: dict[str, str]) -> str:
    """Return who serves in words: what was asked just now, and the record only where that failed."""
    release, answers = serving["release"], serving["answers"]
    if not release:
        return "nothing: no release is live,"
    who = f"{release} ({serving['colour']})"
    return who if answers == "yes" else f"not {who}, which is recorded as live: {answers},"


def _log(session: Session, arguments: argparse.Namespace) -> list[str]:
    """Return the last lines of a process's log, or of a refused release's that was kept.

    Raises:
        KickoffError: There is no such process or log, or the number of lines is not above 0 (exit 2).
    """
    if arguments.lines < 1:
        raise KickoffError(f"not a number of lines: {arguments.lines}", hint="ask for 1 line or more")
    process = arguments.process or _live(session)
    kept = session.store.kept_log(check_id(process)) if "-" in process else None
    return kept[-arguments.lines :] if kept is not None else session.logs(process, arguments.lines)


def _status(session: Session, *, as_json: bool) -> int:
    state, lease, attempt = session.store.state(), session.store.lease(), session.store.open_attempt()
    problem = session.not_serving()
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
        "weights": {str(colour): weight for colour, weight in session.proxy.weights().items()},
        "lock": lease.owner.who if lease.owner else "",
        "attempt": attempt.id if attempt else "",
    }
    if as_json:
        print(json.dumps(document, indent=1))
        return ExitCode.UNREACHABLE if problem else ExitCode.PASS
    print(f"{document['service']} in {document['environment']}: {address}")
    for role in ("live", "warm"):
        slot = document[role]
        text = f"{slot['release']} ({slot['colour']}, {slot['process']})" if slot else "nothing"
        print(f"  {role:<9} {text}")
        for name, value in (slot.get("facts") or {}).items():
            print(f"    {name:<13} {value}")
    weights = ", ".join(f"{c} {w}%" for c, w in document["weights"].items()) or "no public traffic"
    print(f"  route     {weights}")
    holder = f"{document['lock']} (attempt {lease.attempt})" if lease.held else "free"
    print(f"  lock      {holder}")
    print(f"  serving   {f'NOT SERVING: {problem}' if problem else 'yes, asked just now'}")
    if problem and state.live:
        print(f"  next      scripts/deploy/release.py start --env {document['environment']}")
    return ExitCode.UNREACHABLE if problem else ExitCode.PASS


def _slot(session: Session, role: str) -> dict[str, Any]:
    state = session.store.state()
    colour = state.live if role == "live" else state.warm
    if colour is None:
        return {}
    release = state.release_of(colour)
    facts = describe(session.store.release_folder(release)).get("facts", {})
    process = session.target.state(colour)
    return {"release": release, "colour": str(colour), "process": process.detail, "facts": facts}


def _history(session: Session, *, verify: bool) -> int:
    if verify:
        print(f"{session.store.history.verify()} entries, chain intact")
        return ExitCode.PASS
    for entry in session.store.history.entries():
        reason = f"  {entry.data['reason']}" if "reason" in entry.data else ""
        unproven = f"  unproven: {entry.data['unproven_reason']}" if "unproven_reason" in entry.data else ""
        print(f"{entry.at}  {entry.action:<13} {entry.outcome:<8} {entry.release}{reason}{unproven}")
    return ExitCode.PASS


def _unlock(engine: Engine, *, force: bool) -> int:
    if not force:
        raise KickoffError(
            "unlock takes the lock from a run that may be alive", hint="add --force if it is gone"
        )
    _say(f"freed; it was held by {engine.unlock() or 'nobody'}")
    return ExitCode.PASS


def _live(session: Session) -> str:
    live = session.store.state().live
    if live is None:
        raise KickoffError(f"nothing is live in {session.environment.name}", code=ExitCode.UNREACHABLE)
    return str(live)


def _narrate(record: dict[str, Any]) -> None:
    if record["event"] == "intent":
        detail = " ".join(
            f"{key}={value}" for key, value in record.items() if key in ("colour", "percent", "weights")
        )
        _say(f"  {record['step']:<8} {detail}".rstrip())


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="release.py", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("--env", required=True, help="environment, e.g. development")
        return command

    stage = add("stage", "start a candidate on the idle colour, without public traffic")
    stage.add_argument("--artifact-digest", required=True)
    stage.add_argument("--artifact-directory", type=Path, default=bundle.directory())
    stage.add_argument("--commit", required=True)
    stage.add_argument("--wait", type=float, default=0, help="seconds to wait for another run's lock")
    stage.add_argument("--force", action="store_true", help="ship even when this release is live already")
    stage.add_argument("--unproven-reason", default="", help="why this ships without a proof; recorded")
    plan = add("plan", "show what a release would change; changes nothing")
    plan.add_argument("--commit", default="HEAD", help="tag, branch or commit (default: HEAD)")
    plan.add_argument("--artifact-digest", default="", help="the artefact; built from the commit by default")
    plan.add_argument("--artifact-directory", type=Path, default=bundle.directory())
    plan.add_argument("--json", action="store_true")
    add("promote", "move public traffic to the candidate, judged").add_argument("--attempt", required=True)
    abort = add("abort", "undo the open attempt")
    abort.add_argument("--attempt", default="")
    abort.add_argument("--reason", default="")
    watch = add("watch", "judge the live release for WATCH_TIME; roll back when it fails")
    watch.add_argument("--release", default="", help="the release that must be live (default: whichever is)")
    rollback = add("rollback", "serve an earlier good release again; done once however often it is asked")
    rollback.add_argument("--to", default="", help="release id; the last good one before by default")
    rollback.add_argument(
        "--failed", default="", help="take back this release and no other; a first one then serves no more"
    )
    rollback.add_argument("--force", action="store_true", help="go to a release that never was good")
    rollback.add_argument("--reason", default="", help="why; recorded; must be given with --force")
    rollback.add_argument(
        "--unproven-reason", default="", help="with --force, where only proved releases serve: why; recorded"
    )
    rollback.add_argument(
        "--wait", type=float, default=60, help="seconds to wait for another command's lock (default: 60)"
    )
    resume = add("resume", "finish or undo what a dead run left; see that the live release serves")
    resume.add_argument(
        "--rebuild-state", action="store_true", help="first derive a lost state.json again from what runs"
    )
    start = add("start", "bring up what is recorded as live, after a stop or a reboot")
    start.add_argument("--wait", type=float, default=0, help="seconds to wait for another run's lock")
    add("status", "show who serves").add_argument("--json", action="store_true")
    history = add("history", "list what was released")
    history.add_argument("--verify", action="store_true", help="check the hash chain")
    metrics = add("metrics", "show deployment frequency, lead time, failure rate and recovery time")
    metrics.add_argument("--days", type=_days, default=30.0, help="length of the window (default: 30)")
    metrics.add_argument("--format", choices=["text", "json", "prometheus"], default="text")
    logs = add("logs", "show a process's log")
    logs.add_argument(
        "--process",
        default="",
        help="live (default), candidate (also the last one), blue, green, traefik, or a refused release's id",
    )
    logs.add_argument("--lines", type=int, default=50)
    add("unlock", "free the lock by force").add_argument("--force", action="store_true")
    add("stop", "stop both colours and the proxy")
    return parser
