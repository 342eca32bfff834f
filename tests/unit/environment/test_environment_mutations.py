"""Mutated files: never an exception, never a pass that breaks a rule or that python-dotenv reads otherwise."""

import random
import re
from collections.abc import Mapping
from pathlib import Path

import dotenv
import pytest

from kickoff.environment import env_file
from kickoff.environment import schema as schemas
from kickoff.environment.findings import as_github, as_json, as_table, as_text
from kickoff.environment.validation import Checked, check
from tests.unit.environment.support import GIVEN, ROOT

NAMES = ("development", "staging", "production")
SHORT = {name: (ROOT / f"configs/environments/{name}.env").read_text("utf-8") for name in NAMES}
SCHEMA = schemas.read(ROOT)
RUNTIME = {"KICKOFF_DATA_DIR": "/srv/data", "KICKOFF_TARGET": "compose"}
PIECES = [*"$}'\"\\=#\n\r \t\0%s-,é4\u2028", "${", "export ", "ms", "${API_KEY}", "${LOG_LEVEL:-", "true"]


def checked(name: str, text: str) -> Checked:
    return check(
        name,
        env_file.parse(text, f"{name}.env"),
        SCHEMA,
        RUNTIME,
        GIVEN.get,
    )


def written_out(name: str) -> str:
    """The file with every default as a line."""
    return "".join(f"{key}={entry.text}\n" for key, entry in checked(name, SHORT[name]).entries.items())


TEXTS = {name: written_out(name) for name in NAMES}


def mutate(text: str, dice: random.Random) -> str:
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        at = dice.randrange(len(text) + 1)
        to = min(len(text), at + dice.choice([0, 1, 1, 3, 20]))
        text = text[:at] + dice.choice([dice.choice(PIECES), chr(dice.randrange(1, 0x250)), ""]) + text[to:]
    return text


OTHERS = """0 1 2 -1 99 100 101 65536 0s 1ms 4s 5s 10s 15s 31s 10m 61m 2d 0% 0.5% 100% 101% 64MiB 63MiB 2TiB
True FALSE yes trace kubernetes * *,* http://a.example https://a.example/x 100 1,100 100,1 5,5,100
${LOG_LEVEL} ${CACHE_TTL:-5m} ${API_KEY} ${HOME} $X changeme '' sqlite:///x redis://c"""
VALUES = [
    *(line.partition("=")[2] for text in TEXTS.values() for line in text.splitlines() if "=" in line),
    *OTHERS.split(),
]


def replace_values(text: str, dice: random.Random) -> str:
    """Give some keys a value that another key might have: whole in form, often wrong in meaning."""
    lines = text.splitlines()
    places = [index for index, line in enumerate(lines) if "=" in line and not line.startswith("#")]
    for index in dice.sample(places, dice.choice([1, 1, 2, 4])):
        lines[index] = f"{lines[index].partition('=')[0]}={dice.choice(VALUES)}"
    return "\n".join(lines) + "\n"


SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATIONS = {  # seconds: least, most
    "CACHE_TTL": (1, 86400),
    "REQUEST_TIMEOUT": (0.1, 600),
    "SHUTDOWN_GRACE": (1, 600),
    "CANARY_HOLD": (0.5, 86400),
    "BAKE_TIME": (0, 86400),
    "DRAIN_TIMEOUT": (0, 3600),
    "READY_TIMEOUT": (1, 3600),
    "HOOK_TIMEOUT": (1, 3600),
    "LOCK_TTL": (5, 86400),
    "PROMOTE_WAIT": (0, 3000),
    "RESPONSE_TIME_THRESHOLD": (0.001, 600),
}
INTEGERS = {
    "API_WORKERS": (1, 64),
    "PUBLIC_PORT": (1024, 65535),
    "KEEP_RELEASES": (2, 100),
    "PROBE_RATE": (1, 1000),
    "PERF_MAX_RPS": (1, 100_000),
}
WORDS = {
    "DEBUG": "true false",
    "STICKY_SESSIONS": "true false",
    "LOG_LEVEL": "debug info warning error critical",
    "DEPLOY_TARGET": "local compose",
    "RELEASE_STRATEGY": "blue-green canary",
}


def seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])", text)
    assert found, text
    return float(found[1]) * SECONDS[found[2]]


def assert_right(name: str, values: Mapping[str, str]) -> None:
    """Every rule once more, written by hand and without the schema: the judge of what passed."""
    assert values["APP_ENV"] == name
    for key, allowed in WORDS.items():
        assert values[key] in allowed.split(), key
    for key, (least, most) in DURATIONS.items():
        assert least - 1e-9 <= seconds(values[key]) <= most + 1e-9, key
    for key, (low, high) in INTEGERS.items():
        assert re.fullmatch(r"[0-9]+", values[key]), key
        assert low <= int(values[key]) <= high, key
    for key in ("ERROR_RATE_THRESHOLD", "MEMORY_USAGE_THRESHOLD", "CPU_USAGE_THRESHOLD"):
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)?%", values[key]), key
        assert 0 <= float(values[key][:-1]) <= 100, key
        assert key == "ERROR_RATE_THRESHOLD" or float(values[key][:-1]) > 0, key
    size = re.fullmatch(r"([0-9]+)(B|KiB|MiB|GiB|TiB)", values["MEMORY_LIMIT"])
    assert size
    assert 2**26 <= int(size[1]) * 1024 ** ("B", "KiB", "MiB", "GiB", "TiB").index(size[2]) <= 2**40
    steps = [int(step) for step in values["CANARY_STEPS"].split(",")]
    assert 1 <= len(steps) <= 20
    assert steps == sorted(set(steps))
    assert steps[0] >= 1
    assert steps[-1] == 100
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,30}", values["PERF_SCENARIO"])
    origins = [origin.strip() for origin in values["CORS_ORIGINS"].split(",") if values["CORS_ORIGINS"]]
    assert len(origins) == len(set(origins))
    for origin in origins:
        assert origin == "*" or re.fullmatch(r"https?://[^\s/:@?#]+(:[0-9]{1,5})?", origin)
        assert name == "development" or (origin != "*" and origin.startswith("https://"))
    collector = values["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert not collector or re.fullmatch(r"https?://[^\s/:@?#]+(:[0-9]{1,5})?(/\S*)?", collector)
    assert re.fullmatch(r"[!-~]{16,512}", values["API_KEY"]) or (
        name == "development" and values["API_KEY"] == ""
    )
    assert re.match(r"postgresql(\+[a-z]+)?://\S|sqlite(\+aiosqlite)?:///.", values["DATABASE_URL"])
    assert values["REDIS_URL"] == "" or re.match(r"(rediss?|unix)://\S", values["REDIS_URL"])
    assert values["DEPLOY_HOST"] == "" or re.fullmatch(
        r"ssh://[A-Za-z_][\w.-]*@[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", values["DEPLOY_HOST"]
    )
    assert name != "production" or (values["DEBUG"] == "false" and values["LOG_LEVEL"] != "debug")
    assert values["DEPLOY_TARGET"] == "local" or values["DATABASE_URL"].startswith("postgresql")
    assert seconds(values["REQUEST_TIMEOUT"]) <= seconds(values["SHUTDOWN_GRACE"])
    assert seconds(values["REQUEST_TIMEOUT"]) <= seconds(values["DRAIN_TIMEOUT"])
    assert seconds(values["HOOK_TIMEOUT"]) < seconds(values["LOCK_TTL"])


@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_mutated_files_are_refused_or_right(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    for key in ("API_KEY", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(key, raising=False)
    path = tmp_path / "x.env"
    passed = {mutate: 0, replace_values: 0}
    for _ in range(500):
        for change, count in passed.items():
            name = dice.choice(NAMES)
            text = change(TEXTS[name], dice)
            result = checked(name, text)
            for render in (as_text, as_json, as_github, as_table):
                assert "tallow-brine" not in render(result.findings)
            if result.findings:
                continue
            passed[change] = count + 1
            assert_right(name, result.values)
            path.write_bytes(text.encode())
            theirs = dotenv.dotenv_values(path, interpolate=False)
            assert set(theirs) <= set(SCHEMA.keys)
            assert {key: entry.text for key, entry in result.source.entries.items()} == theirs
    assert all(0 < count < 500 for count in passed.values())  # both outcomes were met


def test_the_judge_refuses_what_is_wrong() -> None:
    for name, text in TEXTS.items():
        assert_right(name, checked(name, text).values)
    good = checked("production", TEXTS["production"]).values
    for key, wrong in {
        "DEBUG": "true", "LOG_LEVEL": "debug", "CORS_ORIGINS": "*", "CACHE_TTL": "3600", "API_KEY": "",
        "CANARY_STEPS": "50,25,100", "REQUEST_TIMEOUT": "16s", "HOOK_TIMEOUT": "10m", "DATABASE_URL": "sqlite:///x",
    }.items():  # fmt: skip
        with pytest.raises(AssertionError):
            assert_right("production", {**good, key: wrong})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", SCHEMA.keys)
def test_each_line_may_stand_once_and_be_left_out_for_its_default(name: str, key: str) -> None:
    lines = TEXTS[name].splitlines(keepends=True)
    without = [line for line in lines if not line.startswith(f"{key}=")]
    assert len(without) == len(lines) - 1
    result = checked(name, "".join(without))
    default = SCHEMA.keys[key].default(name)
    if key in ("APP_ENV", "ENVIRONMENT_CLASS"):
        assert (result.findings, result.entries[key].text) == ([], name)
    elif default is None:
        assert [f.rule for f in result.findings] == ["missing-key"]
    else:
        assert (result.findings, result.entries[key].text) == ([], default[0])
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


def test_every_prefix_of_a_file_is_refused_or_right() -> None:
    text = TEXTS["production"]
    results = [checked("production", text[:end]) for end in range(0, len(text), 7)]
    for result in results:
        if not result.findings:
            assert_right("production", result.values)
    assert 0 < sum(not result.findings for result in results) < len(results) / 2


def test_the_files_themselves_pass() -> None:
    for texts in (SHORT, TEXTS):
        assert [checked(name, text).findings for name, text in texts.items()] == [[], [], []]
    assert [checked(name, SHORT[name]).values == checked(name, TEXTS[name]).values for name in NAMES] == [
        True
    ] * 3
