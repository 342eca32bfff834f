"""Workflow files made of environments: any names, any branch, and what this repository has is what is made."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from kickoff import service
from kickoff.environments import DEFAULT, DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.project import workflows

ROOT = Path(__file__).resolve().parents[2]
PINNED = f"someone/kickoff/actions@{'a' * 40}"
FOREIGN = (
    DeclaredEnvironment("play"),
    DeclaredEnvironment("test", branch="develop"),
    DeclaredEnvironment("trial", tag="rc-*", after="test"),
    DeclaredEnvironment("live", tag="shop-v*-final", after="trial"),
    DeclaredEnvironment("no", tag="shop-v*-end"),  # a word that YAML takes for something else
)
ONE = (DeclaredEnvironment("live", branch="HEAD"),)
BY_HAND = (DeclaredEnvironment("live"), DeclaredEnvironment("spare", after="live"))


def render(environments: tuple[DeclaredEnvironment, ...], **more: Any) -> dict[str, Any]:
    given = {
        "default_branch": "master",
        "actions": "./actions",
        "version": "",
        "also": ("ci.yml", "drift.yml"),
    }
    files = workflows.render(environments=environments, **(given | more))
    return {Path(name).name: yaml.load(text, yaml.BaseLoader) for name, text in files.items()}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("workflows_script", ROOT / "scripts/docs/workflows.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_repository_has_what_is_rendered_for_it(script: ModuleType) -> None:
    for name, text in script.rendered(ROOT).items():
        assert (ROOT / name).read_text("utf-8") == text, "run python3 scripts/docs/workflows.py"


def test_every_declared_environment_has_its_job_and_its_choice() -> None:
    names = [one.name for one in FOREIGN]
    files = render(FOREIGN)
    jobs = files["cd.yml"]["jobs"]
    assert [name for name in jobs if name.startswith("deploy-")] == [f"deploy-{name}" for name in names]
    for name in names:
        job, first = jobs[f"deploy-{name}"], jobs["deploy-play"]
        assert job["environment"]["name"] == job["env"]["ENVIRONMENT"] == name
        assert f"'{name}'" in job["if"]
        assert job["steps"] == first["steps"] and job["permissions"] == first["permissions"]
        assert f"deploy-{name}" in jobs["post-deployment"]["needs"]
        assert f"deploy-{name}" in jobs["deployment-summary"]["needs"]
    for file in ("cd.yml", "rollback.yml"):
        inputs = files[file]["on"]["workflow_dispatch"]["inputs"]
        assert inputs["environment"]["options"] == names
    assert "development" not in str(files) and "staging" not in str(files) and "production" not in str(files)


def test_pushes_are_those_of_the_environments() -> None:
    assert render(FOREIGN)["cd.yml"]["on"]["push"] == {
        "branches": ["develop"],
        "tags": ["rc-*", "shop-v*-final", "shop-v*-end"],
    }
    assert render(DEFAULT)["cd.yml"]["on"]["push"] == {"branches": ["master"], "tags": ["v*"]}
    assert render(ONE)["cd.yml"]["on"]["push"] == {"branches": ["master"]}
    assert list(render(BY_HAND)["cd.yml"]["on"]) == ["workflow_dispatch", "workflow_call"]


def test_what_comes_after_another_one_can_be_promoted_to_by_one_click() -> None:
    files = render(FOREIGN)
    promote, cd = files["promote.yml"], files["cd.yml"]
    assert list(promote["on"]) == ["workflow_dispatch"]
    inputs = promote["on"]["workflow_dispatch"]["inputs"]
    assert inputs["environment"]["options"] == ["trial", "live"]
    assert [name for name, one in inputs.items() if one["required"] == "true"] == ["environment"]
    [job] = promote["jobs"].values()
    assert job["uses"] == "./.github/workflows/cd.yml"
    assert set(job["with"]) == set(cd["on"]["workflow_call"]["inputs"])
    assert job["with"]["release"] == "${{ inputs.commit || 'proved' }}"
    assert "steps" not in job and job["secrets"] == "inherit"
    assert promote["concurrency"]["group"] != cd["concurrency"]["group"], "it would wait for itself"


def test_a_promotion_grants_what_the_called_jobs_ask_for_and_no_more() -> None:
    files = render(DEFAULT)
    assert files["promote.yml"]["jobs"]["promote"]["permissions"] == asked_for(files["cd.yml"])


COMMENTED = (DeclaredEnvironment("trial", branch="HEAD", comment_deploys=True), DeclaredEnvironment("live"))


def test_deploys_by_comment_have_a_workflow_that_calls_the_pipeline_for_what_was_judged() -> None:
    files = render(COMMENTED)
    commands, cd = files["commands.yml"], files["cd.yml"]
    assert commands["on"] == {"issue_comment": {"types": ["created"]}}
    judged, deploy, verdict = (commands["jobs"][name] for name in ("command", "deploy", "verdict"))
    assert "secrets" not in str(judged) and "secrets" not in str(verdict)
    checkouts = [step for job in (judged, verdict) for step in job["steps"] if "checkout" in step["uses"]]
    assert all("ref" not in step["with"] for step in checkouts), "only the default branch is checked out"
    assert deploy["uses"] == "./.github/workflows/cd.yml" and deploy["needs"] == ["command"]
    assert deploy["if"] == "${{ needs.command.outputs.environment != '' }}"
    assert deploy["with"]["release"] == "${{ needs.command.outputs.commit }}"
    assert set(deploy["with"]) <= set(cd["on"]["workflow_call"]["inputs"])
    assert deploy["permissions"] == asked_for(cd)
    assert commands["concurrency"]["group"] != cd["concurrency"]["group"], "it would wait for itself"


def test_without_deploys_by_comment_there_are_no_commands_and_a_folder_cannot_have_them() -> None:
    assert "commands.yml" not in render(DEFAULT)
    with pytest.raises(
        KickoffError, match="trial takes deploys by comment, and the project is in services/api"
    ):
        render(COMMENTED, folder="services/api", label="api")


def asked_for(cd: dict[str, Any]) -> dict[str, str]:
    """Return what the jobs of a workflow ask for together."""
    asked: dict[str, str] = {}
    for job in cd["jobs"].values():
        for name, level in job["permissions"].items():
            asked[name] = "write" if "write" in (level, asked.get(name)) else level
    return asked


def test_where_nothing_comes_after_another_one_there_is_no_promotion() -> None:
    files = render(ONE)
    assert "promote.yml" not in files
    assert "workflow_call" not in files["cd.yml"]["on"] and "or proved" not in str(files["cd.yml"]["on"])


def test_a_project_in_a_folder_calls_its_own_pipeline() -> None:
    promote = render(FOREIGN, folder="services/api", label="api")["promote-api.yml"]
    assert promote["name"] == "promote-api"
    assert promote["concurrency"]["group"] == "promote-api-${{ inputs.environment }}"
    assert promote["jobs"]["promote"]["uses"] == "./.github/workflows/cd-api.yml"


def test_deploys_queue_by_environment() -> None:
    assert render(FOREIGN)["cd.yml"]["concurrency"]["group"] == (
        "cd-${{ inputs.environment || (github.ref == 'refs/heads/develop' && 'test')"
        " || (startsWith(github.ref, 'refs/tags/shop-v') && endsWith(github.ref, '-final') && 'live')"
        " || (startsWith(github.ref, 'refs/tags/shop-v') && endsWith(github.ref, '-end') && 'no')"
        " || (startsWith(github.ref, 'refs/tags/rc-') && 'trial') || 'checks' }}"
    )


def test_the_look_each_morning_is_at_what_a_push_reaches() -> None:
    def watched(environments: tuple[DeclaredEnvironment, ...]) -> str:
        return str(render(environments)["drift.yml"]["jobs"]["target"]["strategy"]["matrix"]["environment"])

    assert '\'["test", "trial", "live", "no"]\'' in watched(FOREIGN)
    assert "'[\"live\"]'" in watched(BY_HAND)


def test_a_pull_request_gets_one_job_to_require_and_one_that_may_comment() -> None:
    ci = render(FOREIGN)["ci.yml"]
    assert list(ci["on"]) == ["pull_request"]
    assert set(ci["jobs"]["required"]["needs"]) == set(ci["jobs"]) - {"required"}
    assert ci["jobs"]["required"]["if"] == "${{ always() }}"
    writing = [name for name, job in ci["jobs"].items() if "write" in job["permissions"].values()]
    assert writing == ["change"]
    assert ci["jobs"]["change"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert ci["jobs"]["change"]["steps"][0]["with"]["fetch-depth"] == "0"


def test_a_project_in_a_folder_has_a_check_of_its_own_to_require() -> None:
    ci = render(FOREIGN, folder="services/api", label="api")["ci-api.yml"]
    assert ci["jobs"]["required"]["name"] == "required-api"
    assert ci["jobs"]["change"]["steps"][1]["with"]["working-directory"] == "services/api"


def test_the_deploy_jobs_hand_on_the_secrets_that_are_named() -> None:
    job = render(DEFAULT, secrets=("ZEBRA", "API_KEY"))["cd.yml"]["jobs"]["deploy-production"]
    given = [step["env"] for step in job["steps"] if "env" in step]
    assert given and all(list(one) == ["API_KEY", "GHCR_TOKEN", "ZEBRA"] for one in given)
    assert given[0]["ZEBRA"] == "${{ secrets.ZEBRA }}"


def test_addresses_of_people_enter_the_one_step_that_tells_them() -> None:
    for file, last in (("cd.yml", "deployment-summary"), ("rollback.yml", "rollback-summary")):
        jobs = render(DEFAULT, notify=("TEAM_CHAT", "ON_CALL", "TEAM_CHAT"))[file]["jobs"]
        given = [
            (name, step) for name, job in jobs.items() for step in job["steps"] if "ON_CALL" in str(step)
        ]
        [(job, step)] = given
        assert (job, step["name"], step["if"]) == (last, "Tell people", "${{ always() }}")
        assert step["env"] == {name: f"${{{{ secrets.{name} }}}}" for name in ("ON_CALL", "TEAM_CHAT")}
        assert "Tell people" not in str(render(DEFAULT)[file])


def test_actions_of_another_repository_are_pinned_and_say_their_version() -> None:
    text = workflows.render(environments=DEFAULT, default_branch="main", actions=PINNED, version="v1.2.3")[
        ".github/workflows/cd.yml"
    ]
    uses = [line.split("uses: ")[1] for line in text.splitlines() if "uses: " in line]
    assert f"someone/kickoff/actions/deploy@{'a' * 40} # v1.2.3" in uses
    assert not [one for one in uses if one.startswith("./")]
    assert text.startswith("# Generated by kickoff v1.2.3 from kickoff.yml: ")


@pytest.mark.parametrize(
    ("more", "name"),
    [({"default_branch": "it's"}, "it's"), ({"secrets": ["A }}"]}, "A }}"), ({"default_branch": ""}, "''")],
)
def test_what_would_end_an_expression_is_refused(more: dict[str, Any], name: str) -> None:
    with pytest.raises(KickoffError, match="cannot stand in a workflow") as error:
        render(DEFAULT, **more)
    assert error.value.code == 2 and name in str(error.value)


def test_what_is_not_asked_for_is_not_written() -> None:
    files = workflows.render(environments=ONE, default_branch="main", actions=PINNED, version="v1")
    assert [Path(name).name for name in files] == ["cd.yml", "rollback.yml"]
    assert "requirements:" not in "".join(files.values())


@pytest.mark.parametrize("environments", [FOREIGN, ONE, BY_HAND], ids=["many", "one", "by hand"])
def test_linters_accept_any_environments(
    environments: tuple[DeclaredEnvironment, ...], tmp_path: Path
) -> None:
    found = os.pathsep.join([f"{sys.prefix}/bin", os.environ.get("PATH", "")])
    for name, text in workflows.render(
        environments=environments,
        default_branch="master",
        actions=PINNED,
        version="v1.2.3",
        secrets=("API_KEY",),
        also=("ci.yml", "drift.yml"),
    ).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / ".github" / "zizmor.yml", tmp_path / ".github" / "zizmor.yml")
    files = [str(path) for path in sorted((tmp_path / ".github" / "workflows").glob("*.yml"))]
    for command in (
        ["zizmor", "--offline", "--quiet", "--persona", "pedantic", ".github"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files],
    ):
        program = shutil.which(command[0], path=found)
        if program is None:
            pytest.skip(f"{command[0]} is missing: it comes with requirements/dev.txt")
        done = subprocess.run(
            [program, *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_projects_own_description_declares_what_it_ships() -> None:
    assert {"development", "staging", "production"} <= {one.name for one in service.load(ROOT).environments}
