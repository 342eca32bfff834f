"""The order in which a replica becomes the primary: nobody is promoted before the former one is fenced."""

import json
from pathlib import Path

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.stack import Compose, Stack, promote_replica
from kickoff.stack.primary import FILE
from tests.unit.stack.stack_support import stack_of

FILE_TEXT = "name: x\nx-kickoff: {primary: {services: [db, copy], promote: [sh, /promote.sh]}}\n"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / FILE).write_text("db\n")
    return stack_of(FILE_TEXT, tmp_path)


@pytest.fixture
def done(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of compose, each with the primary of that moment."""
    asked: list[str] = []

    def run(_: Compose, *command: str, **_options: object) -> str:
        asked.append(f"{(stack.folder / FILE).read_text().strip()}: {' '.join(command)}")
        return json.dumps({"Service": command[-1], "State": "running"}) if command[0] == "ps" else ""

    monkeypatch.setattr(Compose, "run", run)
    return asked


def test_the_former_primary_is_fenced_and_stopped_before_the_other_one_is_promoted(
    stack: Stack, done: list[str]
) -> None:
    told: list[str] = []
    promote_replica(stack, "copy", told.append)
    assert done == [
        "db: ps --format json copy",
        "copy: stop db",
        "copy: exec -T copy sh /promote.sh",
        "copy: up --detach --wait --no-deps --no-build db",
    ]
    assert [line.split()[0] for line in told] == ["fence", "promote", "follow"]


def test_what_was_begun_is_finished_by_the_same_command(stack: Stack, done: list[str]) -> None:
    (stack.folder / FILE).write_text("copy\n")  # interrupted after the fence
    promote_replica(stack, "copy", lambda _: None)
    assert done[1:] == [
        "copy: stop db",
        "copy: exec -T copy sh /promote.sh",
        "copy: up --detach --wait --no-deps --no-build db",
    ]


def test_a_replica_that_does_not_run_is_not_promoted_and_nobody_is_fenced(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compose, "run", lambda *_, **__: json.dumps({"State": "exited"}))
    with pytest.raises(KickoffError, match="copy does not run") as caught:
        promote_replica(stack, "copy", lambda _: None)
    assert caught.value.code is ExitCode.UNREACHABLE
    assert (stack.folder / FILE).read_text() == "db\n"


@pytest.mark.parametrize("service", ["other", "copy"])
def test_what_cannot_be_the_primary_is_bad_input(stack: Stack, service: str) -> None:
    if service == "copy":  # there is no such declaration
        (stack.root / "docker-compose.staging.yml").write_text("name: x\n")
    with pytest.raises(KickoffError, match="cannot become the primary in staging") as caught:
        promote_replica(stack, service, lambda _: None)
    assert caught.value.code is ExitCode.BAD_INPUT
