"""The verb ``kickoff deploy``: one run of ``cd.yml`` on this machine, from the commit to the verdict."""

import argparse
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from kickoff import bootstrap, environments, freeze, git, masking, naming, plan, service, stack
from kickoff.artifact import ledger, source
from kickoff.cli import output
from kickoff.cli.run import proved, report
from kickoff.cli.verbs import PROJECT
from kickoff.environment import schema, secret_source
from kickoff.environment.expansion import ExpansionError
from kickoff.errors import ExitCode, KickoffError
from kickoff.host import preflight
from kickoff.paths import cache_home, user
from kickoff.pipeline import bytecode, checkout, doctor, inputs, installed_actions, repository
from kickoff.pipeline.display import Display, OnTerminal, Plain
from kickoff.pipeline.inputs import Folders
from kickoff.pipeline.progress import Progress
from kickoff.pipeline.runner import Runner, parse
from kickoff.project import neighbours
from kickoff.report import language, terminal
from kickoff.service import Service

_STOPPED = ("interrupted", "taken-back")
_LAST_JOB = "deployment-summary"
_RESUME_LIMIT, _REPORT_LIMIT = 900, 120
"""Seconds; a rollback may have to drain the requests of the release it takes away."""
_NO_OUTCOME = {
    "verdict": "inconclusive",
    "headline": "? INCONCLUSIVE  the run left no report",
    "why": "the report could not be made from what the run left behind",
    "next": "kickoff doctor",
}


@dataclass(frozen=True)
class _Ready:
    """Everything that is known before a run begins, and found to be right."""

    head: repository.Head
    described: Service
    act: Path
    workflow: str
    event: dict[str, Any]
    decision: plan.Plan
    secrets: Mapping[str, str]


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline and return its exit code."""
    root, began = Path.cwd(), time.time()
    try:
        ready = _prepare(arguments, root)
    except KickoffError as error:
        return _refused(arguments, root, error, began)
    return _run(arguments, root, ready)


def _prepare(arguments: argparse.Namespace, root: Path) -> _Ready:
    """Look at everything that would refuse the run in the end.

    Raises:
        KickoffError: Something would.
    """
    venv = Path(sys.prefix)
    head = repository.inspect(root, allow_dirty=arguments.allow_dirty)
    described = service.load(root)
    environments.require_files(described.environments, root, schema.FOLDER)
    neighbours.require_own_name(root, described.name)
    target = arguments.env or described.environments[0].name
    arguments.release = proved.revision(root, described, target, arguments.release)
    act, (place, workflow) = _act(venv), installed_actions.read_workflow(root)
    for mismatch, _ in installed_actions.mismatches(workflow, place):
        output.say(f"note: {mismatch}; `kickoff upgrade` makes them one")
    event = inputs.event_document(
        arguments.event,
        head,
        environment=target,
        ref=arguments.ref,
        inputs={name: getattr(arguments, name.replace("-", "_")) for name in ("release", *plan.REASONS)},
    )
    decision = plan.decide(
        event=arguments.event,
        ref=event["ref"],
        inputs=event.get("inputs", {}),
        declared=described.environments,
        default_branch=head.default_branch,
        commit=source.resolve(root, plan.wanted_revision(event.get("inputs", {})) or head.commit),
    )
    for environment in decision.deployments:
        freeze.require_open(environment, described.declared(environment).freezes, arguments.freeze_reason)
    secrets = find_secrets(root, os.environ)
    for environment in decision.deployments:
        preflight.require(environment, root, wait=arguments.wait, tell=output.say)
    return _Ready(head, described, act, workflow, event, decision, secrets)


def _refused(arguments: argparse.Namespace, root: Path, error: KickoffError, began: float) -> int:
    """End a run that was refused before it began as every other ends; return its exit code.

    Raises:
        KickoffError: There is no project whose run it could have been.
    """
    from kickoff.cli.run import refused

    names = [arguments.env] if arguments.env else []
    folders, (outcome, *_) = refused.conclude(root, names, error, began, {})
    _finish(folders, outcome.to_document(), Progress(), arguments.project)
    output.result({**outcome.to_document(), "run": str(folders.run)})
    return outcome.exit_code


def _run(arguments: argparse.Namespace, root: Path, ready: _Ready) -> int:
    """Run the workflow through act and return the exit code of its outcome."""
    venv, head, described, decision = Path(sys.prefix), ready.head, ready.described, ready.decision
    env, event = inputs.environment(venv, os.environ, described.environment), ready.event
    folders = Folders.create(root)
    decision.write(folders.evidence, described.name)
    run = f"{head.commit[:7]}-{folders.run.name}-{uuid.uuid4().hex[:8]}"
    variables = inputs.variables(folders, run=run, venv=venv, caller=os.environ)
    variables[language.VARIABLE] = language.chosen(os.environ)
    if arguments.no_reuse:
        variables |= {"KICKOFF_NO_REUSE": "1"}
    where = ", ".join(decision.deployments) or "checks only"
    title = f"{described.name} {arguments.release or head.commit[:7]} → {where}"
    with _work_folder() as work, _claim(described, decision, folders):
        file, login = naming.workflow("cd", naming.label(root, described.name)), event["sender"]["login"]
        command = inputs.command(ready.act, arguments.event, folders, actor=login, work=work, workflow=file)
        command += installed_actions.options(ready.workflow, work)
        try:
            inputs.write(folders, event=event, variables=variables, secrets=ready.secrets)
            # act works on the repository as a whole; the workflow's steps know the project's folder.
            top = git.top(root)
            copied = repository.copy(top, work / "repository")
            if copied != top:
                bytecode.carry(top, copied)
                command.append("--use-gitignore=false")  # it would leave the bytecode out
                command += checkout.options(copied, file, work)
            runner = Runner(command, root=copied, env=env, work=work)
            progress, status = _follow(runner, folders, title, plain=arguments.plain)
        finally:
            (folders.run / "secret.yml").unlink(missing_ok=True)  # act has read it; nobody needs it twice
    later = os.environ | variables
    touched = any(f"deploy-{environment}" in progress.jobs for environment in decision.deployments)
    if touched and status != 0:
        _resume(root, decision.deployments, later)
    outcome = _outcome(
        root, folders, progress, later, failed=status != 0, interrupted=_interruption(runner, progress)
    )
    _finish(folders, outcome, progress, arguments.project)
    output.result({**(outcome or {}), "run": str(folders.run)})
    return exit_code(outcome, interrupted=runner.interrupted)


def _interruption(runner: Runner, progress: Progress) -> dict[str, str]:
    """Return who stopped the run, when and during what; empty when nobody did."""
    how = {"by": user(), "at": runner.interrupted_at, "during": progress.stopped_during or ""}
    return how if runner.interrupted else {}


def exit_code(outcome: Mapping[str, Any] | None, *, interrupted: bool) -> int:
    """Return the pipeline's exit code: that of its outcome; nothing that went wrong anywhere is ever a pass.

    Args:
        outcome: What the report says; ``None`` when there is none.
        interrupted: Whether somebody asked to stop.
    """
    if outcome is None:
        return ExitCode.INTERRUPTED if interrupted else ExitCode.INCONCLUSIVE
    return int(outcome["exit_code"])


def _claim(described: Service, decision: plan.Plan, folders: Folders) -> AbstractContextManager[None]:
    """Let a release that demands a proof wait for this run, when it may prove the commit."""
    demanded = environments.proving(described.environments)
    proving = [one for one in decision.deployments if one in demanded]
    if not proving:
        return nullcontext()
    place = f"{proving[0]} run {folders.run.name} (process {os.getpid()})"
    return ledger.kept(described.name, proving[0]).claim(decision.commit, user(), place)


def find_secrets(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of schema, stack, registry and connection that are given, by variable or file.

    Raises:
        KickoffError: A secret is given twice or its file cannot be read.
    """
    found = {}
    for name in stack.every_secret(root):
        try:
            value = secret_source.lookup(name, environ)
        except ExpansionError as error:
            raise KickoffError(str(error), hint=f"give {name} or {name}_FILE, readable") from None
        if value:
            found[name] = value
    return found


def _follow(runner: Runner, folders: Folders, title: str, *, plain: bool) -> tuple[Progress, int]:
    progress, console = Progress(), Console(stderr=False)
    display: Display
    if output.is_quiet():
        display = Plain(progress, io.StringIO())
    elif output.is_json():
        display = Plain(progress, sys.stderr)
    elif console.is_terminal and not plain:
        display = OnTerminal(progress, console, title)
    else:
        _say(title)
        display = Plain(progress, sys.stdout)
    with os.fdopen(os.open(folders.log, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as log:

        def take(text: str) -> None:
            record = parse(text)
            if record is None:
                log.write(masking.text(text) + "\n")
                return
            record = masking.record(record)
            log.write(json.dumps(record, ensure_ascii=False) + "\n")
            log.flush()
            display.show(progress.apply(record, time.time()))

        def tick() -> None:
            if runner.interrupted and progress.stopped_during is None:
                progress.interrupt()
                # At once, for the report that the run itself makes before it ends.
                plan.record_results(folders.evidence, progress.results(), _interruption(runner, progress))
            display.tick()

        try:
            status = runner.run(take, tick)
        finally:
            display.close()
    return progress, status


def _resume(root: Path, deployments: tuple[str, ...], env: Mapping[str, str]) -> None:
    """Finish or undo what the run left open; its evidence says what came of it.

    ``KICKOFF_RUN_ID`` in ``env`` lets the command take over the lock of this very run, and of no other.
    """
    for environment in deployments:
        done = _call(["resume", "--env", environment], root, env, _RESUME_LIMIT)
        if done.returncode != 0:
            sys.stderr.write(done.stderr)


def _outcome(
    root: Path,
    folders: Folders,
    progress: Progress,
    env: Mapping[str, str],
    *,
    failed: bool,
    interrupted: Mapping[str, str],
) -> dict[str, Any] | None:
    """Return what the report says; of a run that failed it is built again, as more is known by now.

    What became of the last job, of the clean-up and of a wish to stop no step of the run itself can tell.
    """
    path = folders.report / "outcome.json"
    planned = folders.evidence / plan.FILE
    if failed or interrupted or not path.is_file():
        results = progress.results()
        if failed and all(job["result"] in ("success", "skipped") for job in results.values()):
            results["act"] = {"result": "failure"}
        plan.record_results(folders.evidence, results, interrupted)
        path.unlink(missing_ok=True)  # what the run itself said knew less
        command = ["report", "--evidence", str(folders.evidence), "--output", str(folders.report)]
        command += ["--planned", str(planned), "--summary", str(folders.run / "summary.md")]
        done = _call(command, root, env, _REPORT_LIMIT)
        if not path.is_file():
            sys.stderr.write(done.stderr)
            return None
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else None


def _finish(folders: Folders, outcome: Mapping[str, Any] | None, progress: Progress, project: str) -> None:
    """Print the closing block, which is the last thing a reader finds on the screen."""
    with language.using(language.chosen(os.environ)):
        told = report.shown(folders.evidence, outcome) if outcome is not None else _NO_OUTCOME
        _say()
        _say(_block(folders, outcome, told, progress, project))


def _block(
    folders: Folders,
    outcome: Mapping[str, Any] | None,
    told: Mapping[str, Any],
    progress: Progress,
    project: str,
) -> str:
    """Return the closing block of an outcome, ``told`` in the reader's language."""
    shown: dict[str, Any] = {**told, "report": ""}
    if outcome is not None:
        shown["report"] = _near(Path(str(outcome.get("report") or "")), project)
    failed = progress.failed_step()
    # The stages' evidence explains what they rejected; a step that left none is explained by its output.
    if failed is not None and failed[1].tail and not _explained(outcome, failed[0].name):
        job, step = failed
        log = _near(folders.log, project)
        shown |= {
            "log_tail": list(step.tail),
            "log_last": True,
            "log_of": f"{job.name} · {step.name}",
            "log": log,
            "log_in": log,
        }
    if project:
        typed = f"kickoff {PROJECT} {shlex.quote(project)} "
        shown |= {key: str(shown.get(key) or "").replace("kickoff ", typed) for key in ("next", "undo")}
    return terminal.fitted(shown, _stream())


def _stream() -> TextIO:
    return sys.stderr if output.is_json() else sys.stdout


def _explained(outcome: Mapping[str, Any] | None, job: str) -> bool:
    """Return whether the outcome says all that the output of the failed step could.

    The last job fails with the verdict that it reports, and what somebody stopped has no more to say.
    """
    if outcome is None:
        return False
    return bool(outcome.get("log_of")) or job == _LAST_JOB or outcome.get("verdict") in _STOPPED


def _say(text: str = "") -> None:
    stream = _stream()
    stream.write(f"{text}\n")
    stream.flush()


def _near(path: Path, project: str) -> str:
    """Return a path as seen by whoever typed the command, in the project's folder or not."""
    try:
        return str(Path(project, path.relative_to(Path.cwd())))
    except ValueError:
        return str(path)


def _call(
    words: list[str], root: Path, env: Mapping[str, str], limit: float
) -> "subprocess.CompletedProcess[str]":
    """Run a verb in a process of its own, whose environment names this run."""
    command = [sys.executable, bootstrap.PACKAGE, *words]
    try:
        return subprocess.run(
            command,
            cwd=root,
            env=dict(env),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        text = f"error: `{' '.join(['kickoff', *words[:3]])}` did not end within {limit:.0f} s\n"
        return subprocess.CompletedProcess(command, ExitCode.UNREACHABLE, "", text)


def _act(venv: Path) -> Path:
    found = shutil.which("act", path=os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", "")]))
    if found is None:
        raise KickoffError("act is missing, which runs the workflow on this machine", hint=doctor.INSTALL_ACT)
    return Path(found)


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Make the folder for act's working copies: outside the project, which they are copies of."""
    base = cache_home().absolute() / "kickoff" / "act"
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=base, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
