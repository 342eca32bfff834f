"""Kill-anywhere: a command is SIGKILLed on one side of each of its journal records, and the next converges."""

import itertools
import signal
from dataclasses import dataclass

from tests.e2e.project import Load, Project

SIDES = ("before", "after")
LEAST = {"stage": 12, "promote": 10, "abort": 3, "rollback": 9, "cold-rollback": 10}
"""Commands, and the fewest journal records each of them writes."""
MOST = 40
"""More records than any command writes: reaching it means that the command never ends."""


@dataclass(frozen=True, slots=True)
class Killed:
    """What happened.

    Attributes:
        points: How often the command was killed, each time at another record.
        requests: Requests of users meanwhile.
        failed: What went wrong for them, one text per request.
    """

    points: int
    requests: int
    failed: list[str]


def kill_everywhere(project: Project, command: str, side: str) -> Killed:
    """Kill ``command`` on one ``side`` of each of its records, under load, until it ends by itself.

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
            assert points < MOST, f"{command} never ended within {MOST} records"
            arguments = _begin(project, command, points)
            serving = project.live
            code = project.killed(side, points + 1, *arguments)
            if code != -signal.SIGKILL:
                assert code == 0, f"{command} was not killed and ended with {code}"
                break
            project.engine().converge()
            live = project.live
            assert live == serving or command not in ("stage", "abort")
            project.assert_settled(live)
        if command == "stage":
            assert project.command("abort").returncode == 0
    return Killed(points, load.requests, load.failed)


def _begin(project: Project, command: str, number: int) -> list[str]:
    """Bring the project to where ``command`` can run; return the command with its arguments."""
    if command == "rollback":
        return ["rollback"]
    if command == "cold-rollback":
        running = {slot.release for slot in project.store.state().slots.values()}
        kept = sorted(folder.name for folder in (project.store.root / "releases").iterdir())
        return ["rollback", "--to", next(release for release in kept if release not in running)]
    commit = project.commit(delay_ms=number % 5)
    if command == "stage":
        return ["stage", *project.stage_arguments(commit)]
    artefacts = project.root.parent / "artifacts"
    staged = project.engine().stage(project.build(commit), artefacts, commit, wait=0, force=False)
    assert staged.verdict == "pass", staged.summary
    return [command, "--attempt", staged.attempt]
