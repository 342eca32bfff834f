"""Kill-anywhere: a command is SIGKILLed on one side of each of its journal records, and the next converges."""

import itertools
import signal
from dataclasses import dataclass

from kickoff.errors import ExitCode
from tests.e2e.project import Load, Project

SIDES = ("before", "after")
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
LEAST = {"stage": 12, "promote": 10, "abort": 3, "rollback": 9, "cold-rollback": 10}
"""Commands, and the fewest journal records each of them writes."""
MOST = 40
"""More records than any command writes: reaching it means that the command never ends."""


@dataclass(frozen=True, slots=True)
class Killed:
    """What happened.

    Attributes:
        points: How often the command was killed, each time at another record.
        records: Number of the last record that it was killed at.
        requests: Requests of users meanwhile.
        failed: What went wrong for them, one text per request.
    """

    points: int
    records: int
    requests: int
    failed: list[str]


def kill_everywhere(project: Project, command: str, side: str, every: int = 1) -> Killed:
    """Kill ``command`` on one ``side`` of each ``every``-th of its records, under load, until it ends by itself.

    After every kill the next command must leave exactly one healthy release live, nothing else running but a
    warm one, and the lock free.

    Raises:
        AssertionError: It did not.
    """
    project.set(BAKE_TIME="0.5s", PROBE_RATE="100")
    for _ in range({"rollback": 2, "cold-rollback": 3}.get(command, 1)):
        assert project.ship().verdict == "pass"
    with Load(project.address, 50, slow_seconds=0.3) as load:
        for points in itertools.count():
            record = points * every + 1
            assert record <= MOST, f"{command} never ended within {MOST} records"
            arguments = _begin(project, command, points)
            serving = project.live
            code = project.killed(side, record, *arguments)
            if code != -signal.SIGKILL:
                assert code == 0, f"{command} was not killed and ended with {code}"
                break
            project.engine().converge()
            live = project.live
            assert live == serving or command not in ("stage", "abort")
            project.assert_settled(live)
        if command == "stage":
            assert project.command("abort").returncode == 0
    return Killed(points, record - every, load.requests, load.failed)


def kill_in_a_bad_bake(project: Project, by: signal.Signals, side: str, every: int = 1) -> Killed:
    """End ``promote`` of a release that fails half of the users on one ``side`` of each ``every``-th record.

    After every end ``resume`` must take the release back: it was never judged good, so it is not recorded as
    released.

    Raises:
        AssertionError: It did not.
    """
    project.set(BAKE_TIME="1s", PROBE_RATE="100")
    assert project.ship().verdict == "pass"
    good = project.live
    with Load(project.address, 50) as load:
        for points in itertools.count():
            record = points * every + 1
            assert record <= MOST, f"promote never ended within {MOST} records"
            commit = project.commit(error_share=0.5, delay_ms=points % 5)
            artefacts = project.root.parent / "artifacts"
            digest = project.build(commit)
            staged = project.engine().stage(digest, artefacts, commit, wait=0, force=False)
            assert (staged.verdict, staged.facts["changed"]) == ("pass", True), staged.summary
            code = project.killed(side, record, "promote", "--attempt", staged.attempt, by=by)
            resumed = project.command("resume")
            assert resumed.returncode == 0, resumed.stderr
            project.assert_settled(good)
            entries = project.store.history.entries()
            assert [e for e in entries if e.release == staged.release and e.outcome == "live"] == []
            if code == ExitCode.ROLLED_BACK:
                break
            assert code in (-by, ExitCode.INTERRUPTED), f"{by.name} at record {record}: {code}"
    return Killed(
        points, record - every, load.requests, [failure for failure in load.failed if failure != "HTTP 500"]
    )


def _begin(project: Project, command: str, number: int) -> list[str]:
    """Bring the project to where ``command`` can run; return the command with its arguments."""
    if command in ("rollback", "cold-rollback"):
        # There and back again: each of them was rolled back from before.
        state = project.store.state()
        running = {slot.release for slot in state.slots.values()}
        kept = sorted(folder.name for folder in (project.store.root / "releases").iterdir())
        wanted = running - {project.live} if command == "rollback" else set(kept) - running
        return ["rollback", "--to", min(wanted), "--force", "--reason", "rehearsal"]
    commit = project.commit(delay_ms=number % 5)
    if command == "stage":
        return ["stage", *project.stage_arguments(commit)]
    artefacts = project.root.parent / "artifacts"
    staged = project.engine().stage(project.build(commit), artefacts, commit, wait=0, force=False)
    assert staged.verdict == "pass", staged.summary
    return [command, "--attempt", staged.attempt]
