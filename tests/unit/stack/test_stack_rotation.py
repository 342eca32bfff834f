"""The steps of a rotation: what stands on disk, what servers are told, and what an interruption leaves."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError
from kickoff.stack import Compose, Rotation, Stack, declaration, secret_files
from kickoff.stack import rotation as rotations
from kickoff.stack.secret_files import Held

FILE_TEXT = """\
name: x
x-kickoff:
  secrets:
    url: {key: DATABASE_URL, form: "postgresql://{user}:{password}@db/x"}
    logins: {form: {"cache:1": "{word}"}}
    token: {key: TOKEN}
    token_next: {key: TOKEN_NEXT}
  rotate:
    password: {services: [db, copy], command: [sh, /login.sh], login: {secret: user, names: [clerk, clerk_b]}}
    word: {services: [cache], command: [sh, /words.sh], former: word_former}
    token: {next: token_next}
    alone: {services: [panel], command: [reset]}
services:
  db: {secrets: [password, user]}
  copy: {secrets: [password]}
  backup: {secrets: [password, user]}
  cache: {secrets: [word, word_former]}
  exporter: {secrets: [logins]}
  panel: {secrets: [alone]}
secrets:
  user: {file: "${KICKOFF_STACK_DIR}/secrets/user"}
  password: {file: "${KICKOFF_STACK_DIR}/secrets/password"}
  word: {file: "${KICKOFF_STACK_DIR}/secrets/word"}
  word_former: {file: "${KICKOFF_STACK_DIR}/secrets/word_former"}
  logins: {file: "${KICKOFF_STACK_DIR}/secrets/logins"}
  alone: {file: "${KICKOFF_STACK_DIR}/secrets/alone"}
"""
MOUNTED = ("user", "password", "word", "word_former", "logins", "alone")


class Asked(list[tuple[str, str]]):
    """What was asked of compose, and what it was given on its standard input."""

    running: tuple[str, ...] = ("db", "copy", "backup", "cache", "exporter", "panel")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    root = tmp_path / "project"
    (root / "configs" / "environments").mkdir(parents=True)
    (root / "docker-compose.staging.yml").write_text(FILE_TEXT)
    found = Stack(root, "staging", tmp_path / "stack", tmp_path / "routes")
    held = Held(found.folder / "secrets")
    held.folder.mkdir(parents=True)
    held.keep(secret_files.resolve(declaration.read(root, "staging"), {}, held))
    mounts: dict[str, Any] = {name: {"file": str(held.folder / name)} for name in MOUNTED}
    services = {
        name: {"secrets": [{"source": source} for source in service["secrets"]]}
        for name, service in yaml.safe_load(FILE_TEXT)["services"].items()
    }
    found._remember({"services": services, "secrets": mounts})
    return found


@pytest.fixture
def asked(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Asked:
    calls = Asked()

    def run(_: Compose, *command: str, given: str = "", **_options: object) -> str:
        if command[0] == "ps":
            return "\n".join(json.dumps({"Service": name, "State": "running"}) for name in calls.running)
        calls.append((" ".join(command), given))
        return ""

    monkeypatch.setattr(Compose, "run", run)
    monkeypatch.setattr(Compose, "project", "x")
    monkeypatch.setattr(Stack, "plan", lambda _: [])
    return calls


def secret(stack: Stack, name: str) -> str:
    return (stack.folder / "secrets" / name).read_text()


def told(asked: Asked) -> list[tuple[str, str]]:
    return [(command.split()[2], given) for command, given in asked if command.startswith("exec")]


def restarted(asked: Asked) -> list[str]:
    return [command for command, _ in asked if command.startswith("restart")]


def begun(stack: Stack, name: str) -> Rotation:
    rotation = Rotation(stack, name)
    rotation.begin()
    rotation.allow_both(lambda _: None)
    return rotation


def test_two_users_take_turns_and_what_is_not_told_starts_again(stack: Stack, asked: Asked) -> None:
    assert secret(stack, "user") == "clerk"
    former = secret(stack, "password")
    rotation = begun(stack, "password")
    new = secret(stack, "password")
    assert secret(stack, "user") == "clerk_b" and new != former
    assert secret(stack, "url") == f"postgresql://clerk_b:{new}@db/x"
    assert told(asked) == [(one, f"clerk_b {new}\nclerk {former}\n") for one in ("db", "copy")]
    assert restarted(asked) == ["restart backup"]
    asked.clear()
    rotation.withdraw(lambda _: None)
    assert told(asked) == [(one, f"clerk_b {new}\n") for one in ("db", "copy")]
    assert restarted(asked) == []
    begun(stack, "password")
    assert secret(stack, "user") == "clerk"


def test_a_server_that_starts_meanwhile_mounts_the_former_value(stack: Stack, asked: Asked) -> None:
    former = secret(stack, "word")
    assert secret(stack, "word_former") == ""
    rotation = begun(stack, "word")
    new = secret(stack, "word")
    assert secret(stack, "word_former") == former
    assert told(asked) == [("cache", f"{new}\n{former}\n")]
    assert restarted(asked) == ["restart exporter"]
    rotation.withdraw(lambda _: None)
    assert secret(stack, "word_former") == ""
    assert told(asked)[-1] == ("cache", f"{new}\n")
    assert rotation.under_way is None


def test_a_secret_that_the_service_compares_is_taken_beside_the_former_first(
    stack: Stack, asked: Asked
) -> None:
    former = secret(stack, "token")
    rotation = begun(stack, "token")
    new = secret(stack, "token_next")
    assert rotation.values == {"TOKEN": former, "TOKEN_NEXT": new} and new != former
    assert rotation.needs_callers
    assert rotation.hand_on() and not rotation.hand_on()
    rotation.allow_both(lambda _: None)
    assert rotation.values == {"TOKEN": new, "TOKEN_NEXT": ""}
    assert told(asked) == []
    needs = declaration.read(stack.root, "staging")
    rotations.require_current(stack.folder, needs, {"token": new})
    with pytest.raises(KickoffError, match="TOKEN gives the value that was replaced") as caught:
        rotations.require_current(stack.folder, needs, {"token": former})
    assert former not in caught.value.render()


def test_where_only_one_value_can_be_valid_it_is_told_once(stack: Stack, asked: Asked) -> None:
    rotation = begun(stack, "alone")
    rotation.withdraw(lambda _: None)
    assert told(asked) == [("panel", f"{secret(stack, 'alone')}\n")]
    assert restarted(asked) == []


def test_what_was_begun_goes_on_with_the_same_value_whatever_was_interrupted(
    stack: Stack, asked: Asked
) -> None:
    former = secret(stack, "word")
    Rotation(stack, "word").begin()  # and nothing else came to be done
    assert secret(stack, "word") == former
    rotation = begun(stack, "word")
    new = secret(stack, "word")
    (stack.folder / "secrets" / "word_former").write_text("")
    (stack.folder / "secrets" / "logins").write_text("half")
    begun(stack, "word")
    assert (secret(stack, "word"), secret(stack, "word_former")) == (new, former)
    assert json.loads(secret(stack, "logins")) == {"cache:1": new}
    assert {given for _, given in told(asked)} == {f"{new}\n{former}\n"}
    assert rotation.under_way is not None
    record = stack.folder / rotations.FILE
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert masking.text(f"it was {former}") == "it was ***"


def test_two_rotations_at_a_time_do_not_know_each_other(stack: Stack, asked: Asked) -> None:
    one, other = begun(stack, "word"), begun(stack, "password")
    one.withdraw(lambda _: None)
    assert one.under_way is None and other.under_way is not None


@pytest.mark.parametrize(
    ("name", "environ", "refusal"),
    [
        ("password", {"DATABASE_URL": "postgresql://clerk:abcdefgh@db/x"}, "DATABASE_URL is given here"),
        ("token", {"TOKEN": "0123456789abcdef"}, "TOKEN is given here"),
        ("password", {}, "copy must be told of the new value, and does not run"),
    ],
)
def test_what_cannot_be_rotated_is_refused_before_anything_is_touched(
    stack: Stack, asked: Asked, name: str, environ: dict[str, str], refusal: str
) -> None:
    asked.running = ("db",)
    with pytest.raises(KickoffError, match=refusal) as caught:
        Rotation(stack, name).require_ready(stack.root, environ)
    assert caught.value.code == (ExitCode.BAD_INPUT if environ else ExitCode.UNREACHABLE)
    assert not (stack.folder / rotations.FILE).exists() and told(asked) == []


def test_a_secret_of_which_nothing_is_said_is_bad_input(stack: Stack) -> None:
    with pytest.raises(
        KickoffError, match="nothing says how user is rotated in staging; known: alone"
    ) as caught:
        Rotation(stack, "user")
    assert caught.value.code is ExitCode.BAD_INPUT


@pytest.mark.parametrize("text", ["{", "[]", '{"word": 1}', '{"word": {"other": 1}}'])
def test_a_damaged_record_says_so_and_shows_nothing(stack: Stack, text: str) -> None:
    (stack.folder / rotations.FILE).write_text(text)
    with pytest.raises(KickoffError, match=r"rotations\.json is damaged") as caught:
        rotations.under_way(stack.folder)
    assert caught.value.code is ExitCode.UNREACHABLE
