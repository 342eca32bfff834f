"""Mutated files: never an exception, and never a pass that python-dotenv would read differently."""

import random
from pathlib import Path

import dotenv
import pytest

from kickoff.environment import schema as schemas
from kickoff.environment import source
from kickoff.environment.check import Checked, check
from kickoff.environment.findings import as_github, as_json, as_markdown, as_text
from tests.unit.environment.support import ROOT

NAMES = ("development", "staging", "production")
TEXTS = {name: (ROOT / f"configs/environments/{name}.env").read_text("utf-8") for name in NAMES}
SCHEMA = schemas.read(ROOT)
RUNTIME = {"KICKOFF_DATA_DIR": "/srv/data"}
PIECES = [*"$}'\"\\=#\n\r \t\0%s-,é4\u2028", "${", "export ", "ms", "${API_KEY}", "${LOG_LEVEL:-", "true"]


def checked(name: str, text: str) -> Checked:
    return check(
        name,
        source.parse(text, f"{name}.env"),
        SCHEMA,
        RUNTIME,
        {"API_KEY": "tallow-brine-91-mostly"}.get,
    )


def mutate(text: str, dice: random.Random) -> str:
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        at = dice.randrange(len(text) + 1)
        to = min(len(text), at + dice.choice([0, 1, 1, 3, 20]))
        text = text[:at] + dice.choice([dice.choice(PIECES), chr(dice.randrange(1, 0x250)), ""]) + text[to:]
    return text


@pytest.mark.parametrize("seed", range(5))
def test_mutated_files_are_refused_or_read_as_python_dotenv_reads_them(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    for key, value in {**RUNTIME, "API_KEY": "tallow-brine-91-mostly"}.items():
        monkeypatch.setenv(key, value)
    for key in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(key, raising=False)
    path = tmp_path / "x.env"
    passed = 0
    for _ in range(250):
        name = dice.choice(NAMES)
        text = mutate(TEXTS[name], dice)
        result = checked(name, text)
        for render in (as_text, as_json, as_github, as_markdown):
            assert "tallow-brine" not in render(result.findings)
        if result.findings:
            continue
        passed += 1
        path.write_bytes(text.encode())
        theirs = dotenv.dotenv_values(path, interpolate=False)
        assert set(theirs) == set(SCHEMA.keys)
        assert theirs["APP_ENV"] == name
        assert name != "production" or theirs["DEBUG"] == "false"
        ours = {key: entry.text for key, entry in result.source.entries.items()}
        assert ours == theirs
    assert 0 < passed < 250  # both outcomes were exercised


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", SCHEMA.keys)
def test_each_line_is_needed_and_may_stand_once(name: str, key: str) -> None:
    lines = TEXTS[name].splitlines(keepends=True)
    without = [line for line in lines if not line.startswith(f"{key}=")]
    assert len(without) == len(lines) - 1
    assert [f.rule for f in checked(name, "".join(without)).findings if f.key == key] == ["missing-key"]
    again = next(line for line in lines if line.startswith(f"{key}="))
    assert [f.rule for f in checked(name, "".join([*lines, again])).findings] == ["duplicate-key"]


@pytest.mark.parametrize("key", SCHEMA.keys)
@pytest.mark.parametrize(
    "garbage", ["???", "-1", "\N{SNOWMAN}", "a b", "${NOPE}", "1 2 3", "''", "999999999999"]
)
def test_garbage_is_refused_for_every_key(key: str, garbage: str) -> None:
    lines = [
        f"{key}={garbage}" if line.startswith(f"{key}=") else line
        for line in TEXTS["production"].splitlines()
    ]
    found = checked("production", "\n".join(lines)).findings
    may_be_empty = SCHEMA.keys[key].may_be_empty and garbage == "''" and key != "API_KEY"
    assert bool(found) is not may_be_empty


def test_every_prefix_of_a_file_is_refused() -> None:
    text = TEXTS["production"]
    last = text.rstrip("\n").rfind("\n")
    for end in range(0, last, 7):
        assert checked("production", text[:end]).findings


def test_the_files_themselves_pass() -> None:
    assert [checked(name, text).findings for name, text in TEXTS.items()] == [[], [], []]
