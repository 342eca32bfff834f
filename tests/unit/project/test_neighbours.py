"""Several projects of one repository: each has its names, tags and ports, and none takes another's."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff import naming, service
from kickoff.cli import main
from kickoff.errors import KickoffError
from kickoff.pipeline import installed_actions
from kickoff.project import neighbours, rendering, workflows
from kickoff.project.answers import Answers
from tests.repository import Repository

SERVER = "serve('/healthz', os.environ['PORT'])\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path / "r", "master")
    for name in ("api", "web"):
        made.write(f"services/{name}/server.py", SERVER)
    monkeypatch.chdir(made.root)
    monkeypatch.setattr(main, "program", lambda: "kickoff")
    return made


def kickoff(repository: Repository, *words: str) -> int:
    """Run a verb as if it were typed at the repository's top."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository.root)
        return main.main(list(words))


def init(repository: Repository, name: str, *words: str) -> Path:
    assert kickoff(repository, "--project", f"services/{name}", "init", "--yes", *words) == 0
    return repository.root / "services" / name


def test_init_writes_a_project_into_its_folder_and_its_workflows_where_github_looks(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    api = init(repository, "api", "--env", "qa", "--env", "live")
    said = capsys.readouterr().out
    assert "next: git -C services/api add ../../.github/workflows/cd-api.yml" in said
    assert said.rstrip().endswith("kickoff --project services/api deploy")
    web = init(repository, "web")
    assert {path.name for path in (repository.root / ".github/workflows").iterdir()} == {
        f"{kind}-{name}.yml" for kind in ("cd", "ci", "promote", "rollback") for name in ("api", "web")
    }
    assert {path.name for path in api.iterdir()} == {
        ".gitignore", ".kickoff-project.json", "configs", "kickoff.yml", "server.py",
    }  # fmt: skip
    assert sorted(path.name for path in repository.root.iterdir()) == [".git", ".github", "services"]
    assert [one.tag for one in service.load(api).environments] == ["", "api-v*"]
    assert [one.tag for one in service.load(web).environments] == ["", "", "web-v*"]
    ports = [*neighbours.ports(api), *neighbours.ports(web)]
    assert len(ports) == len(set(ports)) == 5
    capsys.readouterr()
    for words in (["init"], ["upgrade"], ["upgrade", "--check"]):
        for name in ("api", "web"):
            assert kickoff(repository, "--project", f"services/{name}", *words, "--json") == 0
            assert json.loads(capsys.readouterr().out)["differs"] is False
    repository.commit()
    for name in ("api", "web"):
        assert kickoff(repository, "--project", f"services/{name}", "validate", "--json") == 0


def test_what_git_ignores_and_what_is_generated_stands_in_the_folder(repository: Repository) -> None:
    api = init(repository, "api")
    assert (api / ".gitignore").read_text() == "/.kickoff/\n"
    repository.commit()
    (api / ".kickoff").mkdir()
    (api / ".kickoff" / "x").touch()
    assert repository.git("status", "--porcelain") == ""


def test_a_renamed_project_gets_workflows_of_its_new_name(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    api = init(repository, "api")
    path = api / "kickoff.yml"
    path.write_text(path.read_text().replace("name: api", "name: shop"))
    capsys.readouterr()
    assert kickoff(repository, "--project", "services/api", "validate", "--json") == 2
    [missing] = [
        one for one in json.loads(capsys.readouterr().out)["findings"] if "is missing" in one["message"]
    ]
    assert missing["file"] == "../../.github/workflows/cd-shop.yml"
    assert kickoff(repository, "--project", "services/api", "upgrade") == 0
    said = capsys.readouterr().out
    assert "cd-shop.yml        added" in said and "cd-api.yml         no longer generated" in said


@pytest.mark.parametrize("other", ["services/web", "."])
def test_two_projects_with_one_name_are_refused(
    repository: Repository, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    init(repository, "api")
    repository.write(f"{other}/kickoff.yml", "name: api\nrun: python3 server.py\nhealth: /\n")
    capsys.readouterr()
    assert kickoff(repository, "--project", "services/api", "validate", "--json") == 2
    place = "kickoff.yml" if other == "." else "services/web/kickoff.yml"
    [found] = json.loads(capsys.readouterr().out)["findings"]
    assert found["message"].startswith(f"{place} has the name 'api', too")
    assert (found["file"], found["line"]) == ("kickoff.yml", 2)
    assert kickoff(repository, "--project", other, "init", "--yes") == 2
    assert "services/api/kickoff.yml has the name 'api', too" in capsys.readouterr().err
    with pytest.raises(KickoffError, match="has the name 'api'"):
        neighbours.require_own_name(repository.root / other, "api")


def test_an_environment_is_found_in_every_project_that_declares_it(repository: Repository) -> None:
    api, web = init(repository, "api"), init(repository, "web")
    assert [one.tag for one in neighbours.environments(api, "production")] == ["web-v*"]
    assert [one.tag for one in neighbours.environments(web, "production")] == ["api-v*"]
    assert neighbours.environments(api, "qa") == []


def test_a_neighbour_that_cannot_be_read_is_its_own_matter(repository: Repository) -> None:
    repository.write("services/web/kickoff.yml", "nothing: [\n")
    assert neighbours.named(init(repository, "api"), "api") == []


# --- workflows ----------------------------------------------------------------------------------------------


def rendered(folder: str = "services/api") -> dict[str, Any]:
    answers = Answers(name="api", run="x", environments={"qa": {"branch": "main"}}, actions="a/k@v1")
    files = rendering.render(answers, "1", folder=folder)
    return {path: text for path, text in files.items() if ".github" in path}


def test_each_action_that_looks_at_the_project_is_told_its_folder() -> None:
    steps = [
        step
        for text in rendered().values()
        for job in yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]
    ]
    assert len(steps) > 30
    for step in steps:
        name = step.get("uses", "").partition("/actions/")[2].partition("@")[0]
        if not name:
            continue
        action = yaml.safe_load((installed_actions.FOLDER / name / "action.yml").read_text())
        needs = "working-directory" in (action.get("inputs") or {})
        assert needs is (name not in workflows._ANYWHERE), name
        assert step.get("with", {}).get("working-directory") == ("services/api" if needs else None), name


@pytest.mark.parametrize("name", installed_actions.names())
def test_each_step_that_runs_a_command_runs_it_in_the_folder(name: str) -> None:
    action = yaml.safe_load((installed_actions.FOLDER / name / "action.yml").read_text())
    runs = [step for step in action["runs"]["steps"] if "src/kickoff" in step.get("run", "")]
    assert bool(runs) is (name not in workflows._ANYWHERE)
    for step in runs:
        assert step["working-directory"] == "${{ inputs.working-directory }}"
        assert action["inputs"]["working-directory"]["default"] == "."


def test_nothing_but_names_and_places_tells_the_workflows_of_a_project_from_those_of_the_top() -> None:
    files, top = rendered(), rendered(folder="")
    assert {naming.from_project(path, "services/api").replace(".yml", "-api.yml") for path in top} == set(
        files
    )
    text = files["../../.github/workflows/cd-api.yml"]
    cd = yaml.load(text, yaml.BaseLoader)
    assert cd["name"] == "cd-api" and cd["concurrency"]["group"].startswith("cd-api-${{")
    assert cd["on"]["push"] == {"branches": ["main"], "paths": ["services/api/**"]}
    kept = [
        step["with"]
        for job in cd["jobs"].values()
        for step in job["steps"]
        if "/actions/carry@" in step["uses"] or "/actions/remember@" in step["uses"]
    ]
    names = {given["name"] for given in kept} - {"${{ steps.prove.outputs.proof-name }}"}
    assert {name.split("-")[1] for name in names} == {"api"} and len(names) > 5
    paths = {given["path"] for given in kept} - {"${{ steps.prove.outputs.proof }}"}
    assert paths and all(path.startswith("services/api/.kickoff/") for path in paths)
    groups = [yaml.safe_load(text)["concurrency"]["group"] for text in files.values()]
    assert all("-api-${{" in group for group in groups) and len(set(groups)) == 3


def test_a_folder_that_cannot_stand_in_a_workflow_is_refused() -> None:
    with pytest.raises(KickoffError, match="cannot stand in a workflow"):
        rendered(folder="services/*")
