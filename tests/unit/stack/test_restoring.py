"""The order in which a store gets an earlier state: its servers go on until that state is there and proved."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kickoff.errors import ExitCode, KickoffError
from kickoff.stack import Compose, Stack, restore
from kickoff.stack.restoring import moment_of
from tests.unit.stack.stack_support import stack_of

FILE_TEXT = "name: x\nx-kickoff: {restore: {service: back, backup: keep, servers: [db, copy]}}\n"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = "2026-01-31 14:05:00.000000+00"
ONCE = "run --rm --no-deps --no-TTY back"
REVIVE = "up --detach --wait --no-recreate --no-build"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return stack_of(FILE_TEXT, tmp_path)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return what is asked of compose, of which the command that contains the given word fails."""

    def fails(word: str) -> list[str]:
        asked: list[str] = []

        def run(_: Compose, *command: str, **_options: object) -> str:
            asked.append(" ".join(command))
            if word and word in command:
                raise KickoffError(f"{word} failed", code=ExitCode.UNREACHABLE)
            return ""

        monkeypatch.setattr(Compose, "run", run)
        return asked

    return fails


def test_servers_go_on_until_the_earlier_state_is_proved(
    stack: Stack, failing: Callable[[str], list[str]]
) -> None:
    asked, told = failing(""), list[str]()
    restore(stack, MOMENT, "", told.append)
    assert asked == [
        "stop keep",
        f"{ONCE} recover {MOMENT}",
        "stop db",
        "stop copy",
        "stop keep",
        f"{ONCE} install",
        REVIVE,
    ]
    assert [line.split()[0] for line in told] == ["recover", "stop", "install", "start"]


def test_all_that_was_received_is_all_only_when_nobody_writes_any_more(
    stack: Stack, failing: Callable[[str], list[str]]
) -> None:
    asked = failing("")
    restore(stack, "latest", "production", lambda _: None)
    assert asked == [
        "stop db",
        "stop copy",
        "stop keep",
        f"{ONCE} recover latest production",
        f"{ONCE} install",
        REVIVE,
    ]


@pytest.mark.parametrize("moment", [MOMENT, "latest"])
def test_what_cannot_be_recovered_leaves_the_servers_as_they_were(
    stack: Stack, failing: Callable[[str], list[str]], moment: str
) -> None:
    asked = failing("recover")
    with pytest.raises(KickoffError, match="recover failed"):
        restore(stack, moment, "", lambda _: None)
    assert asked[-1] == REVIVE
    assert f"{ONCE} install" not in asked


def test_half_installed_data_are_not_started(stack: Stack, failing: Callable[[str], list[str]]) -> None:
    asked = failing("install")
    with pytest.raises(KickoffError, match="install failed"):
        restore(stack, "latest", "", lambda _: None)
    assert asked[-1] == f"{ONCE} install"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("latest", "latest"),
        ("2026-02-28T23:59:59.5Z", "2026-02-28 23:59:59.500000+00"),
        ("2026-02-28 23:59", "2026-02-28 23:59:00.000000+00"),
        ("2026-03-01T12:30+01:00", "2026-03-01 11:30:00.000000+00"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "", "2026-03-01T12:00:00Z", "2026-13-01", "--exclusive"])
def test_what_is_no_moment_of_the_past_is_bad_input(text: str) -> None:
    with pytest.raises(KickoffError) as caught:
        moment_of(text, NOW)
    assert caught.value.code is ExitCode.BAD_INPUT


def test_a_stack_without_backups_has_nothing_to_restore(stack: Stack) -> None:
    (stack.root / "docker-compose.staging.yml").write_text("name: x\n")
    with pytest.raises(KickoffError, match="staging declares no backups") as caught:
        restore(stack, "latest", "", lambda _: None)
    assert caught.value.code is ExitCode.BAD_INPUT
