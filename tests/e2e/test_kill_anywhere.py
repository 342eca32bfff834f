"""SIGKILL the engine on both sides of every journal record; the next command must leave one healthy release."""

import signal

import pytest

from tests.e2e.project import Load, Project

pytestmark = pytest.mark.e2e

COMMANDS = ("stage", "promote", "abort", "rollback", "cold-rollback")
RECORDS = 40
"""More than any command writes; reaching it means that the command never ends."""


def begin(project: Project, command: str, number: int) -> list[str]:
    """Bring the project to where ``command`` can run; return the command with its arguments."""
    if command == "rollback":
        return ["rollback"]
    if command == "cold-rollback":
        state = project.store.state()
        running = {slot.release for slot in state.slots.values()}
        kept = sorted(folder.name for folder in (project.store.root / "releases").iterdir())
        return ["rollback", "--to", next(release for release in kept if release not in running)]
    commit = project.commit(delay_ms=number % 5)
    if command == "stage":
        return ["stage", *project.stage_arguments(commit)]
    artefacts = project.root.parent / "artifacts"
    staged = project.engine().stage(project.build(commit), artefacts, commit, wait=0, force=False)
    assert staged.verdict == "pass", staged.summary
    # Staged by this process, which lives on: the lock is idle now, as it is between two commands.
    return [command, "--attempt", staged.attempt]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_any_record(project: Project, command: str, when: str) -> None:
    project.set(BAKE_TIME="0.5s", PROBE_RATE="100")
    project.ship()
    for _ in range({"rollback": 1, "cold-rollback": 2}.get(command, 0)):
        project.ship()
    points = 0
    with Load(project.address, 50, slow_seconds=0.3) as load:
        for number in range(1, RECORDS):
            arguments = begin(project, command, number)
            serving = project.live
            code = project.killed(when, number, *arguments)
            if code != -signal.SIGKILL:
                assert code == 0, f"the command that was not killed failed with {code}"
                break
            points += 1
            resumed = project.command("resume")
            assert resumed.returncode == 0, resumed.stderr
            live = project.live
            if command in ("stage", "abort"):
                assert live == serving
            project.assert_settled(live)
        else:
            pytest.fail(f"the command never ended within {RECORDS} records")
        if command == "stage":
            assert project.command("abort").returncode == 0
    print(f"\n{command}: killed {when} each of {points} journal records, always converged")
    least = {"stage": 12, "promote": 10, "abort": 3, "rollback": 9, "cold-rollback": 10}[command]
    assert points >= least
    assert load.failed == []
    assert load.requests > 100
