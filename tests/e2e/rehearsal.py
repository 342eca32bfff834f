"""Drive one row of the fault table through the real engine, and compare what happened with the row."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import httpx

from kickoff.cli.main import main
from kickoff.cli.run import release
from kickoff.evidence import now
from kickoff.release.model import Colour
from kickoff.report.messages import columns_of
from kickoff.report.outcome import Outcome, decide
from kickoff.report.run import Run, collect
from kickoff.report.terminal import closing_block, wrapped
from tests.e2e.faults import BY_NAME, Fault, Stop
from tests.e2e.gates import Gate
from tests.e2e.project import Load, Project
from tests.e2e.scene import Scene

DISK_BYTES = 1 << 30
COLUMNS, ROWS = 80, 24
Mutation = Callable[[], AbstractContextManager[object]]


@dataclass(slots=True)
class Result:
    """What a row did.

    Attributes:
        stopped: Where the release ended; ``None`` when the engine broke.
        verdict: Of its evidence, or ``refused``.
        code: The exit code; ``None`` for a traceback.
        cause: What the command said, and the rules that did not pass.
        requests: Requests of users.
        failed: Those that failed.
        seconds: Length of the release itself.
        reported: The exit code that a report over the evidence has; ``None`` where there is nothing to compare.
        headline: The first line of the block that a run ends with; empty for a command by itself.
        screen: What a person sees in the end, in 24 rows of 80 columns.
        settled: The next healthy release was shipped and is alone.
        problems: Differences from the row, one sentence each; empty when all is as expected.
    """

    stopped: Stop | None = None
    verdict: str = ""
    code: int | None = None
    cause: str = ""
    requests: int = 0
    failed: int = 0
    seconds: float = 0.0
    reported: int | None = None
    headline: str = ""
    screen: str = ""
    settled: bool = False
    problems: list[str] = field(default_factory=list)


class Bench:
    """Keeps a project with a healthy live release from row to row, and replaces one that was damaged.

    Args:
        folder: Where the projects are made.
        kind: Makes a project in a folder: the fixture service on the local target by default.
    """

    def __init__(self, folder: Path, kind: Callable[[Path], Project] = Project) -> None:
        self._kind = kind
        self._folder = folder
        self._made = 0
        self._kept: Project | None = None

    def rehearse(self, fault: Fault, without: Mutation = nullcontext) -> Result:
        """Run one row, without one of the engine's gates."""
        special = fault.first or fault.own_disk or fault.state
        with self._fresh(fault) if special else self._settled() as project:
            result = rehearse(project, fault, without)
        if not special and not result.settled:
            self.close()
        return result

    def close(self) -> None:
        """Stop what was kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with kept.entered():
                kept.close()

    @contextmanager
    def _settled(self) -> Iterator[Project]:
        if self._kept is None:
            self._kept = self._project()
            with self._kept.entered():
                _ship_first(self._kept)
        with self._kept.entered():
            yield self._kept

    @contextmanager
    def _fresh(self, fault: Fault) -> Iterator[Project]:
        project = self._project()
        if fault.state:
            project.state = project.state.with_name(fault.state)
        with ExitStack() as stack:
            if fault.own_disk:
                stack.enter_context(_mounted(project.state))
            stack.enter_context(project.entered())
            stack.callback(project.close)
            if not fault.first:
                _ship_first(project)
            yield project

    def _project(self) -> Project:
        self._made += 1
        folder = self._folder / str(self._made)
        folder.mkdir(parents=True)
        return self._kind(folder)


def noticed(bench: Bench, gate: Gate) -> str:
    """Return the first row that catches the loss of ``gate``; empty when every one ends as if it were there.

    A traceback does not count as catching it: that may be the mutation itself.
    """
    for row in gate.rows:
        if not needs(BY_NAME[row]):
            result = bench.rehearse(BY_NAME[row], gate.without)
            if result.problems and result.code is not None:
                return row
    return ""


def needs(fault: Fault) -> str:
    """Return what this machine lacks to rehearse ``fault``; empty when nothing."""
    if fault.own_disk and (os.geteuid() != 0 or sys.platform != "linux" or not shutil.which("mount")):
        return "a disk of its own: only root may mount one, on Linux"
    return ""


def rehearse(project: Project, fault: Fault, without: Mutation = nullcontext) -> Result:
    """Ship what the row describes on a settled project, then a healthy release; compare with the row."""
    result = Result()
    try:
        _rehearse(project, fault, result, without)
    except Exception:
        result.problems.append(f"the rehearsal itself broke: {traceback.format_exc(limit=-3)}")
    return result


def _rehearse(project: Project, fault: Fault, result: Result, without: Mutation) -> None:
    environment = project.root / "configs" / "environments" / "development.env"
    unchanged = environment.read_text(encoding="utf-8")
    with ExitStack() as stack:
        stack.callback(environment.write_text, unchanged, encoding="utf-8")
        project.set(**fault.environment)
        commit = project.commit(**fault.broken)
        digest = project.build(commit)
        artefact = _artefact(project, digest, commit)
        session = project.session()
        found = session.target.find(project.root.parent / "artifacts", digest)
        scene = Scene(project, found, live=session.expected_release("live"))
        stack.enter_context(fault.disturbance(scene))
        stack.enter_context(patch.object(release, "_narrate", scene.observe))
        load, answering = None, ""
        if fault.rate:
            answering = _answering(project)
            load = stack.enter_context(
                Load(project.address, fault.rate, project.requests, project.slow_seconds)
            )
            time.sleep(0.2)
        began, started = now(), time.monotonic()
        with without():
            output = _release(scene, fault, result, artefact)
        result.seconds = time.monotonic() - started
        if load is not None:
            time.sleep(0.2)
    _describe(project, fault, result, began, output)
    if fault.resume:
        _end_process(project)
        with without():
            code, said = _command("resume")
        if code != 0:
            result.problems.append(f"`resume` ended with {code}: {said}")
    if load is not None:
        _judge_load(fault, load, {answering, scene.live, ""}, result)
    _judge_row(fault, result)
    _judge_screen(fault, result)
    if not fault.live_down:
        _judge_peace(project, project.live if fault.stopped is Stop.LIVE else scene.live, result)
    before = len(result.problems)
    _ship_next(project, result)
    result.settled = len(result.problems) == before


def _release(scene: Scene, fault: Fault, result: Result, artefact: list[str]) -> str:
    if fault.command:
        arguments = (part.format(**scene.values) for part in fault.command)
        result.code, output = _command(*arguments, encoding=fault.encoding)
        return output
    result.stopped = Stop.STAGE
    result.code, output = _command("stage", *artefact, *fault.options, encoding=fault.encoding)
    if result.code == 0:
        attempt = scene.project.evidence("stage")["attempt"]
        scene.staged()
        result.stopped = Stop.PROMOTE
        result.code, more = _command("promote", "--attempt", attempt, encoding=fault.encoding)
        output += more
    return output


def _command(name: str, *arguments: str, encoding: str = "utf-8") -> tuple[int | None, str]:
    """Run ``kickoff`` in this process, where gates can be taken out; a traceback has no exit code."""
    output = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)

    def said() -> str:
        return output.buffer.getvalue().decode(encoding)

    with redirect_stderr(output), redirect_stdout(output):
        try:
            return main([name, "--env", "development", *arguments]), said()
        except Exception:
            return None, f"{said()}\n{traceback.format_exc(limit=-4)}"


def _artefact(project: Project, digest: str, commit: str) -> list[str]:
    folder = project.root.parent / "artifacts"
    return [f"--artifact-digest={digest}", f"--artifact-directory={folder}", f"--commit={commit}"]


def _describe(project: Project, fault: Fault, result: Result, began: str, output: str) -> None:
    """Find out from journal and evidence where the release ended and why."""
    journal = [record for record in project.records() if record["at"] >= began]
    steps = [(r["event"], r.get("step"), r.get("percent")) for r in journal]
    if fault.command or not any(event == "opened" for event, *_ in steps):
        result.stopped = Stop.COMMAND
    elif result.code == 0:
        result.stopped = Stop.LIVE
    else:
        judged = [
            percent for event, step, percent in steps if event == "intent" and step in ("judge", "bake")
        ]
        if judged:
            result.stopped = Stop.BAKE if judged[-1] == 100 else Stop.CANARY
    documents = []
    for path in Path(os.environ["KICKOFF_EVIDENCE_DIR"]).glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["started"] >= began and document["stage"] != "abort":
            documents.append(document)
    last = max(documents, key=lambda document: document["started"], default=None)
    found, _ = collect(Path(os.environ["KICKOFF_EVIDENCE_DIR"]))
    evidence = tuple(document for document in found if document.started >= began)
    # A row ships without the checks around the engine, so only its failures are those of a whole run.
    outcome = decide(Run(evidence)) if evidence and result.code else None
    result.reported = int(outcome.exit_code) if outcome else None
    block = None if fault.command else outcome
    result.headline, result.screen = block.headline if block else "", _screen(block, output)
    result.verdict = "refused"
    result.cause = output
    if last is not None and last["facts"].get("outcome") != "refused":
        result.verdict = last["verdict"]
        rules = [rule for rule in last["rules"] if rule["verdict"] not in ("pass", "not-applicable")]
        result.cause += "\n".join(f"{rule['rule']}: {rule['reason']}" for rule in rules)


def _screen(outcome: Outcome | None, output: str) -> str:
    """Return what a terminal shows: the block that a run ends with, or the end of what a command printed."""
    if outcome is not None:
        return closing_block(outcome.to_document(), columns=COLUMNS, rows=ROWS)
    rows = [row for text in output.rstrip().splitlines() for row in wrapped(text, COLUMNS)]
    return "\n".join(rows[-(ROWS - 2) :])  # the command line and the prompt


def _judge_screen(fault: Fault, result: Result) -> None:
    rows = result.screen.splitlines()
    if not result.screen.startswith(result.headline):
        result.problems.append(f"the headline does not stand in one row: {result.screen}")
    if len(rows) > ROWS - 2 or any(columns_of(row) > COLUMNS for row in rows):
        result.problems.append(f"the screen is too small for: {result.screen}")
    # Where a row breaks, a word may be in two pieces.
    shown, cause = ("".join(text.split()) for text in (result.screen, fault.shown or fault.cause))
    if cause not in shown:
        result.problems.append(f"{fault.shown or fault.cause!r} is not on the screen: {result.screen}")


def _judge_row(fault: Fault, result: Result) -> None:
    for what, expected, found in (
        ("stopped at", fault.stopped, result.stopped),
        ("verdict", fault.verdict, result.verdict),
        ("exit code", int(fault.code), result.code),
    ):
        if found != expected:
            result.problems.append(f"{what}: expected {expected}, found {found}: {result.cause}")
    if result.reported not in (None, result.code):
        result.problems.append(f"the process ended with {result.code}, its report says {result.reported}")
    if fault.cause not in result.cause:
        result.problems.append(f"cause: expected {fault.cause!r} in: {result.cause}")


def _answering(project: Project) -> str:
    """Return who answers users before the release; nobody may."""
    try:
        return project.serving()
    except (httpx.HTTPError, KeyError):
        return ""


def _judge_load(fault: Fault, load: Load, known: set[str], result: Result) -> None:
    result.requests, result.failed = load.requests, len(load.failed)
    if result.requests < 5:
        result.problems.append(f"load: only {result.requests} requests were sent")
    if result.failed > fault.most_failed:
        kinds = sorted(set(load.failed))[:3]
        result.problems.append(f"failed requests: {result.failed} > {fault.most_failed}, {kinds}")
    private = fault.stopped in (Stop.COMMAND, Stop.STAGE, Stop.PROMOTE)
    if private and set(load.releases) - known:
        result.problems.append(f"users were answered by {set(load.releases)}, not by {known} alone")


def _judge_peace(project: Project, live: str, result: Result) -> None:
    """One healthy release live, at most a warm one beside it, the lock free, nothing else left behind."""
    session = project.session()
    state = session.store.state()
    if session.store.lease().held or session.store.open_attempt() is not None:
        result.problems.append("the lock is held, or the attempt is still open")
    if state.release_of(state.live) != live:
        result.problems.append(
            f"live is {state.release_of(state.live) or 'nothing'}, not {live or 'nothing'}"
        )
    if live and project.serving() != live:
        result.problems.append(f"the public address is answered by {project.serving()}, not by {live}")
    if session.proxy.weights() != ({state.live: 100} if state.live else {}):
        result.problems.append(f"the route gives {session.proxy.weights()}")
    wanted = {colour for colour in (state.live, state.warm) if colour}
    for colour in Colour:
        process = session.target.state(colour)
        if process.running != (colour in wanted):
            result.problems.append(f"{colour} is {process.detail}, with {state.to_document()}")
    if orphans := project.left_behind():
        result.problems.append(f"processes were left behind: {orphans}")


def _ship_next(project: Project, result: Result) -> None:
    commit = project.commit()
    code, output = _command("stage", *_artefact(project, project.build(commit), commit))
    if code == 0:
        code, output = _command("promote", "--attempt", project.evidence("stage")["attempt"])
    if code != 0:
        result.problems.append(f"the next healthy release ended with {code}: {output}")
        return
    _judge_peace(project, project.live, result)
    if not project.live.startswith(commit[:7]):
        result.problems.append(f"the next healthy release is not live, but {project.live}")


def _ship_first(project: Project) -> None:
    shipped = project.ship()
    assert shipped.verdict == "pass", shipped.summary


@contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    """A disk of its own at ``folder``, in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "rehearsal", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _end_process(project: Project) -> None:
    """Let the lock belong to a process that ended, as it does once a command has."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    lock = project.store.root / "lock.json"
    document = json.loads(lock.read_text(encoding="utf-8"))
    if document["owner"]:  # otherwise the command ended with its attempt closed, which the row judges
        document["owner"]["pid"] = ended.pid
    lock.write_text(json.dumps(document), encoding="utf-8")
