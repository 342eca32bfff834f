"""The verb ``kickoff deploy``: one run of ``cd.yml`` on this machine, from the commit to the verdict."""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from kickoff import bootstrap, environments, masking, plan, service, stack
from kickoff.artifact import ledger, source
from kickoff.cli import output
from kickoff.environment import schema, secret_source
from kickoff.environment.expansion import ExpansionError
from kickoff.errors import ExitCode, KickoffError
from kickoff.host import preflight
from kickoff.paths import cache_home, user
from kickoff.pipeline import inputs, installed_actions, repository
from kickoff.pipeline.display import Display, OnTerminal, Plain
from kickoff.pipeline.inputs import Folders
from kickoff.pipeline.progress import Progress
from kickoff.pipeline.runner import Runner, parse
from kickoff.report.terminal import closing_block
from kickoff.service import Service

_RESUME_LIMIT, _REPORT_LIMIT = 900, 120
"""Seconds; a rollback may have to drain the requests of the release it takes away."""


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline and return its exit code."""
    root, venv = Path.cwd(), Path(sys.prefix)
    head = repository.inspect(root, allow_dirty=arguments.allow_dirty)
    described = service.load(root)
    environments.require_files(described.environments, root, schema.FOLDER)
    act, workflow = _act(venv), installed_actions.read_workflow(root)
    for mismatch, _ in installed_actions.mismatches(workflow):
        output.say(f"note: {mismatch}; `kickoff upgrade` makes them one")
    event = inputs.event_document(
        arguments.event,
        head,
        environment=arguments.env or described.environments[0].name,
        ref=arguments.ref,
        inputs={"release": arguments.release, "unproven-reason": arguments.unproven_reason},
    )
    decision = plan.decide(
        event=arguments.event,
        ref=event["ref"],
        inputs=event.get("inputs", {}),
        declared=described.environments,
        default_branch=head.default_branch,
        commit=source.resolve(root, plan.wanted_revision(event.get("inputs", {})) or head.commit),
    )
    secrets = find_secrets(root, os.environ)
    env = inputs.environment(venv, os.environ, described.environment)
    for environment in decision.deployments:
        preflight.require(environment, root, wait=arguments.wait, tell=output.say)
    folders = Folders.create(root)
    run = f"{head.commit[:7]}-{folders.run.name}-{uuid.uuid4().hex[:8]}"
    variables = inputs.variables(folders, run=run, venv=venv, caller=os.environ)
    if arguments.no_reuse:
        variables |= {"KICKOFF_NO_REUSE": "1"}
    inputs.write(folders, event=event, variables=variables, secrets=secrets)
    where = ", ".join(decision.deployments) or "checks only"
    title = f"{described.name} {arguments.release or head.commit[:7]} → {where}"
    with _work_folder() as work, _claim(described, decision, folders):
        command = inputs.command(act, arguments.event, folders, actor=event["sender"]["login"], work=work)
        command += installed_actions.options(workflow, work)
        runner = Runner(command, root=root, env=env, work=work)
        try:
            progress, status = _follow(runner, folders, title, plain=arguments.plain)
        finally:
            (folders.run / "secret.yml").unlink()  # act has read it; nobody needs it twice
    later = os.environ | variables
    touched = any(f"deploy-{environment}" in progress.jobs for environment in decision.deployments)
    resumed = _resume(root, decision.deployments, later) if touched and status != 0 else 0
    outcome = _outcome(root, folders, progress, later, rebuild=runner.interrupted or status < 0)
    _finish(folders, outcome, progress)
    output.result({**(outcome or {}), "run": str(folders.run)})
    return exit_code(status, outcome, resumed=resumed, interrupted=runner.interrupted)


def exit_code(status: int, outcome: Mapping[str, Any] | None, *, resumed: int, interrupted: bool) -> int:
    """Return the pipeline's exit code; nothing that went wrong anywhere is ever a pass.

    Args:
        status: act's exit code; negative when a signal ended it.
        outcome: What the report says; ``None`` when there is none.
        resumed: Exit code of the clean-up; 0 also when none was needed.
        interrupted: Whether somebody asked to stop.
    """
    code = int(outcome["exit_code"]) if outcome else ExitCode.PASS
    serious = {resumed, code} & {ExitCode.ROLLED_BACK, ExitCode.ROLLBACK_FAILED}
    if serious:
        return max(serious)  # users met the release: that matters more than how the run ended
    if interrupted:
        return ExitCode.INTERRUPTED
    if code != ExitCode.PASS:
        return code
    if status < 0 or (status == 0 and outcome is None):
        return ExitCode.INCONCLUSIVE
    return ExitCode.REJECTED if status else resumed


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
    for name in {*schema.read(root).secrets, *secret_source.BESIDE_SCHEMA, *stack.every_key(root)}:
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

        try:
            status = runner.run(take, display.tick)
        finally:
            display.close()
    return progress, status


def _resume(root: Path, deployments: tuple[str, ...], env: Mapping[str, str]) -> int:
    """Finish or undo what the run left open; return the worst exit code.

    ``KICKOFF_RUN_ID`` in ``env`` lets the command take over the lock of this very run, and of no other.
    """
    worst = 0
    for environment in deployments:
        done = _call(["resume", "--env", environment], root, env, _RESUME_LIMIT)
        worst = max(worst, done.returncode)
        if done.returncode != 0:
            sys.stderr.write(done.stderr)
    return worst


def _outcome(
    root: Path,
    folders: Folders,
    progress: Progress,
    env: Mapping[str, str],
    *,
    rebuild: bool,
) -> dict[str, Any] | None:
    """Return what the report says, building it here when act did not get that far."""
    path = folders.report / "outcome.json"
    planned = folders.evidence / plan.FILE
    if rebuild or not path.is_file():
        if planned.is_file():
            plan.record_results(folders.evidence, progress.results())
        command = ["report", "--evidence", str(folders.evidence), "--output", str(folders.report)]
        command += ["--planned", str(planned), "--summary", str(folders.run / "summary.md")]
        done = _call(command, root, env, _REPORT_LIMIT)
        if not path.is_file():
            sys.stderr.write(done.stderr)
            return None
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else None


def _finish(folders: Folders, outcome: Mapping[str, Any] | None, progress: Progress) -> None:
    _say()
    if outcome is not None:
        shown = {**outcome, "report": _near(Path(str(outcome.get("report") or "")))}
        _say(closing_block(shown))
    failed = progress.failed_step()
    # The stages' evidence explains what they rejected; a step that left none is explained by its output.
    if failed is not None and (outcome is None or not outcome.get("log_tail")):
        job, step = failed
        _say(f"\n✗ {job.name} · {step.name}: last {len(step.tail)} lines")
        for text in step.tail:
            _say(f"    {text}")
    _say(f"  log       {_near(folders.log)}")


def _say(text: str = "") -> None:
    stream = sys.stderr if output.is_json() else sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


def _near(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
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
        raise KickoffError(
            "act is missing, which runs the workflow on this machine",
            hint="`make .venv` installs it into .venv; elsewhere put act on PATH",
        )
    return Path(found)


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Make the folder for act's working copies: outside the project, which they are copies of."""
    base = cache_home().absolute() / "kickoff" / "act"
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=base, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
