"""The verb ``kickoff release``: every phase of a release in one command, each by its own verb.

The verbs, their order and the way back are those of ``cd.yml``. Each verb is a process of its own and
hands on what a step of the workflow would: its exit code and its step outputs.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import FrameType

from kickoff import bootstrap, freeze, github
from kickoff import service as services
from kickoff.artifact import source
from kickoff.cli import output
from kickoff.cli.run import refused
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import now
from kickoff.paths import user
from kickoff.pipeline.inputs import Folders
from kickoff.plan import Plan, record_results
from kickoff.process_group import handling
from kickoff.project import neighbours
from kickoff.report import language
from kickoff.report.terminal import closing_block
from kickoff.service import Service

_OUTPUTS = {
    "attempt": "stage",
    "changed": "stage",
    "commit": "build",
    "digest": "build",
    "proof": "prove",
    "proof-name": "prove",
    "release": "stage",
    "url": "promote",
}
"""Output of the step -> the verb it comes from."""
_LOAD = "perf-baseline"


class Stopped(Exception):
    """A verb did not pass, or somebody asked to stop."""


class Chain:
    """Verbs run one after the other, and what each came to.

    Args:
        environ: Their environment.

    Attributes:
        codes: Exit code by step, in the order they ran.
        outputs: Step outputs by step.
        interrupted: Who asked to stop, when and during what; empty while nobody has.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.codes: dict[str, int] = {}
        self.outputs: dict[str, dict[str, str]] = {}
        self.interrupted: dict[str, str] = {}
        self._environ = environ
        self._running: subprocess.Popen[bytes] | None = None
        self._step = ""

    def demand(self, step: str, *words: str) -> dict[str, str]:
        """Run a verb and return its outputs.

        Raises:
            Stopped: It did not pass, or somebody asked to stop.
        """
        if self.interrupted or self.call(step, *words) or self.interrupted:
            raise Stopped
        return self.outputs[step]

    def call(self, step: str, *words: str) -> int:
        """Run a verb, whatever went before; return its exit code."""
        self._step = step
        output.say(f"\n▶ kickoff {shlex.join(word for word in words if not word.endswith('='))}")
        sys.stdout.flush()
        with tempfile.TemporaryDirectory(prefix="kickoff-step-") as folder:
            written, wished = Path(folder) / "outputs", bool(self.interrupted)
            # A session of its own: Ctrl-C reaches the verb through this process alone, once.
            self._running = subprocess.Popen(
                [sys.executable, bootstrap.PACKAGE, *words, *(["--quiet"] if output.is_quiet() else [])],
                env=github.capturing(self._environ, written),
                stdin=subprocess.DEVNULL,
                stdout=_stdout(step),
                start_new_session=True,
            )
            if self.interrupted and not wished:  # the wish came within the start, and reached nobody
                os.killpg(self._running.pid, signal.SIGTERM)
            code = self._running.wait()
            self._running, self._step = None, ""
            self.outputs[step] = github.outputs(written)
        self.codes[step] = code if code >= 0 else ExitCode.INCONCLUSIVE  # a signal is no verdict
        return self.codes[step]

    def passed(self, step: str) -> bool:
        """Return whether a step ran and passed."""
        return self.codes.get(step) == ExitCode.PASS

    def results(self) -> dict[str, dict[str, str]]:
        """Return how each step ended, as a workflow says it of its jobs."""
        cut = self.interrupted.get("during")
        return {
            step: {"result": "success" if not code else "cancelled" if step == cut else "failure"}
            for step, code in self.codes.items()
        }

    def stoppable(self) -> AbstractContextManager[None]:
        """Pass the first wish to stop on to the verb that runs; what follows it is the way back."""
        return handling(self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        running = None if self.interrupted else self._running
        self.interrupted = self.interrupted or {"by": user(), "at": now(), "during": self._step}
        if running is not None:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)


def _stdout(step: str) -> int | None:
    """Return where the results of a step go: what the report says is the result of the whole."""
    if output.is_json():
        return 2
    return subprocess.DEVNULL if output.is_quiet() and step != "report" else None


def run(arguments: argparse.Namespace) -> int:
    """Release a commit to one environment, or leave that environment as it was; return the exit code."""
    root, began = Path.cwd(), time.time()
    try:
        service, commit = services.load(root), source.resolve(root, arguments.commit or "HEAD")
        neighbours.require_own_name(root, service.name)
    except KickoffError as error:
        return _refused(arguments, root, error, began)
    folders = Folders.create(root)
    environ = _environment(folders, os.environ)
    intent = Plan((arguments.env,), "", "", commit, f"a person asked for {arguments.env}")
    intent.write(Path(environ["KICKOFF_EVIDENCE_DIR"]), service.name)
    evidence, report = environ["KICKOFF_EVIDENCE_DIR"], environ["KICKOFF_REPORT_DIR"]
    chain = Chain(environ)
    with chain.stoppable():
        try:
            _forward(chain, arguments, service, commit, evidence)
        except Stopped:
            _back(chain, arguments.env)
        written = (f"--output={report}", f"--summary={arguments.summary}")
        record_results(Path(evidence), chain.results(), chain.interrupted)
        chain.call("report", "report", f"--evidence={evidence}", *written)
        if service.notices:
            chain.call("notify", "notify", f"--report={report}")
    outcome = Path(report) / "outcome.json"
    document = json.loads(outcome.read_text(encoding="utf-8")) if outcome.is_file() else {}
    code = chain.codes["report"]
    if document.get("exit_code") != code:  # the report itself failed, and what is there is of another run
        code = exit_code(chain.codes, interrupted=bool(chain.interrupted))
    for name, step in _OUTPUTS.items():
        github.set_output(name, chain.outputs.get(step, {}).get(name, ""))
    github.set_output("evidence-directory", evidence)
    github.set_output("report", chain.outputs["report"].get("path", ""))
    github.set_output("verdict", {0: "pass", 3: "inconclusive"}.get(code, "fail"))
    output.result({**document, "run": str(folders.run)})
    return code


def _refused(arguments: argparse.Namespace, root: Path, error: KickoffError, began: float) -> int:
    """End a run that was refused before it began as every other ends; return its exit code.

    Raises:
        KickoffError: There is no project whose run it could have been.
    """
    folders, (outcome, shown, text) = refused.conclude(root, [arguments.env], error, began, refused.places())
    if arguments.summary:
        with Path(arguments.summary).open("a", encoding="utf-8") as stream:
            stream.write(text)
    github.set_output("report", outcome.report)
    github.set_output("verdict", "fail")
    github.annotate("error", f"{outcome.title} {outcome.subject}: {outcome.why}")
    with language.using(language.chosen(os.environ)):
        block = closing_block(shown)
    output.result({**outcome.to_document(), "run": str(folders.run)}, block)
    return outcome.exit_code


def exit_code(codes: Mapping[str, int], *, interrupted: bool) -> int:
    """Return the exit code of a run without an outcome; nothing that went wrong anywhere is ever a pass.

    Args:
        codes: Exit code by step, in order; ``report`` judges all of them.
        interrupted: Whether somebody asked to stop.
    """
    serious = set(codes.values()) & {ExitCode.ROLLED_BACK, ExitCode.ROLLBACK_FAILED}
    if serious:
        return max(serious)  # users met the release: that matters more than how the command ended
    if interrupted:
        return ExitCode.INTERRUPTED
    return next((code for code in codes.values() if code), ExitCode.PASS)


def _environment(folders: Folders, caller: Mapping[str, str]) -> dict[str, str]:
    """Return the verbs' environment: this run's own folders, unless the caller names others."""
    ours = {
        "KICKOFF_ARTIFACT_DIR": str(folders.artifacts),
        "KICKOFF_EVIDENCE_DIR": str(folders.evidence),
        "KICKOFF_REPORT_DIR": str(folders.report),
    }
    return {**caller, **{name: caller.get(name) or place for name, place in ours.items()}}


def _forward(chain: Chain, given: argparse.Namespace, service: Service, commit: str, evidence: str) -> None:
    """Run every phase until one does not pass.

    Raises:
        Stopped: One did not, or somebody asked to stop.
    """
    env, about = f"--env={given.env}", f"--commit={commit}"
    tools = f"--requirements={given.requirements}"
    freeze.require_open(given.env, service.declared(given.env).freezes, given.freeze_reason)
    chain.demand("validate", "env", "validate", "--all", f"--evidence={evidence}")
    reason = ""
    if service.declared(given.env).after:
        found = chain.demand(
            "proof", "proof", "find", env, about, f"--unproven-reason={given.unproven_reason}"
        )
        reason = found.get("unproven-reason", "")
    if service.quality_gate:
        chain.demand("check", "check", about, tools)
    goes_to = f"--deployments={json.dumps([given.env])}"
    chain.demand("audit", "audit", about, tools, goes_to)
    built = chain.demand("build", "build", env, about)
    chain.demand("prepare", "stack", "prepare", env)
    chain.demand("secrets", "env", "validate", env, "--with-secrets", f"--evidence={evidence}")
    digest = f"--artifact-digest={built['digest']}"
    github.set_output("began", True)  # from here on there may be something to undo, should this be killed
    staged = chain.demand(
        "stage",
        "stage",
        env,
        digest,
        about,
        f"--wait={given.wait}",
        f"--unproven-reason={reason}",
        f"--freeze-reason={given.freeze_reason}",
        f"--perf-allow-once={given.perf_allow_once}",
    )
    candidate = (env, f"--attempt={staged['attempt']}")
    chain.demand("smoke", "smoke", *candidate, "--phase=candidate")
    chain.demand("functional", "functional", *candidate, about, tools)
    if _LOAD in service.checks_for(given.env):
        chain.demand("perf", "perf", *candidate, "--candidate", "--report")
    promoted = chain.demand("promote", "promote", *candidate)
    chain.demand("live", "smoke", env, "--phase=live")
    if promoted.get("release"):
        chain.demand("watch", "watch", env, f"--release={promoted['release']}")
    where = f"--repository={built.get('repository', '')}"
    chain.demand("prove", "prove", about, goes_to, f"--digest={built['digest']}", where)


def _back(chain: Chain, environment: str) -> None:
    """Undo what the verb that did not pass has left, by the conditions of ``cd.yml``."""
    env = f"--env={environment}"
    staged, promoted, live = (chain.outputs.get(step, {}) for step in ("stage", "promote", "live"))
    if chain.passed("promote") and promoted.get("release"):
        if not chain.passed("live") or live.get("verdict") != "pass":
            why = "--reason=its live smoke test did not pass"
            chain.call("rollback", "rollback", env, f"--failed={promoted['release']}", why)
    elif staged.get("attempt"):
        if staged.get("changed") != "false":
            why = f"--reason={'the run was interrupted' if chain.interrupted else ''}"
            chain.call("abort", "abort", env, f"--attempt={staged['attempt']}", why)
    elif "stage" in chain.codes:  # it died before it could say which attempt it began
        chain.call("resume", "resume", env)
