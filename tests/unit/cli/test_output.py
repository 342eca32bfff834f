"""What ``--json`` prints is one document of the schema in the package; ``--quiet`` and ``--verbose`` do as told."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kickoff import __version__, bootstrap
from kickoff.cli import main
from tests.repository import Repository
from tests.unit.cli.test_command_line import LEAVES

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads(files("kickoff.cli").joinpath("output.schema.json").read_text("utf-8"))["$defs"]
SECRETS = {
    "API_KEY": "tallow-brine-91-mostly",
    "DATABASE_URL": "postgresql+psycopg://football:quarry-lantern-17@db.internal/football",
}
DIGEST = f"sha256:{0:064}"
OUTCOME = {"build-and-push": {"result": "success"}}


def check(verb: str, text: str) -> Any:
    """Return the one document, which must keep the verb's schema."""
    document = json.loads(text)
    Draft202012Validator(SCHEMA[verb]).validate(document)
    return document


def test_every_verb_has_a_schema_and_every_schema_a_verb() -> None:
    verbs = {one.prog.removeprefix("kickoff ") for one in LEAVES} - {"completion"}
    assert set(SCHEMA) == verbs
    for schema in SCHEMA.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("env validate", []),
        ("env load", ["--env=staging"]),
        ("env export", ["--env=development"]),
        ("env diff", ["staging", "production"]),
        ("env explain", ["LOG_LEVEL"]),
        ("env hash", ["--env=staging"]),
        ("env template", ["--env=qa"]),
        ("env secrets", ["--env=staging"]),
        ("env docs", ["--check"]),
        ("stack plan", ["--env=development"]),
        ("doctor", []),
        (
            "workflow plan",
            ["--event=workflow_dispatch", "--ref=refs/heads/main", "--input=environment=staging"],
        ),
        ("workflow change", ["--base=HEAD"]),
        ("build", []),
        ("proof compare", ["--env=production", f"--built={DIGEST}", f"--proved={DIGEST}", "--commit=abc"]),
        ("report", [f"--jobs={json.dumps(OUTCOME)}"]),
    ],
)
def test_a_result_is_one_document_of_its_schema(
    verb: str,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("KICKOFF_EVIDENCE_DIR", str(tmp_path / "evidence"))
    monkeypatch.setenv("KICKOFF_ARTIFACT_DIR", str(tmp_path / "artifacts"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    code = main.main([*verb.split(), *options, "--json"])
    captured = capsys.readouterr()
    assert code == (3 if verb == "report" else 0), captured.err
    check(verb, captured.out)


def test_an_error_prints_no_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main.main(["env", "load", "--env", "nowhere", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")


def test_verbose_tells_where_it_runs_and_quiet_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    export = ["env", "export", "--env=development", f"--output={tmp_path / 'x'}"]
    assert main.main([*export, "--verbose"]) == 0
    said = capsys.readouterr().err
    assert "on this machine" in said and "exit code 0" in said and "wrote " in said
    assert main.main([*export, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_version_stands_in_one_place_that_the_build_reads() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"] == {"path": "src/kickoff/__init__.py"}
    assert main.version() == __version__


def test_a_checkout_adds_its_commit_to_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        with pytest.raises(SystemExit):
            main.main(["--version"])
        return capsys.readouterr().out

    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path / "checkout"))
    repository = Repository(tmp_path / "checkout")
    assert said() == f"kickoff {__version__}\n", "without a commit"
    repository.write("file", "one")
    commit = repository.commit()[:7]
    assert said() == f"kickoff {__version__}+{commit}\n"
    repository.git("tag", "v9.9.9")
    repository.write("file", "two")
    assert said() == f"kickoff {__version__}+{commit}.dirty\n"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert said() == f"kickoff {__version__}\n", "without git"
    monkeypatch.setattr(bootstrap, "IN_CHECKOUT", False)
    assert said() == f"kickoff {__version__}\n", "installed"


def test_the_dependencies_of_the_wheel_are_those_of_the_locks() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")

    def first_level(name: str) -> set[str]:
        lines = (ROOT / "requirements" / f"{name}.in").read_text("utf-8").splitlines()
        return {line for line in lines if line and not line.startswith(("#", "-r"))}

    def declared(start: str, end: str) -> set[str]:
        part = text.split(start)[1].split(end)[0]
        return {word.strip(' ",').split(">=")[0] for word in part.replace(",", ",\n").splitlines()} - {""}

    assert declared("dependencies = [\n", "]") == first_level("pipeline")
    assert declared("performance = [", "]") == first_level("performance")
    assert declared("audit = [", "]") == first_level("audit")
    assert declared("notify = [", "]") == first_level("notify")


def test_the_wheel_is_built_by_the_build_system_that_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    [required] = project["build-system"]["requires"]
    assert f"{required} \\\n" in (ROOT / "requirements" / "build.txt").read_text("utf-8")
