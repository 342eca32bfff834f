"""Pull requests that want secrets or a host. None gets one, though a fork's would not even be given any.

What GitHub itself refuses cannot be tried here: docs/how-to/supply-chain.md names each of its rules.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff import judging, service
from kickoff.judging import Change
from kickoff.project import workflows
from tests.actions.conftest import ROOT, SERVICE, Project

LOOT = {
    "API_KEY": "key-of-the-service-81f3",
    "DEPLOY_SSH_KEY": "key-of-the-host-c27d",
    "GITHUB_TOKEN": "token-of-the-run-5b90",
}
INJECTION = "\"; touch pwned; $(touch pwned) `touch pwned` '; touch pwned; ' ${{ secrets.API_KEY }}"
# Takes what it finds in its environment and in those of everything that has started it, and tries to speak for the run.
SPY = """import os, pathlib
found = [repr(dict(os.environ))]
process = os.getpid()
while process > 1:
    try:
        found.append(repr(pathlib.Path(f"/proc/{process}/environ").read_bytes()))
        process = int(pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        break
for config in ("config", "credentials"):
    for place in (pathlib.Path(".git"), pathlib.Path.home() / ".git", pathlib.Path.home()):
        if (place / config).is_file():
            found.append((place / config).read_text())
pathlib.Path(LOOT).write_text("\\n".join(found))
print("::add-mask::success")
print("::set-output name=verdict::pass")
for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"):
    if name in os.environ:
        pathlib.Path(os.environ[name]).open("a").write("pwned=true\\n")
"""


@pytest.fixture
def project(project: Project) -> Project:
    """The project with the workflow that its pull requests run."""
    rendered = workflows.render(
        environments=service.load(project.root).environments,
        default_branch="main",
        actions="./actions",
        version="",
        also=("ci.yml",),
    )
    [ci] = [text for path, text in rendered.items() if path.endswith("/ci.yml")]
    project.write(".github/workflows/ci.yml", ci)
    project.commit()
    return project


def opened(project: Project, **more: Any) -> dict[str, Any]:
    """The event of a fork's pull request whose every text is an attack."""
    base = project.git("rev-list", "--max-parents=0", "HEAD").strip()
    head = {"ref": INJECTION, "sha": "HEAD", "repo": {"full_name": "mallory/shop", "fork": True}}
    pull = {
        "number": 1,
        "title": INJECTION,
        "body": INJECTION,
        "head": head,
        "base": {"ref": "main", "sha": base},
    }
    return {
        "action": "opened",
        "number": 1,
        "pull_request": pull | more,
        "repository": {"default_branch": "main"},
    }


def with_secrets(folder: Path) -> tuple[str, ...]:
    """Act's options for a run that is given every secret, as that of a branch of the repository's own is."""
    file = folder / "secrets"
    file.write_text("".join(f"{name}={value}\n" for name, value in LOOT.items()), encoding="utf-8")
    return ("--secret-file", str(file))


GATES = {
    "a command of the gate": {"name": "spy", "run": [sys.executable, "spy.py"]},
    "a conftest": {"name": "tests", "run": [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]},
}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES.keys())
def test_code_of_a_pull_request_finds_no_secret_even_where_the_run_has_them(
    gate: Mapping[str, Any], project: Project, tmp_path: Path
) -> None:
    loot = tmp_path / "loot"
    spy = SPY.replace("LOOT", repr(str(loot)))
    project.write("kickoff.yml", yaml.safe_dump(SERVICE | {"quality_gate": [gate]}))
    project.write("spy.py", spy)
    project.write("conftest.py", spy)
    project.write("test_nothing.py", "def test_nothing() -> None:\n    pass\n")
    project.commit()
    run = project.act("ci.yml", "pull_request", opened(project), more=with_secrets(tmp_path))
    assert run.jobs["quality-gate"] == "success", run.log[-3000:]
    taken = loot.read_text(encoding="utf-8")
    assert "PATH" in taken and taken.count("\n") >= 3, "the spy ran, and looked at what had started it"
    assert [name for name, value in LOOT.items() if value in taken] == []
    assert not list(project.root.rglob("pwned")) and "pwned=true" not in run.log


def test_the_spy_finds_a_secret_that_a_step_is_given(project: Project, tmp_path: Path) -> None:
    loot = tmp_path / "loot"
    project.write("kickoff.yml", yaml.safe_dump(SERVICE | {"quality_gate": [GATES["a command of the gate"]]}))
    project.write("spy.py", SPY.replace("LOOT", repr(str(loot))))
    path = project.root / ".github" / "workflows" / "ci.yml"
    step = "        uses: ./actions/quality-gate\n"
    text = path.read_text(encoding="utf-8")
    assert text.count(step) == 1
    given = f"{step}        env:\n          API_KEY: ${{{{ secrets.API_KEY }}}}\n"
    path.write_text(text.replace(step, given), encoding="utf-8")
    project.commit()
    project.act("ci.yml", "pull_request", opened(project), more=with_secrets(tmp_path))
    assert LOOT["API_KEY"] in loot.read_text(encoding="utf-8"), "or its finding nothing says nothing"


def test_what_a_pull_request_demands_less_of_is_shown_and_deploys_nothing(project: Project) -> None:
    before = judging.of_project(project.root, "production")
    weaker = SERVICE | {
        "required_checks": [],
        "smoke": [{"name": "anything", "path": "/"}],
        "quality_gate": [{"name": "files", "run": ["true"]}],
        "supply_chain": {
            "vulnerabilities": [{"id": "GHSA-1", "reason": "trust me on this", "expires": "2099-12-31"}],
            "secrets": [{"path": "*", "rule": "private-key", "reason": "trust me on this"}],
        },
    }
    project.write("kickoff.yml", yaml.safe_dump(weaker))
    environment = project.root / "configs" / "environments" / "production.env"
    project.write(
        str(environment.relative_to(project.root)), environment.read_text("utf-8") + "BAKE_TIME=1s\n"
    )
    project.commit()
    run = project.act("ci.yml", "pull_request", opened(project))
    assert set(run.jobs) <= {"quality-gate", "change", "required"}, "a pull request has no job that deploys"
    assert {call["name"] for call in run.calls} <= {"env validate", "audit"}

    changes = {
        one.rule: one.change
        for one in judging.compare(before, judging.of_project(project.root, "production"))
    }
    for rule in (
        "check smoke-candidate",
        "check perf-baseline",
        "smoke health",
        "BAKE_TIME",
        "allowance for vulnerability GHSA-1",
        "allowance for secret private-key in *",
    ):
        assert changes[rule] is Change.WEAKER, rule
    assert changes["quality gate files"] is Change.OTHER


def test_a_pull_request_that_makes_itself_a_trigger_of_the_release_deploys_nothing(project: Project) -> None:
    path = project.root / ".github" / "workflows" / "cd.yml"
    text = path.read_text(encoding="utf-8")
    assert text.count("\non:\n") == 1
    path.write_text(text.replace("\non:\n", "\non:\n  pull_request:\n"), encoding="utf-8")
    project.commit()
    run = project.act("cd.yml", "pull_request", opened(project))
    assert not [job for job in run.jobs if job.startswith("deploy-") and job != "deployment-summary"], (
        run.jobs
    )
    assert not {call["name"] for call in run.calls} & {"stage", "promote", "rollback"}
    assert not list(project.root.rglob("pwned"))


def test_the_change_of_a_pull_request_is_audited_from_its_base(project: Project) -> None:
    payload = opened(project)
    base = payload["pull_request"]["base"]["sha"]
    project.restore("audit")
    project.write("new.py", 'token = "ghp_' + 'k7Qw2Zt9Lx4Vb8Nc3Mf6Hj1Rd5Sg0Pa9Ye2U"\n')
    project.commit()
    project.write("new.py", "")
    project.commit()
    run = project.act("ci.yml", "pull_request", payload)
    assert run.jobs["quality-gate"] == "failure", run.log[-3000:]
    found = json.loads((project.evidence / "secret-scan.json").read_text("utf-8"))
    assert found["inputs"]["base"] == base
    assert "new.py:1" in {one["rule"] for one in found["rules"] if one["verdict"] == "fail"}
    assert "k7Qw2Zt9Lx4Vb8Nc3Mf6" not in run.log + json.dumps(found)


def everywhere() -> Iterator[tuple[str, dict[Any, Any]]]:
    """Every workflow: those of this repository, and those that a foreign project gets."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        yield path.name, yaml.safe_load(path.read_text(encoding="utf-8"))
    rendered = workflows.render(
        environments=service.load(ROOT).environments,
        default_branch="main",
        actions=f"owner/kickoff/actions@{'0' * 40}",
        version="1.0.0",
        secrets={"API_KEY"},
        also=("ci.yml", "drift.yml"),
    )
    for name, text in rendered.items():
        yield f"rendered {Path(name).name}", yaml.safe_load(text)


WORKFLOWS = dict(everywhere())
# YAML 1.1 reads the key `on` as true.
TRIGGERS = {name: workflow[True] for name, workflow in WORKFLOWS.items()}
CALLS = "./.github/workflows/"
TRIGGERED = [name for name, events in TRIGGERS.items() if "pull_request" in events]
CALLED = [
    job["uses"].removeprefix(CALLS)
    for name in TRIGGERED
    for job in WORKFLOWS[name]["jobs"].values()
    if "uses" in job
]
OF_PULL_REQUESTS = [*TRIGGERED, *CALLED]


def test_no_workflow_runs_for_strangers_with_the_rights_of_the_repository() -> None:
    assert {"ci.yml", "rendered ci.yml"} <= set(OF_PULL_REQUESTS)
    for name, events in TRIGGERS.items():
        assert not {"pull_request_target", "workflow_run"} & set(events), name


@pytest.mark.parametrize("name", OF_PULL_REQUESTS)
def test_a_workflow_of_pull_requests_names_no_secret_no_environment_and_no_host(name: str) -> None:
    text = yaml.safe_dump(WORKFLOWS[name])
    assert "secrets." not in text and "DEPLOY_RUNNER" not in text and "self-hosted" not in text
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        if str(job.get("if", "")).startswith("${{ github.ref == 'refs/heads/main' && "):
            continue  # publishes the site; a pull request's ref is another one
        assert "environment" not in job
        if "uses" in job:
            assert job["uses"].removeprefix(CALLS) in OF_PULL_REQUESTS and "secrets" not in job
        else:
            assert job["runs-on"] == "ubuntu-24.04"
        # For a fork GitHub lowers a right to write to one to read.
        assert {right for right, level in job["permissions"].items() if level == "write"} <= {"pull-requests"}


@pytest.mark.parametrize("name", [name for name in WORKFLOWS if name not in OF_PULL_REQUESTS])
def test_what_reaches_a_host_starts_by_nothing_that_a_fork_can_do(name: str) -> None:
    reaches = "DEPLOY_RUNNER" in yaml.safe_dump(WORKFLOWS[name]) or "secrets." in yaml.safe_dump(
        WORKFLOWS[name]
    )
    ours = {"push", "workflow_dispatch", "workflow_call", "schedule"}
    assert not reaches or set(TRIGGERS[name]) <= ours
