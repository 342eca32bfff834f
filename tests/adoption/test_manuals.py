"""The operations manual and troubleshooting, followed from the first block to the last, on production rehearsed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kickoff.release.targets.ports import free_port
from tests.adoption.conftest import Installed
from tests.adoption.foreign import REPOSITORY
from tests.adoption.test_tutorial import PAGE as TUTORIAL
from tests.adoption.test_tutorial import Reader
from tests.adoption.walkthrough import steps

PAGES = {"operations": 40, "troubleshooting": 30}
"""How many commands each page has at least."""
SERVER = next(step for step in steps(TUTORIAL) if step.name == "server.py")
SCHEMA = """{"properties": {"API_KEY": {
    "description": "Key that callers send.", "type": "string", "minLength": 16, "default": "${API_KEY}",
    "examples": ["${API_KEY}"], "x-across": "secret", "x-since": "0.1.0"}}}
"""
PREPARE = """
git init --quiet --initial-branch=main
git add --all
git commit --quiet --message 'Greet'
kickoff init --yes
printf 'smoke:\\n  - {name: greets, path: /, contains: Good}\\nload: none\\n' >> kickoff.yml
printf 'BAKE_TIME=1s\\n' >> configs/environments/staging.env
printf 'BAKE_TIME=1s\\nCANARY_HOLD=1s\\nCANARY_STEPS=50,100\\nWATCH_TIME=1s\\n' >> configs/environments/production.env
"""
SHIP = """
kickoff upgrade
git add --all
git commit --quiet --message 'Ship'
kickoff release --env staging
kickoff release --env production
"""


def page(name: str) -> str:
    return (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture
def operator(tmp_path: Path, installed: Installed) -> Iterator[Reader]:
    """Somebody whose production has two releases of one commit, and who has its key."""
    made = Reader(tmp_path, installed.programs)
    ports = {8100: free_port(), 8200: free_port()}
    made.give({"KICKOFF_TARGET": "local", "API_KEY": "an-old-key-of-twenty", "ENV": "production"}, ports)
    (made.here / "server.py").write_text(SERVER.text, encoding="utf-8")
    made.type(PREPARE)
    files = made.here / "configs" / "environments"
    (files / "schema.json").write_text(SCHEMA, encoding="utf-8")
    for name, port in zip(("staging", "production"), ports.values(), strict=True):
        file = files / f"{name}.env"
        lines = file.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith("PUBLIC_PORT=")]
        file.write_text("\n".join([*kept, f"PUBLIC_PORT={port}", ""]), encoding="utf-8")
    try:
        made.type(SHIP)
        made.type("API_KEY=another-key-of-twenty kickoff deploy --env production")
        yield made
    finally:
        for environment in ("staging", "production"):
            made.type(f"kickoff stop --env {environment}")


@pytest.mark.e2e
@pytest.mark.parametrize(("name", "least"), PAGES.items())
def test_a_manual_is_followed_to_its_end(name: str, least: int, operator: Reader) -> None:
    ran = 0
    for step in steps(page(name)):
        if step.kind == "run":
            operator.type(step.text)
            ran += len(commands(step.text))
    assert ran >= least


def commands(block: str) -> list[str]:
    """The commands of a block: its lines, but for what continues one."""
    return [line for line in block.splitlines() if re.match(r"[A-Z_]+=|[a-z][\w-]* [^=]|uptime$", line)]


@pytest.mark.parametrize(("name", "least"), PAGES.items())
def test_what_nobody_can_run_here_is_marked_and_the_rest_is_enough(name: str, least: int) -> None:
    blocks = list(steps(page(name)))
    assert {step.kind for step in blocks} == {"run"}
    programs = {line.split()[0] for step in blocks for line in commands(step.text)}
    assert not programs & {"gh", "docker", "git", "ssh", "sudo"}
    assert sum(len(commands(step.text)) for step in blocks) >= least
    assert len([line for line in page(name).splitlines() if line.strip().startswith("$ ")]) >= 3
