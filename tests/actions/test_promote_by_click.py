"""Promotion by one click: ``promote.yml`` through act, which ships what the environment before proved last."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kickoff.release.targets.ports import free_port
from tests.actions.conftest import Project, Run
from tests.adoption.foreign import Foreign

OTHER = f"sha256:{'0' * 64}"


def promote(project: Project, **inputs: str) -> Run:
    """Choose production in the Actions tab, on a main whose head nobody proved."""
    payload = {"ref": "refs/heads/main", "inputs": {"environment": "production", **inputs}}
    return project.act("promote.yml", "workflow_dispatch", payload)


def staged(run: Run) -> dict[str, Any]:
    [arguments] = [call["arguments"] for call in run.calls if call["name"] == "stage"]
    return dict(one.removeprefix("--").partition("=")[::2] for one in arguments)


def go_on(project: Project, name: str) -> str:
    """Commit something else; return the commit."""
    project.write("app/main.py", f"print({name!r})\n")
    return project.commit()


def test_what_staging_proved_last_goes_to_production_with_the_same_digest(project: Project) -> None:
    assert project.act("cd.yml").status == 0  # a push to main: staging
    proved = project.git("rev-parse", "HEAD").strip()
    proof = project.proofs.find(proved)
    assert proof is not None
    go_on(project, "nobody proved this")
    run = promote(project)
    assert run.status == 0, run.log[-4000:]
    assert f"staging proved {proved[:7]} last" in run.log
    assert (staged(run)["commit"], staged(run)["artifact-digest"]) == (proved, proof.digest)
    assert {name for name in run.jobs if name.startswith("deploy-")} == {"deploy-production"}
    assert json.loads((project.evidence / "plan.json").read_text())["deployments"] == ["production"]


def test_a_commit_that_is_named_goes_if_it_is_proved(project: Project) -> None:
    first = project.git("rev-parse", "HEAD").strip()
    project.prove(project.digest())
    second = go_on(project, "proved later")
    project.prove(project.digest())
    assert staged(promote(project, commit=first))["commit"] == first
    third = go_on(project, "nobody proved this")
    run = promote(project, commit=third[:10])
    assert run.status != 0
    assert f"staging never proved {third[:7]}" in run.log
    assert staged(promote(project))["commit"] in (first, second)


def test_nothing_proved_is_refused_with_the_command_that_proves(project: Project) -> None:
    run = promote(project)
    assert run.status != 0
    assert "staging has proved nothing, so there is nothing that production could get" in run.log
    assert "kickoff release --env staging" in run.log
    assert not [call for call in run.calls if call["name"] == "stage"]


def test_another_artefact_than_the_proved_one_is_refused(project: Project) -> None:
    project.prove(OTHER)
    run = promote(project)
    assert run.jobs["build-and-push"] == "failure"
    assert "production would get another artefact than staging proved" in run.log


@pytest.mark.parametrize(
    "commit",
    ["x'; touch pwned; '", "$(touch pwned)", "--output=pwned", "a\nb", "main..proved", '"`touch pwned`'],
)
def test_what_is_no_commit_is_refused_and_reaches_no_shell(project: Project, commit: str) -> None:
    project.prove(project.digest())
    run = promote(project, commit=commit)
    assert run.status != 0
    assert "is no tag, commit or release id" in run.log
    assert not [call for call in run.calls if call["name"] == "stage"]
    assert not list(project.root.rglob("pwned")) and not os.path.lexists("pwned")


def test_a_frozen_environment_takes_it_for_a_reason_only(project: Project) -> None:
    freeze = {"from": "2020-01-01 00:00", "until": "2999-01-01 00:00", "reason": "year's end"}
    project.declare({"staging": {"branch": "HEAD"}, "production": {"after": "staging", "freeze": [freeze]}})
    project.commit()
    project.prove(project.digest())
    run = promote(project)
    assert run.status != 0
    assert "production is frozen until" in run.log and "year's end" in run.log
    urgent = "payments are down; $(touch pwned)"
    assert staged(promote(project, **{"freeze-reason": urgent}))["freeze-reason"] == urgent
    assert not list(project.root.rglob("pwned"))


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Foreign]:
    """Somebody's repository, of which this machine keeps staging and production."""
    made = Foreign(tmp_path)
    made.variables["KICKOFF_PORT"] = ""  # each environment has its own
    made.kickoff("init", "--yes")
    made.write("kickoff.yml", (made.root / "kickoff.yml").read_text("utf-8") + "load: none\n")
    for name in ("staging", "production"):
        path = f"configs/environments/{name}.env"
        lines = (made.root / path).read_text("utf-8").splitlines()
        lines = [line for line in lines if not line.startswith("PUBLIC_PORT=")]
        quick = f"PUBLIC_PORT={free_port()}\nBAKE_TIME=1s\nRELEASE_STRATEGY=blue-green\nWATCH_TIME=0s\n"
        made.write(path, "\n".join([*lines, quick]))
    made.kickoff("upgrade")
    yield made
    for name in ("staging", "production"):
        if (tmp_path / "state" / "things" / name).is_dir():
            made.kickoff("stop", "--env", name)


@pytest.mark.e2e
def test_on_a_laptop_the_last_proved_commit_goes_on_unless_it_was_taken_back(laptop: Foreign) -> None:
    def promote(code: int = 0) -> str:
        words = ("deploy", "--env", "production", "--release", "proved", "--plain")
        return laptop.kickoff(*words, code=code, limit=240)

    first = laptop.commit("Ship with Kickoff")
    assert "staging has proved nothing" in promote(1)
    laptop.kickoff("release", "--env", "staging", limit=120)
    laptop.write("server.py", (laptop.root / "server.py").read_text("utf-8").replace("one", "two"))
    second = laptop.commit("Say two, which nobody proves yet")
    assert "✓ RELEASED" in promote()
    assert laptop.json("status", "--env", "production")["live"]["release"].startswith(first[:7])
    assert "UNCHANGED" in promote()
    laptop.kickoff("release", "--env", "staging", limit=120)
    laptop.kickoff("rollback", "--env", "staging", "--reason", "it says two")
    refused = promote(1)
    assert f"staging was rolled back after it had proved {second[:7]}" in refused
    assert "name the commit that is to be promoted" in refused
