"""Secrets in a file that the real sops encrypted."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from tests.unit.environment.support import FOLDER, GIVEN, Loader, Project, tool

FILE = str(FOLDER / "staging.secrets.json")
# Backslashes, quotes and a dollar sign are where encrypted dotenv files go wrong.
SECRET = 'tallow\\brine"91$mostly\\n'

Seal = Callable[[dict[str, str]], dict[str, str]]


@pytest.fixture
def seal(project: Project, tmp_path: Path) -> Seal:
    """Encrypts secrets of staging; returns the environment in which sops can decrypt them."""
    sops = tool("sops")
    if sops is None:
        pytest.skip("sops is missing: it comes with requirements/dev.txt")
    identity = pyrage.x25519.Identity.generate()
    key = tmp_path / "key"
    key.write_text(str(identity), "utf-8")

    def encrypt(secrets: dict[str, str]) -> dict[str, str]:
        path = project.root / FILE
        path.write_text(json.dumps(secrets), "utf-8")
        command = [str(sops), "encrypt", "--age", str(identity.to_public()), "--in-place", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        return {"SOPS_AGE_KEY_FILE": str(key)}

    return encrypt


def test_a_sealed_secret_is_read_back_unchanged(seal: Seal, project: Project, loader: Loader) -> None:
    database = GIVEN["DATABASE_URL"]
    environ = seal({"API_KEY": SECRET, "DATABASE_URL": database, "REDIS_URL": ""})
    assert SECRET not in (project.root / FILE).read_text("utf-8")
    assert loader("validate").code == 0
    assert "API_KEY" not in next(
        line for line in loader("validate").out.splitlines() if "staging" in line
    )  # nothing is needed any more
    values = json.loads(loader("export", "--env", "staging", "--format", "json", environ=environ).out)
    assert values["API_KEY"] == SECRET
    assert values["REDIS_URL"] == ""
    shown = loader("load", "--env", "staging", environ=environ)
    assert f"(secret, from {FILE})" in shown.out
    states = json.loads(loader("secrets", "--env", "staging", "--format", "json", environ=environ).out)
    assert {row["name"]: row["state"] for row in states} == {
        "API_KEY": f"set by {FILE}",
        "API_KEY_NEXT": "not set",
        "DATABASE_URL": f"set by {FILE}",
        "REDIS_URL": "not set",
    }


def test_the_process_environment_comes_first_and_needs_no_key(seal: Seal, loader: Loader) -> None:
    seal({"API_KEY": SECRET})
    mine = {**GIVEN, "API_KEY": "quarry-lantern-47-slowly"}
    values = json.loads(loader("export", "--env", "staging", "--format", "json", environ=mine).out)
    assert values["API_KEY"] == mine["API_KEY"]


@pytest.mark.parametrize("obstacle", ["no key", "no sops", "changed"])
def test_a_sealed_file_that_cannot_be_opened_is_an_error(
    obstacle: str, seal: Seal, project: Project, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = seal({"API_KEY": SECRET, "REDIS_URL": "redis://:quarry-lantern@c"})
    says = f"sops cannot decrypt {FILE}"
    if obstacle == "no key":
        environ = {"HOME": str(project.root)}
    if obstacle == "no sops":
        monkeypatch.setattr("kickoff.environment.sops.sys.executable", str(project.root / "python"))
        monkeypatch.setenv("PATH", str(project.root))
        says = f"sops is not installed, and {FILE} needs it"
    if obstacle == "changed":
        path = project.root / FILE
        document = json.loads(path.read_text("utf-8"))
        document["API_KEY"], document["REDIS_URL"] = document["REDIS_URL"], document["API_KEY"]
        path.write_text(json.dumps(document), "utf-8")
    outcome = loader("load", "--env", "staging", environ=environ)
    assert outcome.code == 2
    assert outcome.out == ""
    assert f"secret-source: API_KEY: {says}" in outcome.err
    assert "lantern" not in outcome.err
    assert loader("validate").code == 0  # the files alone need no key


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        ('{"API_KEY": "quarry-lantern-47-slowly"}', "the file is not encrypted by sops", "1:1"),
        ('{"sops": {},\n "API_KEY": "quarry-lantern-47-slowly"}', "API_KEY is not encrypted", "2:2"),
        ('{"sops": {},\n "API_KEY": {"quarry-lantern": 1}}', "API_KEY is not encrypted", "2:2"),
        ('{"sops": {}, "LOG_LEVEL": "ENC[quarry-lantern]"}', "LOG_LEVEL is no secret of the schema", "1:14"),
        ('{"sops": {}, "quarry-lantern": "ENC[1]"}', "a key is no secret of the schema", "1:14"),
        ("quarry-lantern", "the file is not JSON", "1:1"),
        ('["quarry-lantern"]', "the file is no JSON object", "1:1"),
        ("[" * 200_000, "the file is not JSON", "1:1"),
        (" " * 1_000_001, "the file is longer than a megabyte", "1:1"),
    ],
)
def test_a_file_that_is_not_sealed_is_refused(
    text: str, says: str, place: str, project: Project, loader: Loader
) -> None:
    (project.root / FILE).write_text(text, "utf-8")
    for arguments in (["--all"], ["--env", "staging"], ["--env", "staging", "--with-secrets"]):
        outcome = loader("validate", *arguments)
        assert outcome.code == 2
        assert f"{FILE}:{place}: sealed-file: {says}\n" in outcome.out
        assert "lantern" not in outcome.out + outcome.err
    assert loader("validate", "--env", "production").code == 0


def test_a_sealed_file_of_no_environment_is_reported(project: Project, loader: Loader) -> None:
    project.path("stagin.secrets.json").write_text("{}", "utf-8")
    assert "stagin.secrets.json:1:1: file-name" in loader("validate").out


def test_an_unreadable_sealed_file_is_reported(project: Project, loader: Loader) -> None:
    os.mkdir(project.root / FILE)  # noqa: PTH102 - a folder where the file should be
    assert "sealed-file: the file cannot be read: Is a directory" in loader("validate").out
