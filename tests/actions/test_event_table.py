"""Which job of cd.yml runs for which event, and what it does when something fails: the table is data."""

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kickoff import service
from tests.actions.conftest import ROOT, Project

JOBS = (
    "pre-deployment-checks",
    "quality-gate",
    "build-and-push",
    "deploy-development",
    "deploy-staging",
    "deploy-production",
    "post-deployment",
    "deployment-summary",
)
OURS = {one.name: {"after": one.after} if one.after else {} for one in service.load(ROOT).environments}
RELEASED = [
    "env validate",
    "stage",
    "smoke candidate",
    "functional",
    "perf",
    "promote",
    "smoke live",
    "watch",
]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What it is about.
        results: ``JOBS`` in order: s(uccess), f(ailure), - (did not run).
        calls: What the deploy job called, in order.
        event: Name of the event.
        ref: Its ref.
        inputs: Inputs of a dispatch.
        faults: What fails; see the recorder.
        edits: Files of the project that are changed first.
        interrupt_at: The call during which the run is cancelled.
        default_branch: The repository's default branch.
        proved: Whose digest was proved for the commit: ``same``, ``other``, or nothing.
        environments: The declared environments; the usual three without any.
        prover: The environment that proved it.
    """

    name: str
    results: str
    calls: list[str] = field(default_factory=list)
    event: str = "push"
    ref: str = "refs/heads/main"
    inputs: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Any] = field(default_factory=dict)
    edits: dict[str, str] = field(default_factory=dict)
    interrupt_at: str = ""
    default_branch: str = "main"
    proved: str = ""
    environments: dict[str, Any] = field(default_factory=dict)
    prover: str = "staging"

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs whose results the row gives, in order."""
        deploys = tuple(f"deploy-{name}" for name in self.environments)
        return (*JOBS[:3], *deploys, *JOBS[-2:]) if deploys else JOBS


FOREIGN: dict[str, Any] = {
    "play": {},
    "test": {"branch": "HEAD"},
    "trial": {"tag": "rc-*", "after": "test"},
    "live": {"tag": "shop-v*", "after": "trial"},
}

TABLE = [
    # Every event.                     checks gate build dev stag prod post summary
    Row("push to main", "sss-s-ss", RELEASED),
    Row("tag", "sss--sss", RELEASED, ref="refs/tags/v1.2.3", proved="same"),
    Row(
        "tag of a commit of which staging proved another artefact",
        "ssf----f",
        ref="refs/tags/v1.2.3",
        proved="other",
    ),
    Row(
        "dispatch of production",
        "sss--sss",
        RELEASED,
        event="workflow_dispatch",
        inputs={"environment": "production"},
        proved="same",
    ),
    Row(
        "dispatch of a commit that staging never proved",
        "f------f",
        event="workflow_dispatch",
        inputs={"environment": "production"},
    ),
    Row(
        "dispatch of development",
        "ssss--ss",
        RELEASED,
        event="workflow_dispatch",
        inputs={"environment": "development"},
    ),
    Row(
        "dispatch of staging",
        "sss-s-ss",
        RELEASED,
        event="workflow_dispatch",
        inputs={"environment": "staging"},
    ),
    Row(
        "dispatch of production from a branch, unproven for a reason",
        "sss--sss",
        RELEASED,
        event="workflow_dispatch",
        ref="refs/heads/topic",
        inputs={"environment": "production", "unproven-reason": "staging is being rebuilt"},
    ),
    Row("push to a main that is not the default branch", "ss-----s", default_branch="trunk"),
    # Every failing job, and every failing step of a deploy job.
    Row(
        "dispatch of an unknown environment",
        "f------f",
        event="workflow_dispatch",
        inputs={"environment": "uat'; touch pwned; '"},
    ),
    Row(
        "invalid environment file",
        "f------f",
        faults={"env validate": {"exit": 2}},
    ),
    Row("failing quality gate", "sf-----f", edits={"app/main.py": ""}),
    Row("failing audit", "sf-----f", faults={"audit": {"exit": 1}}),
    Row("failing build", "ss-----f", edits={"kickoff.yml": "missing"}),
    Row(
        "stage fails before it has an attempt",
        "sss-f--f",
        RELEASED[:2],
        faults={"stage": {"exit": 75, "silent": True, "outputs": {"attempt": "", "changed": ""}}},
    ),
    Row(
        "stage fails",
        "sss-f--f",
        [*RELEASED[:2], "abort"],
        faults={"stage": {"exit": 1}},
    ),
    Row(
        "smoke test of the candidate fails",
        "sss-f--f",
        [*RELEASED[:3], "abort"],
        faults={"smoke candidate": {"exit": 1}},
    ),
    Row(
        "functional test of the candidate fails",
        "sss-f--f",
        [*RELEASED[:4], "abort"],
        faults={"functional": {"exit": 1}},
    ),
    Row(
        "performance baseline is inconclusive",
        "sss-f--f",
        [*RELEASED[:5], "abort"],
        faults={"perf": {"exit": 3}},
    ),
    Row(
        "promote fails",
        "sss-f--f",
        [*RELEASED[:6], "abort"],
        faults={"promote": {"exit": 5}},
    ),
    Row(
        "smoke test of the live release fails",
        "sss-f--f",
        [*RELEASED[:7], "rollback"],
        faults={"smoke live": {"exit": 1}},
    ),
    Row(
        "the watch takes the release back",
        "sss-f--f",
        RELEASED,
        faults={"watch": {"exit": 5}},
    ),
    Row(
        "exactly this release is live already",
        "sss-s-ss",
        [RELEASED[0], RELEASED[1], RELEASED[6]],
        faults={"stage": {"outputs": {"changed": False}}},
    ),
    # Green for having deployed nothing: never.
    Row(
        "promote leaves no evidence",
        "sss-s-ff",
        RELEASED,
        faults={"promote": {"silent": True}},
    ),
    # Cancelled.
    Row(
        "cancelled during stage",
        "sss-f--f",
        [*RELEASED[:2], "abort"],
        faults={"stage": {"sleep": 30}},
        interrupt_at="stage",
    ),
    Row(
        "cancelled during promote",
        "sss-f--f",
        [*RELEASED[:6], "abort"],
        faults={"promote": {"sleep": 30}},
        interrupt_at="promote",
    ),
    Row(
        "cancelled during the live smoke test",
        "sss-f--f",
        [*RELEASED[:7], "rollback"],
        faults={"smoke live": {"sleep": 30}},
        interrupt_at="smoke live",
    ),
    # Other names, another default branch, other tags.            checks gate build play test trial live post summary
    Row(
        "push to master",
        "sss-s--ss",
        RELEASED,
        ref="refs/heads/master",
        default_branch="master",
        environments=FOREIGN,
    ),
    Row(
        "tag that a pattern takes",
        "sss--s-ss",
        RELEASED,
        ref="refs/tags/rc-1",
        default_branch="master",
        environments=FOREIGN,
        proved="same",
        prover="test",
    ),
    Row(
        "tag of a commit that another environment proved",
        "f-------f",
        ref="refs/tags/shop-v1.2.3",
        default_branch="master",
        environments=FOREIGN,
        proved="same",
        prover="test",
    ),
    Row(
        "tag of a commit that was proved where it has to be",
        "sss---sss",
        RELEASED,
        ref="refs/tags/shop-v1.2.3",
        default_branch="master",
        environments=FOREIGN,
        proved="same",
        prover="trial",
    ),
    Row(
        "dispatch of an environment that nothing else reaches",
        "ssss---ss",
        RELEASED,
        event="workflow_dispatch",
        ref="refs/heads/topic",
        inputs={"environment": "play"},
        default_branch="master",
        environments=FOREIGN,
    ),
    Row(
        "dispatch of an environment that is only usual elsewhere",
        "f-------f",
        event="workflow_dispatch",
        inputs={"environment": "production"},
        default_branch="master",
        environments=FOREIGN,
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_event_table(row: Row, project: Project) -> None:
    for name, text in row.edits.items():
        path = project.root / name
        if text:
            project.write(name, path.read_text().replace("bundle:\n- app", "bundle:\n- missing"))
        else:
            path.unlink()
            project.write("app/other.py", "")
    if row.environments:
        project.declare(row.environments, row.default_branch)
    if row.edits or row.environments:
        project.commit()
    if row.proved:
        project.prove(project.digest() if row.proved == "same" else f"sha256:{'0' * 64}", row.prover)
    payload: dict[str, Any] = {"ref": row.ref, "repository": {"default_branch": row.default_branch}}
    if row.inputs:
        payload["inputs"] = row.inputs
    run = project.act("cd.yml", row.event, payload, faults=row.faults, interrupt_at=row.interrupt_at)

    shown = "".join({"success": "s", "failure": "f"}.get(run.jobs.get(job, ""), "-") for job in row.jobs)
    assert shown == row.results, run.log[-4000:]
    # Every machine's own platform comes before the whole; when it fails there is no whole.
    ahead = {"failing build": "failure"}.get(row.name, None if row.results[2] == "-" else "success")
    assert run.jobs.get("build-image") == ahead
    assert (run.status == 0) == ("f" not in row.results)
    deploys = [call["name"] for call in run.calls if call["job"].startswith("deploy-")]
    assert deploys == row.calls
    assert not list(project.root.rglob("pwned"))


@pytest.mark.parametrize("name", OURS)
def test_an_environment_of_this_repository_is_reached_by_a_dispatch(project: Project, name: str) -> None:
    project.declare(OURS)
    project.commit()
    project.prove(project.digest())
    payload = {"ref": "refs/heads/main", "inputs": {"environment": name}}
    run = project.act("cd.yml", "workflow_dispatch", payload)
    assert run.status == 0, run.log[-3000:]
    assert [job for job in run.jobs if job.startswith("deploy-")] == [f"deploy-{name}"]


def test_what_each_environment_proves_lets_the_next_one_go_on(project: Project) -> None:
    project.declare(FOREIGN, "master")
    commit = project.commit()
    for ref, prover in (
        ("refs/heads/master", "test"),
        ("refs/tags/rc-1", "trial"),
        ("refs/tags/shop-v1", ""),
    ):
        run = project.act("cd.yml", "push", {"ref": ref, "repository": {"default_branch": "master"}})
        assert run.status == 0, run.log[-3000:]
        proof = project.proofs_of(prover or "live").find(commit)
        assert (proof is not None) == bool(prover), "nobody demands the proof of the last one"


def test_the_image_is_built_on_every_runner_that_is_named(project: Project) -> None:
    runners = ("--var", 'IMAGE_RUNNERS=["ubuntu-24.04", "ubuntu-24.04-arm"]')
    run = project.act("cd.yml", more=(*runners, "--platform", "ubuntu-24.04-arm=-self-hosted"))
    assert run.status == 0, run.log[-3000:]
    assert run.log.count("Success - Main Build for this machine") == 2


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def tagged() -> dict[str, Any]:
    return {"ref": "refs/tags/v1.2.3", "repository": {"default_branch": "main"}}


def test_a_refusal_names_the_command_that_proves_the_commit(project: Project) -> None:
    commit = project.git("rev-parse", "HEAD").strip()
    run = project.act("cd.yml", "push", tagged())
    assert run.jobs["pre-deployment-checks"] == "failure"
    assert not [call for call in run.calls if call["job"].startswith("deploy-")]
    assert f"staging never proved {commit[:7]}, so production does not get it" in run.log
    assert f"kickoff release --env staging --commit {commit}" in run.log
    evidence = json.loads((project.evidence / "promotion.json").read_text())
    assert (evidence["verdict"], evidence["facts"]["exit_code"]) == ("fail", 1)


def test_production_ships_what_staging_has_proved_under_act(project: Project) -> None:
    assert project.act("cd.yml").status == 0  # a push to main: staging
    commit = project.git("rev-parse", "HEAD").strip()
    proof = project.proofs.find(commit)
    assert proof is not None
    run = project.act("cd.yml", "push", tagged())
    assert run.status == 0, run.log[-3000:]
    [staged] = [call["arguments"] for call in run.calls if call["name"] == "stage"]
    assert f"--artifact-digest={proof.digest}" in staged
    assert "--unproven-reason=" in staged


def test_a_reason_reaches_the_history_s_writer_and_nothing_else_reaches_the_shell(project: Project) -> None:
    reason = "staging's disk is full; $(touch pwned) \"`touch pwned`"
    urgent = "payments are down; $(touch pwned)"
    cost = "tracing, $(touch pwned), costs 15 %"
    inputs = {"environment": "production", "unproven-reason": reason, "freeze-reason": urgent}
    inputs["perf-allow-once"] = cost
    run = project.act("cd.yml", "workflow_dispatch", tagged() | {"inputs": inputs})
    assert run.status == 0, run.log[-3000:]
    [staged] = [call["arguments"] for call in run.calls if call["name"] == "stage"]
    assert f"--unproven-reason={reason}" in staged
    assert f"--freeze-reason={urgent}" in staged
    assert f"--perf-allow-once={cost}" in staged
    assert not list(project.root.rglob("pwned"))


def test_production_waits_for_the_staging_run_of_its_commit(project: Project) -> None:
    commit, digest = project.git("rev-parse", "HEAD").strip(), project.digest()
    began, waited = threading.Event(), f"waiting for staging's proof of {commit[:7]}"

    def staging() -> None:
        with project.proofs.claim(commit, "somebody", "staging run 7"):
            began.set()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and waited not in read(project.log):
                time.sleep(0.1)
            project.prove(digest)

    thread = threading.Thread(target=staging)
    thread.start()
    began.wait()
    try:
        run = project.act("cd.yml", "push", tagged())
    finally:
        thread.join()
    assert run.status == 0, run.log[-3000:]
    assert waited in run.log
    assert "staging run 7 by somebody since" in run.log


def test_rollback_serves_the_named_release_and_tests_it(project: Project) -> None:
    inputs = {"environment": "production", "release": "abc1234-00000000"}
    payload = {"ref": "refs/heads/main", "inputs": inputs}
    run = project.act("rollback.yml", "workflow_dispatch", payload)
    assert run.jobs == {"rollback": "success", "rollback-summary": "success"}, run.log[-3000:]
    assert [call["name"] for call in run.calls if call["job"] != "rollback"] == ["report"]
    assert [[call["name"], *call["arguments"]] for call in run.calls if call["job"] == "rollback"] == [
        [
            *("rollback", "--env=production", "--to=abc1234-00000000"),
            *("--failed=", "--reason=", "--unproven-reason="),
        ],
        ["smoke live", "--env=production", "--phase=live"],
    ]


def test_secrets_reach_the_deploy_steps_and_no_other_job(project: Project) -> None:
    more = ("--secret", "API_KEY=a-secret-for-the-service")
    run = project.act("cd.yml", more=more)
    assert run.status == 0, run.log[-3000:]
    given = {(call["job"], call["api_key"]) for call in run.calls}
    assert given == {
        ("pre-deployment-checks", ""),
        ("quality-gate", ""),
        ("deploy-staging", "a-secret-for-the-service"),
        ("deployment-summary", ""),
    }
    assert "a-secret-for-the-service" not in run.log
