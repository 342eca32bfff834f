"""``kickoff lint``: what it reads, the forms it answers in, its exit codes, and the linters beside it."""

import json
import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kickoff.cli import main
from kickoff.lint import linter

MASKED = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: npm test || true\n"
CLEAN = MASKED.replace(" || true", "")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one workflow, on a machine without other linters."""
    (tmp_path / "repository" / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("GITHUB_ACTIONS", "ACT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "repository")
    write("x.yml", CLEAN)
    return tmp_path / "repository"


def write(name: str, text: str) -> None:
    Path(".github", "workflows", name).write_text(text)


def stub(repository: Path, name: str, script: str) -> None:
    program = repository.parent / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.usefixtures("repository")
def test_nothing_found_ends_with_0_and_says_what_did_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["lint"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "read 1 file with kickoff (0)" in said.err and "not installed: zizmor, actionlint" in said.err


@pytest.mark.usefixtures("repository")
def test_a_finding_ends_with_1_and_names_file_line_rule_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.yml", MASKED)
    assert main.main(["lint"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(".github/workflows/x.yml:6:7: masked-failure: `npm test` may fail")
    assert second.startswith("    fix: ")


@pytest.mark.usefixtures("repository")
def test_json_keeps_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.yml", MASKED)
    assert main.main(["lint", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    schema = json.loads(files("kickoff.cli").joinpath("output.schema.json").read_text("utf-8"))
    Draft202012Validator(schema["$defs"]["lint"]).validate(document)
    assert [one["rule"] for one in document["findings"]] == ["masked-failure"]
    assert {one["state"] for one in document["tools"]} == {"not installed"}


@pytest.mark.usefixtures("repository")
def test_annotations_are_the_default_on_github_and_cannot_be_forged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a,b%.yml", MASKED.replace("npm test", "npm test -- 100%"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert main.main(["lint"]) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("::error file=.github/workflows/a%2Cb%25.yml,line=6,col=7,title=masked-failure::")
    assert "100%25" in line


@pytest.mark.usefixtures("repository")
def test_sarif_goes_into_a_file() -> None:
    write("x.yml", MASKED)
    assert main.main(["lint", "--format=sarif", "--output=lint.sarif"]) == 1
    document = json.loads(Path("lint.sarif").read_text())
    [run] = document["runs"]
    [result] = run["results"]
    assert document["version"] == "2.1.0" and run["tool"]["driver"]["name"] == "kickoff lint"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "masked-failure"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == ".github/workflows/x.yml"
    assert place["region"] == {"startLine": 6, "startColumn": 7}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobs:\n  a: [\n", "x.yml:3"),
        ("a: 1\n", "neither a workflow nor an action"),
        ("- 1\n", "neither a workflow nor an action"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_what_cannot_be_read_ends_with_2(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("x.yml", text)
    assert main.main(["lint"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("repository")
def test_nothing_to_read_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main.main(["lint", str(tmp_path / "empty")]) == 2
    assert main.main(["lint", "nosuch"]) == 2
    assert "nosuch does not exist" in capsys.readouterr().err


def test_scripts_that_steps_call_are_read_and_others_are_not(repository: Path) -> None:
    write("x.yml", CLEAN.replace("npm test", "bash scripts/one.sh"))
    (repository / "scripts").mkdir()
    (repository / "scripts" / "one.sh").write_text("#!/bin/bash\n./scripts/two\n./nowhere.sh\n")
    (repository / "scripts" / "two").write_text("#!/usr/bin/env bash\npytest || true\n")
    (repository / "scripts" / "three.sh").write_text("pytest || true\n")
    (repository / "node_modules" / "x").mkdir(parents=True)
    (repository / "node_modules" / "x" / "action.yml").write_text(MASKED)
    (repository / "mine").mkdir()
    (repository / "mine" / "action.yml").write_text(
        "runs:\n  using: composite\n  steps:\n    - run: pytest || true\n      shell: bash\n"
    )
    read = linter.lint([Path()])
    assert [str(one) for one in read.files] == [
        ".github/workflows/x.yml", "mine/action.yml", "scripts/one.sh", "scripts/two",
    ]  # fmt: skip
    assert [(one.file, one.line) for one in read.findings] == [("mine/action.yml", 4), ("scripts/two", 2)]
    assert [one.file for one in linter.lint([Path("scripts/three.sh")]).findings] == ["scripts/three.sh"]


ZIZMOR = [
    {
        "ident": "artipacked",
        "desc": "credentials stay",
        "url": "https://docs.zizmor.sh/audits/#artipacked",
        "ignored": False,
        "locations": [
            {
                "symbolic": {
                    "kind": "Primary",
                    "annotation": "here",
                    "key": {"Local": {"verbatim_path": "./.github/workflows/x.yml"}},
                },
                "concrete": {"location": {"start_point": {"row": 5, "column": 8}}},
            }
        ],
    }
]
ACTIONLINT = [
    {
        "message": "no such key",
        "filepath": ".github/workflows/x.yml",
        "line": 2,
        "column": 3,
        "kind": "syntax",
    }
]


def test_what_other_linters_find_counts(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cat = shutil.which("cat", path=os.defpath)
    for name, found, code in (("zizmor", ZIZMOR, 0), ("actionlint", ACTIONLINT, 1)):
        answer = repository.parent / f"{name}.json"
        answer.write_text(json.dumps(found))
        stub(repository, name, f"{cat} {answer}; exit {code}")
    assert main.main(["lint"]) == 1
    said = capsys.readouterr()
    assert ".github/workflows/x.yml:6:9: zizmor/artipacked: credentials stay: here" in said.out
    assert ".github/workflows/x.yml:2:3: actionlint/syntax: no such key" in said.out
    assert "kickoff (0), zizmor (1), actionlint (1)" in said.err


@pytest.mark.parametrize("script", ["echo boom >&2; exit 1", "exit 0", "echo '{}'", "kill -9 $$"])
def test_a_crash_of_another_linter_is_never_nothing_found(
    repository: Path, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(repository, "zizmor", script)
    write("x.yml", MASKED)
    assert main.main(["lint"]) == 3
    said = capsys.readouterr()
    assert "masked-failure" in said.out, "what was found all the same"
    assert "zizmor crashed, so what it would have found is not known" in said.err
