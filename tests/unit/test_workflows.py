"""Contracts of the workflows and actions, read from their YAML."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff import naming
from kickoff import service as services
from kickoff.artifact.github_ledger import PREDICATE
from kickoff.cli.verbs import VERBS
from kickoff.environment.secret_source import BESIDE_SCHEMA
from kickoff.stack import every_key

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PUBLISHED = sorted((ROOT / "actions").glob("*/action.yml"))
LOCAL = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
GITHUB_ONLY = (
    "./.github/actions/attest-files",
    "./.github/actions/publish-pages",
    "./.github/actions/python",
    "./actions/attest",
    "./actions/attest-image",
    "./actions/carry",
    "./actions/remember",
)
"""What wraps actions that run on GitHub alone: act fetches what it uses only when it is called."""
ON_GITHUB = tuple(f"{name.removeprefix('./')}/action.yml" for name in GITHUB_ONLY)
ENVIRONMENTS = [one.name for one in services.load(ROOT).environments]
DEPLOYS = [f"deploy-{name}" for name in ENVIRONMENTS]
PINS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/cache": ("55cc8345863c7cc4c66a329aec7e433d2d1c52a9", "v6.1.0"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/upload-artifact": ("043fb46d1a93c77aae656e7c1c64a875d1fc6a0a", "v7.0.1"),
    "actions/deploy-pages": ("cd2ce8fcbc39b97be8ca5fce6e763baed58fa128", "v5.0.0"),
    "actions/attest": ("1e69f48acb82d1966a394da916b4c1698aa569d6", "v4.2.2"),
}


@dataclass(frozen=True)
class Steps:
    """A list of steps and where it stands."""

    where: str
    steps: list[dict[str, Any]]
    document: dict[str, Any]


def load(path: Path) -> dict[str, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    # YAML 1.1 reads the key `on` as true.
    return {"on" if key is True else key: value for key, value in document.items()}


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield path.name, name, job


def all_steps() -> Iterator[Steps]:
    for path, name, job in jobs():
        yield Steps(f"{path}:{name}", job.get("steps", []), job)
    for definition in (*PUBLISHED, *LOCAL):
        action = load(definition)
        yield Steps(str(definition.relative_to(ROOT)), action["runs"]["steps"], action)


def texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry)
    elif isinstance(value, str):
        yield value


STEPS = list(all_steps())
CD = load(ROOT / ".github" / "workflows" / "cd.yml")


@pytest.mark.parametrize("listed", STEPS, ids=lambda listed: listed.where)
def test_no_expression_reaches_a_shell(listed: Steps) -> None:
    for step in listed.steps:
        assert "${{" not in step.get("run", ""), f"{listed.where}: pass it through env:"
        assert "|| true" not in step.get("run", ""), f"{listed.where}: a failure must be seen"


@pytest.mark.parametrize("listed", STEPS, ids=lambda listed: listed.where)
def test_every_step_has_a_name_and_ids_are_unique(listed: Steps) -> None:
    assert all(step.get("name") for step in listed.steps)
    ids = [step["id"] for step in listed.steps if "id" in step]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("listed", STEPS, ids=lambda listed: listed.where)
def test_expressions_name_steps_and_outputs_that_exist(listed: Steps) -> None:
    known = {step["id"]: step for step in listed.steps if "id" in step}
    for text in texts(listed.document):
        for name, output in re.findall(r"steps\.([\w-]+)\.(?:outputs\.([\w-]+)|\w+)", text):
            assert name in known, f"{listed.where}: no step {name}"
            uses = known[name].get("uses", "")
            if output and uses.startswith("./"):
                assert output in load(ROOT / uses / "action.yml")["outputs"]


@pytest.mark.parametrize("listed", STEPS, ids=lambda listed: listed.where)
def test_local_actions_get_inputs_they_know_and_all_they_require(listed: Steps) -> None:
    for step in listed.steps:
        uses = step.get("uses", "")
        if uses.startswith("./"):
            inputs = load(ROOT / uses / "action.yml").get("inputs", {})
            given = set(step.get("with", {}))
            required = {name for name, entry in inputs.items() if entry.get("required")}
            assert required <= given <= set(inputs), f"{listed.where}: {step['name']}"


@pytest.mark.parametrize("listed", STEPS, ids=lambda listed: listed.where)
def test_only_known_actions_pinned_by_commit(listed: Steps) -> None:
    for step in listed.steps:
        uses = step.get("uses", "")
        if uses and not uses.startswith("./"):
            name, commit = uses.split("@")
            assert PINS[name][0] == commit


@pytest.mark.parametrize("path", [*WORKFLOWS, *PUBLISHED, *LOCAL], ids=lambda path: path.parent.name)
def test_every_pin_says_its_version(path: Path) -> None:
    for name, commit, version in re.findall(r"uses: ([^\s.]+)@(\w+)(?: # (\S+))?", path.read_text()):
        assert PINS[name] == (commit, version)


@pytest.mark.parametrize("listed", STEPS, ids=lambda listed: listed.where)
def test_act_never_clones_what_only_github_has(listed: Steps) -> None:
    for step in listed.steps:
        uses = step.get("uses", "")
        if uses in GITHUB_ONLY:
            assert "!env.ACT" in step["if"], f"{listed.where}: {step['name']}"
        elif uses and not uses.startswith("./") and listed.where not in ON_GITHUB:
            assert uses.startswith("actions/checkout@")


@pytest.mark.parametrize("listed", STEPS, ids=lambda listed: listed.where)
def test_checkouts_leave_no_token_behind(listed: Steps) -> None:
    for step in listed.steps:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_grant_nothing_by_default(path: Path) -> None:
    document = load(path)
    assert document["permissions"] == {}
    assert document["concurrency"]["group"]
    text = path.read_text()
    for line in re.findall(
        r"^ +(?:actions|attestations|checks|contents|id-token|issues|packages|pages|pull-requests|statuses): (?:read|write).*$",
        text,
        re.M,
    ):
        assert "#" in line, f"say why: {line.strip()}"


@pytest.mark.parametrize(("path", "name", "job"), list(jobs()), ids=lambda value: str(value)[:30])
def test_jobs_have_limits_and_permissions(path: str, name: str, job: dict[str, Any]) -> None:
    assert "permissions" in job
    if "uses" in job:  # a workflow of this repository, whose jobs have theirs
        assert job["uses"].removeprefix("./.github/workflows/") in {one.name for one in WORKFLOWS}
        return
    assert 0 < job["timeout-minutes"] <= 60
    assert "latest" not in job["runs-on"]


@pytest.mark.parametrize(("path", "name", "job"), list(jobs()), ids=lambda value: str(value)[:30])
def test_jobs_need_every_job_they_speak_of(path: str, name: str, job: dict[str, Any]) -> None:
    needs = job.get("needs", [])
    known = load(ROOT / ".github" / "workflows" / path)["jobs"]
    for text in texts(job):
        for other, output in re.findall(r"needs\.([a-z][\w-]*)\.(?:outputs\.([\w-]+)|result)", text):
            assert other in needs
            assert not output or output in known[other]["outputs"]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_actions_keep_the_conventions(path: Path) -> None:
    action = load(path)
    inputs = action.get("inputs", {})
    order = sorted(inputs, key=lambda name: (not inputs[name]["required"], name))
    assert list(inputs) == order, "required first, then alphabetical"
    outputs = action.get("outputs", {})
    assert list(outputs) == sorted(outputs)
    for name, entry in inputs.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert "Format: " in entry["description"] or "Default: " in entry["description"]
        assert entry["required"] or isinstance(entry["default"], str)
        assert f"inputs.{name} " in path.read_text()
    for step in action["runs"]["steps"]:
        assert step.get("shell", "bash") == "bash"
        assert not step.get("uses", "").startswith("."), "it would be looked up in the caller's workspace"


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_actions_call_the_kickoff_beside_themselves(path: Path) -> None:
    called = re.findall(r"python3 (\S+) (\S+)", path.read_text())
    wraps = f"actions/{path.parent.name}/action.yml" in ON_GITHUB
    assert bool(called) is not wraps
    assert {program for program, _ in called} <= {'"$GITHUB_ACTION_PATH/../../src/kickoff"'}
    assert {verb for _, verb in called} <= {*VERBS, '"$PHASE"'}
    assert (path.parent / "../../src/kickoff/__main__.py").is_file()


@pytest.mark.parametrize(
    "command",
    [
        ["actionlint", *map(str, WORKFLOWS)],
        ["zizmor", "--offline", "--quiet", "--persona", "pedantic", ".github", "actions"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS)],
        ["check-jsonschema", "--builtin-schema", "vendor.github-actions", *map(str, [*PUBLISHED, *LOCAL])],
    ],
    ids=["actionlint", "zizmor", "workflow schema", "action schema"],
)
def test_linters_are_satisfied(command: list[str]) -> None:
    program = shutil.which(command[0], path=f"{sys.prefix}/bin{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip(f"{command[0]} is missing: it comes with requirements/dev.txt")
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_jobs_have_the_names_of_the_design() -> None:
    assert list(CD["jobs"]) == [
        "pre-deployment-checks",
        "quality-gate",
        "build-image",
        "build-and-push",
        *DEPLOYS,
        "post-deployment",
        "deployment-summary",
    ]
    assert {"deploy-development", "deploy-staging", "deploy-production"} <= set(DEPLOYS)
    assert all(job["name"] == name for name, job in CD["jobs"].items())


def test_the_triggers_are_those_of_the_design() -> None:
    triggers = CD["on"]
    assert triggers["push"] == {"branches": ["main"], "tags": ["v*"]}
    assert triggers["workflow_dispatch"]["inputs"]["environment"]["options"] == ENVIRONMENTS


def test_deploys_are_never_three_copies() -> None:
    text = (ROOT / ".github" / "workflows" / "cd.yml").read_text()
    assert text.count("phase: promote") == 1
    first = CD["jobs"][DEPLOYS[0]]
    for name in DEPLOYS:
        job = CD["jobs"][name]
        assert job["steps"] == first["steps"]
        environment = name.removeprefix("deploy-")
        assert job["env"] == {"ENVIRONMENT": environment}
        assert job["environment"]["name"] == environment
        assert f"'{environment}'" in job["if"]
        different = {"name", "if", "environment", "env"}
        assert {k: v for k, v in job.items() if k not in different} == {
            k: v for k, v in first.items() if k not in different
        }


def test_every_phase_of_a_release_is_a_step_of_its_own() -> None:
    steps = [step["name"] for step in CD["jobs"]["deploy-staging"]["steps"]]
    wanted = [
        "Deploy: stage",
        "Smoke test: candidate",
        "Performance baseline: candidate",
        "Deploy: promote",
        "Smoke test: live",
        "Deploy: roll back",
        "Deploy: abort",
        "Deploy: watch",
    ]
    assert [name for name in steps if name in wanted] == wanted


def test_the_service_alone_says_where_the_functional_test_runs() -> None:
    steps = load(ROOT / ".github" / "workflows" / "cd.yml")["jobs"]["deploy-staging"]["steps"]
    [step] = [step for step in steps if step.get("uses") == "./actions/functional-test"]
    assert "ENVIRONMENT" not in step["if"]
    service = services.load(ROOT)
    assert "functional-candidate" in service.checks_for("staging")
    assert "functional-candidate" not in service.checks_for("production")


def test_clean_up_runs_always() -> None:
    for step in CD["jobs"]["deploy-staging"]["steps"]:
        if step.get("with", {}).get("phase") in ("abort", "rollback"):
            assert step["if"].startswith("${{ always() && ")
            assert "failure()" not in step["if"]


def test_the_longest_wait_for_a_proof_fits_into_its_job() -> None:
    schema = json.loads((ROOT / "src/kickoff/environment/pipeline.schema.json").read_text())
    longest = schema["properties"]["PROMOTE_WAIT"]["maximum"] / 60
    assert longest + 10 <= CD["jobs"]["pre-deployment-checks"]["timeout-minutes"]


def test_the_proof_is_kept_under_the_name_it_is_looked_for() -> None:
    [step] = [step for step in CD["jobs"]["post-deployment"]["steps"] if step["name"] == "Keep the proof"]
    assert step["with"]["name"] == "${{ steps.prove.outputs.proof-name }}"
    assert [path.name for path in WORKFLOWS if path.name == naming.file("cd", "")] == ["cd.yml"]
    # A staging run in progress is recognised by its title.
    assert "format('{0} → {1}', inputs.release || github.ref_name, inputs.environment)" in CD["run-name"]


def test_the_engine_may_look_for_the_proof_and_the_proof_itself_is_signed() -> None:
    for name in ("pre-deployment-checks", "deploy-production"):
        granted = CD["jobs"][name]["permissions"]
        assert {key: granted[key] for key in ("actions", "attestations", "contents")} == {
            "actions": "read",
            "attestations": "read",
            "contents": "read",
        }
    [staging] = [
        step
        for step in CD["jobs"]["deploy-production"]["steps"]
        if step.get("with", {}).get("phase") == "stage"
    ]
    assert staging["with"]["github-token"] == "${{ !env.ACT && github.token || '' }}"
    steps = load(ROOT / "actions" / "attest" / "action.yml")["runs"]["steps"]
    assert steps[0]["env"]["LIST"] == steps[1]["with"]["subject-checksums"]
    assert steps[1]["with"]["predicate-type"] == PREDICATE


def test_what_is_signed_are_the_artefact_and_the_file_of_its_proof(tmp_path: Path) -> None:
    step = load(ROOT / "actions" / "attest" / "action.yml")["runs"]["steps"][0]
    (tmp_path / "proof.staging.json").write_text("{}", encoding="utf-8")
    given = {
        "DIGEST": f"sha256:{'1' * 64}",
        "NAME": "o/r",
        "PROOF": str(tmp_path / "proof.staging.json"),
        "LIST": str(tmp_path / "list"),
    }
    subprocess.run(["bash", "-e", "-c", step["run"]], env={"PATH": os.environ["PATH"], **given}, check=True)
    digest = hashlib.sha256(b"{}").hexdigest()
    assert (tmp_path / "list").read_text() == f"{'1' * 64}  o/r\n{digest}  proof.staging.json\n"


def test_deploys_to_one_environment_queue_whatever_their_ref() -> None:
    group = CD["concurrency"]["group"]
    assert CD["concurrency"]["cancel-in-progress"] is False
    assert group.startswith("cd-${{ inputs.environment || ")
    # A ref only chooses the name of an environment, and is never part of the group itself.
    assert set(re.findall(r"(?:&&|\|\|) '([a-z-]+)'", group)) <= {*ENVIRONMENTS, "checks"}
    assert re.fullmatch(
        r"cd-\$\{\{ inputs\.environment( \|\| \([^()]*(\([^()]*\))?[^()]*\))* \|\| 'checks' \}\}", group
    )
    rollback = load(ROOT / ".github" / "workflows" / "rollback.yml")
    assert rollback["concurrency"]["group"].startswith("rollback-")


def test_the_summary_waits_for_everything_and_always_runs() -> None:
    summary = CD["jobs"]["deployment-summary"]
    assert set(summary["needs"]) == set(CD["jobs"]) - {"deployment-summary"}
    assert summary["if"] == "${{ always() }}"
    assert all("always()" in step["if"] for step in summary["steps"])


def test_every_secret_enters_and_nothing_else() -> None:
    schema = json.loads((ROOT / "configs" / "environments" / "schema.json").read_text())
    keys = {name for name, entry in schema["properties"].items() if entry.get("x-across") == "secret"}
    expected = {
        name: f"${{{{ secrets.{name} }}}}" for name in sorted({*keys, *BESIDE_SCHEMA, *every_key(ROOT)})
    }
    expected["GHCR_TOKEN"] = "${{ !env.ACT && github.token || '' }}"
    for steps in (
        CD["jobs"]["deploy-staging"]["steps"],
        load(ROOT / ".github" / "workflows" / "rollback.yml")["jobs"]["rollback"]["steps"],
    ):
        given = [step["env"] for step in steps if "env" in step]
        assert given
        assert all(block == expected for block in given)


def test_secrets_enter_deploy_jobs_alone_and_those_of_the_registry_the_jobs_that_push() -> None:
    for path, name, job in jobs():
        named = {found for text in texts(job) for found in re.findall(r"secrets\.(\w+)", text)}
        pushes = named <= {"REGISTRY_PASSWORD", "REGISTRY_USERNAME"} and "packages" in job["permissions"]
        assert not named or pushes or "environment" in job, f"{path}:{name}"
        assert "env" not in job or not any("secrets." in text for text in texts(job["env"]))


def test_ci_requires_every_job() -> None:
    ci = load(ROOT / ".github" / "workflows" / "ci.yml")
    assert set(ci["jobs"]["required"]["needs"]) == set(ci["jobs"]) - {"required"}


def test_no_workflow_runs_a_strangers_code_with_our_token() -> None:
    templates = (ROOT / "src" / "kickoff" / "project" / "templates").glob("*.yml.j2")
    speaking = [path.name for path in (*WORKFLOWS, *templates) if "pull_request_target" in path.read_text()]
    assert speaking == []
    writing = [
        f"{path}:{name}"
        for path, name, job in jobs()
        if "pull_request" in load(ROOT / ".github" / "workflows" / path)["on"]
        and "write" in job.get("permissions", {}).values()
        and "github.ref == 'refs/heads/main'" not in job.get("if", "")
    ]
    assert writing == ["ci.yml:change"]


def test_a_release_of_the_product_is_no_deployment_and_the_other_way_round() -> None:
    release = load(ROOT / ".github" / "workflows" / "release.yml")
    assert release["on"] == {"push": {"tags": ["kickoff-v*.*.*"]}}
    for tag, product, deployed in (
        ("kickoff-v1.2.3", True, False),
        ("kickoff-v1", False, False),
        ("v1.2.3", False, True),
    ):
        assert any(fnmatch(tag, one) for one in release["on"]["push"]["tags"]) is product
        assert any(fnmatch(tag, one) for one in CD["on"]["push"]["tags"]) is deployed


def test_a_release_is_published_only_after_everything_else_and_by_that_job_alone() -> None:
    known = load(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert set(known["publish"]["needs"]) == set(known) - {"publish"}
    assert "if" not in known["publish"], "it would run after a failure"
    assert known["test"]["uses"] == "./.github/workflows/checks.yml"
    writing = [name for name, job in known.items() if job["permissions"].get("contents") == "write"]
    assert writing == ["publish"]
