"""Planted secrets appear in no output of any command, and in no file but an export's."""

import base64
import json
import os
import random
import string
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from urllib.parse import quote

import pytest

from kickoff.environment import load
from kickoff.environment.drift import Running, fingerprints
from kickoff.errors import KickoffError
from tests.unit.environment.support import GIVEN, ROOT, Loader, Project

COMMANDS = (
    ["validate"],
    ["validate", "--env", "production", "--with-secrets"],
    ["validate", "--env", "production", "--with-secrets", "--format", "json"],
    ["validate", "--env", "production", "--with-secrets", "--format", "github"],
    ["validate", "--env", "production", "--with-secrets", "--format", "markdown"],
    ["load", "--env", "production"],
    ["load", "--env", "production", "--format", "json"],
    ["diff", "staging", "production"],
    ["diff", "staging", "production", "--format", "json"],
    ["explain", "API_KEY"],
    ["explain", "PERF_SCENARIO"],
    ["hash", "--env", "production"],
    ["secrets", "--env", "production"],
    ["template", "--env", "qa"],
    ["drift", "--env", "production", "--evidence", "evidence"],
    ["drift", "--env", "production", "--without-secrets", "--format", "github"],
    ["validate", "--all", "--with-secrets", "--evidence", "evidence"],
)


EXPORTS = tuple(["export", "--env", "production", "--format", form] for form in ("dotenv", "compose", "json"))
EXTRA = [f"EXTRA_{letter}" for letter in string.ascii_uppercase[:25]]
ALPHABET = string.ascii_letters + string.digits


def secret(dice: random.Random) -> str:
    text = "".join(dice.choice(ALPHABET) for _ in range(28))
    return dice.choice(["", "", "ghp_", "sk_live_", "glpat-"]) + text


PRINTABLE = ["'", '"', "\\", "$", "${LOG_LEVEL}", "|", "%0A", "::error::", "<b>", "`"]
REFUSED = [" ", "\n", "é", "\t", "*" * 30]


def odd_secret(dice: random.Random, middles: list[str]) -> str:
    """A secret with what breaks quoting, masking and tables, or with what no secret may hold."""
    return f"{secret(dice)[-14:]}{dice.choice(middles)}{secret(dice)[-14:]}"


def forms(value: str) -> set[str]:
    """The secret, its halves, and what encoders make of it."""
    lines = value.splitlines()
    encoded = {quote(value, safe=""), base64.b64encode(value.encode()).decode(), json.dumps(value)[1:-1]}
    return {value, value[6:20], value[:14], value[-14:], *lines, *encoded}


def leaked(text: str, planted: list[str]) -> list[str]:
    return [one for value in planted for one in forms(value) if one in text]


def with_extra_secrets(project: Project) -> None:
    """Give the schema and production.env 25 more secrets, so that a thousand fit into few runs."""
    path = project.path("schema.json")
    schema = json.loads(path.read_text("utf-8"))
    rules = {**schema["properties"]["API_KEY"], "maxLength": 40, "default": "", "x-empty": True}
    schema["properties"] |= {key: {**rules, "examples": [f"${{{key}}}"]} for key in EXTRA}
    path.write_text(json.dumps(schema), "utf-8")
    file = project.path("production.env")
    file.write_text(file.read_text("utf-8") + "".join(f"{key}=${{{key}}}\n" for key in EXTRA), "utf-8")


def drifted(planted: dict[str, str]) -> Callable[[Path, str, bytes], Running]:
    """A target on which every second secret was changed, to another one that must not be shown either."""
    changed = {key: value[::-1] if index % 2 else value for index, (key, value) in enumerate(planted.items())}
    return lambda _root, _name, key: Running(
        release="abc1234-00000000",
        environment_hash="",
        variables={},
        places={"the record": fingerprints(planted, key), "the process": fingerprints(changed, key)},
        added=frozenset(),
        proxy={},
    )


@pytest.mark.parametrize("seed", range(36))
def test_a_thousand_secrets_from_outside_are_never_shown(
    seed: int, project: Project, loader: Loader, tmp_path: Path
) -> None:
    """36 runs with 28 secrets each: good ones, ones from files, refused ones, and sources that fail."""
    dice = random.Random(seed)
    with_extra_secrets(project)
    good = seed % 4 == 0
    values = {key: odd_secret(dice, PRINTABLE) for key in (*EXTRA, "API_KEY")}
    for key in dice.sample(EXTRA, 0 if good else 8):
        values[key] = odd_secret(dice, REFUSED)
    database, cache = secret(dice), secret(dice)
    planted = [*values.values(), database, cache]
    held = tmp_path / "held"
    held.mkdir()
    environ = {"DATABASE_URL": f"postgresql://app:{database}@db/app", "REDIS_URL": f"redis://:{cache}@c"}
    for key, value in values.items():
        if dice.random() < 0.3:
            (held / key).write_text(value + "\n", "utf-8")
            environ[f"{key}_FILE"] = str(held / key)
        else:
            environ[key] = value
    match seed % 4:
        case 1:  # wrong in form
            environ |= {"DATABASE_URL": f"mysql://a:{database}@db", "REDIS_URL": cache}
        case 2:  # given twice, and a secret where a path should be
            environ |= {"API_KEY": values["API_KEY"], "API_KEY_FILE": values["API_KEY"]}
        case 3:  # a file with secrets that nobody encrypted
            project.path("production.secrets.json").write_text(json.dumps(values), "utf-8")
    if seed % 2:
        environ |= {
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "GITHUB_ACTIONS": "true",
            "ACT": "true",
        }
    for command in COMMANDS:
        outcome = loader(*command, environ=environ, read_running=drifted(values))
        assert outcome.code in ((0, 1) if good else (0, 1, 2, 3)), (command, outcome.err)
        assert leaked(outcome.out + outcome.err, planted) == []
    for index, (command, target) in enumerate(product(EXPORTS, ("/dev/full", "none/here", "out"))):
        outcome = loader(*command, "--output", target.replace("out", f"out.{index}"), environ=environ)
        assert outcome.code == (0 if good and target == "out" else 2)
        messages = [line for line in outcome.err.splitlines() if not line.startswith("::add-mask::")]
        assert leaked("\n".join([outcome.out, *messages]), planted) == []
    written = [path for path in tmp_path.rglob("*") if path.is_file() and held not in path.parents]
    assert sum(path.name.startswith("out.") for path in written) == (len(EXPORTS) if good else 0)
    for path in written:
        if not path.name.startswith("out.") and path.name != "production.secrets.json":
            assert leaked(path.read_text("utf-8"), planted) == []


def test_the_script_itself_shows_no_secret(project: Project) -> None:
    dice = random.Random(0)
    with_extra_secrets(project)
    planted = {key: odd_secret(dice, REFUSED) for key in (*EXTRA, "API_KEY")}
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    for command in (COMMANDS[1], COMMANDS[5], ["export", "--env", "production", "--output", "/dev/full"]):
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "deploy" / "environment-loader.py"), *command],
            cwd=project.root,
            env=kept | planted,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert leaked(done.stdout + done.stderr, list(planted.values())) == []


PLACES: tuple[Callable[[Project, str], object], ...] = (
    lambda project, text: project.replace("production", "API_KEY", f"API_KEY={text}"),
    lambda project, text: project.replace("production", "API_KEY", f"API_KEY=${{API_KEY:-{text}}}"),
    lambda project, text: project.replace("production", "API_KEY", f"API_KEY='{text}"),
    lambda project, text: project.replace("production", "API_KEY", f'API_KEY="{text}" {text}'),
    lambda project, text: project.replace("production", "API_KEY", f"API_KEY={text}$"),
    lambda project, text: project.replace("production", "API_KEY", f'API_KEY="\\t{text}"'),
    lambda project, text: project.replace("production", "API_KEY", f"# {text}"),
    lambda project, text: project.replace("production", "API_KEY", text),
    lambda project, text: project.replace("production", "API_KEY", f"{text}="),
    lambda project, text: project.replace("production", "API_KEY", f"{text.upper()}=1"),
    lambda project, text: project.replace(
        "production", "DATABASE_URL", f"DATABASE_URL=postgresql://a:{text}@db/a"
    ),
    lambda project, text: project.replace(
        "production", "REDIS_URL", f"REDIS_URL=${{REDIS_URL:-redis://:{text}@c}}"
    ),
    lambda project, text: project.replace("production", "PERF_SCENARIO", f"PERF_SCENARIO={text}"),
    lambda project, text: project.replace("production", "PERF_SCENARIO", f"PERF_SCENARIO=${{{text}}}"),
    lambda project, text: project.replace("production", "STICKY_SESSIONS", f"STICKY_SESSIONS={text}"),
    lambda project, text: project.replace("production", "PUBLIC_PORT", f"PUBLIC_PORT={text}"),
    lambda project, text: project.replace("production", "APP_ENV", f"APP_ENV={text}"),
    lambda project, text: project.replace("production", "REQUEST_TIMEOUT", f"REQUEST_TIMEOUT={text}"),
)


@pytest.mark.parametrize("place", range(len(PLACES)))
def test_secrets_written_into_a_file_are_refused_and_never_shown(
    place: int, project: Project, loader: Loader
) -> None:
    dice = random.Random(place)
    path = project.path("production.env")
    good = path.read_text("utf-8")
    for first in [True] + [False] * 14:
        text = secret(dice)
        path.write_text(good, "utf-8")
        PLACES[place](project, text)
        upper = text.upper()
        for index, command in enumerate(COMMANDS[1:] if first else COMMANDS[1:2]):
            outcome = loader(*command, environ=GIVEN)
            assert outcome.code == 2 or index > 0
            assert leaked(outcome.out + outcome.err, [text, upper]) == []


def test_an_exception_and_a_text_form_hold_no_secret(project: Project) -> None:
    environ = {"API_KEY": "tallow-brine-91-mostly", "DATABASE_URL": "postgresql://app:tallow91@db/app"}
    environment = load("production", project.root, environ)
    assert environment.text("API_KEY") == environ["API_KEY"]
    assert "tallow" not in repr(environment) + str(environment.redacted()) + environment.hash
    with pytest.raises(KickoffError) as caught:
        environment.integer("API_KEY")
    assert "tallow" not in caught.value.render()
    with pytest.raises(KickoffError) as caught:
        load("production", project.root, {**environ, "DATABASE_URL": "mysql://tallow91"})
    assert "tallow" not in caught.value.render() + repr(caught.value.__dict__)
    assert caught.value.__cause__ is None


def test_masks_are_written_only_inside_a_workflow(project: Project, loader: Loader) -> None:
    environ = GIVEN
    outside = loader("export", "--env", "production", "--output", "out.env", environ=environ)
    inside = loader(
        "export", "--env", "production", "--output", "out.env", environ={**environ, "GITHUB_ACTIONS": "true"}
    )
    assert (outside.code, inside.code) == (0, 0)
    assert "tallow" not in outside.out + outside.err
    assert "::add-mask::tallow-brine-91-mostly\n" in inside.err
    assert inside.err.count("::add-mask::") == len(GIVEN)
    assert inside.out == ""
