"""Planted secrets appear in no output of any command, and in no file but an export's."""

import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from kickoff.environment import load
from kickoff.errors import KickoffError
from tests.unit.environment.support import Loader, Project

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
)


def secret(dice: random.Random) -> str:
    text = "".join(dice.choice(string.ascii_letters + string.digits) for _ in range(28))
    return dice.choice(["", "", "ghp_", "sk_live_", "glpat-"]) + text


def leaked(text: str, planted: list[str]) -> list[str]:
    return [one for one in planted if one in text or one[6:20] in text]


@pytest.mark.parametrize("seed", range(4))
def test_secrets_from_outside_are_never_shown(
    seed: int, project: Project, loader: Loader, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    key, database, cache, broken = (secret(dice) for _ in range(4))
    planted = [key, database, cache, broken]
    held = tmp_path / "held"
    held.write_text(key + "\n", "utf-8")
    right = {
        "DATABASE_URL": f"postgresql+psycopg://app:{database}@db/app",
        "REDIS_URL": f"redis://:{cache}@cache",
    }
    wrong = {"DATABASE_URL": f"mysql://app:{database}@db", "REDIS_URL": cache, "API_KEY": f"{broken} {key}"}
    summary = tmp_path / "summary.md"
    for environ in (
        {"API_KEY": key, **right},
        {"API_KEY_FILE": str(held), **right, "GITHUB_STEP_SUMMARY": str(summary)},
        wrong,
        {**right, "API_KEY": key, "API_KEY_FILE": broken},
        {**right, "API_KEY_FILE": broken},
    ):
        for command in COMMANDS:
            outcome = loader(*command, environ=environ)
            assert outcome.code in (0, 2)
            assert leaked(outcome.out + outcome.err, planted) == []
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != held:
            assert leaked(path.read_text("utf-8"), planted) == []


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
            outcome = loader(*command, environ={"API_KEY": "tallow-brine-91-mostly"})
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
    environ = {"API_KEY": "tallow-brine-91-mostly"}
    outside = loader("export", "--env", "production", "--output", "out.env", environ=environ)
    inside = loader(
        "export", "--env", "production", "--output", "out.env", environ={**environ, "GITHUB_ACTIONS": "true"}
    )
    assert (outside.code, inside.code) == (0, 0)
    assert "tallow" not in outside.out + outside.err
    assert "::add-mask::tallow-brine-91-mostly\n" in inside.err
    assert inside.err.count("::add-mask::") == 1  # the default address of the database is no secret
    assert inside.out == ""
