"""The README snippets of every action, executed as a team would: in a repository of its own, by act.

Nothing of this checkout is in that repository; its workflows say ``owner/kickoff/actions/NAME@kickoff-v0``.
"""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff.pipeline import installed_actions
from tests.actions.conftest import CHECKOUT, ROOT, act_command, read_log
from tests.actions.foreign import LOCUSTFILE, Foreign

pytestmark = pytest.mark.e2e
SNIPPETS = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
PUBLISHED = sorted(path.parent.name for path in (ROOT / "actions").glob("*/action.yml"))
ORDER = (
    "plan", "validate", "remember", "quality-gate", "build-push", "attest-image", "prepare",
    "deploy: Stage", "smoke-test", "functional-test", "perf-baseline", "deploy",
    "prove", "attest", "carry", "report", "notify",
)  # fmt: skip
"""Snippets of a job that ships to staging; the steps of ``deploy`` stand around those of the checks."""


@dataclass(frozen=True)
class Ended:
    """One run of act, and what it left behind."""

    status: int
    log: str
    outcome: dict[str, Any]


class Team(Foreign):
    """A foreign repository whose workflows act runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder, self._runs = folder, 0

    def act(self, workflow: str, ref: str = "refs/heads/main") -> Ended:
        """Run a workflow for a push to ``ref``."""
        self._runs += 1
        place = self._folder / f"run-{self._runs}"
        place.mkdir()
        variables = {
            "KICKOFF_STATE_ROOT": str(self.state),
            "KICKOFF_EVIDENCE_DIR": str(place / "evidence"),
            "KICKOFF_ARTIFACT_DIR": str(self._folder / "artifacts"),
            "KICKOFF_REPORT_DIR": str(place / "report"),
            "KICKOFF_VENV": sys.prefix,
        }
        command, env = act_command(place, workflow, "push", {"ref": ref}, variables)
        env["HOME"] = str(self._folder)
        text = (self.root / ".github" / "workflows" / workflow).read_text(encoding="utf-8")
        command += installed_actions.options(text, place)
        done = subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, text=True, timeout=280, check=False
        )
        _, log = read_log(done.stdout + done.stderr)
        outcome = place / "report" / "outcome.json"
        return Ended(done.returncode, log, json.loads(outcome.read_text()) if outcome.is_file() else {})

    def says(self, environment: str) -> Any:
        """Return what the service answers its users."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[environment]}/", timeout=10) as answer:
            return json.load(answer)["hello"]

    def close(self) -> None:
        """Stop everything that was deployed."""
        from kickoff.release.session import open_session

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KICKOFF_STATE_ROOT", str(self.state))
            patch.chdir(self.root)
            for name in self.ports:
                if (self.state / "things" / name).is_dir() or (self.state / name).is_dir():
                    open_session(name, self.root).target.shut_down()


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = Team(tmp_path)
    yield made
    made.close()


def blocks(action: str) -> list[Any]:
    """Return the snippets of an action's README, parsed."""
    text = (ROOT / "actions" / action / "README.md").read_text()
    return [yaml.safe_load(block) for block in SNIPPETS.findall(text)]


def steps(action: str) -> list[dict[str, Any]]:
    """Return the steps of an action's snippets; a whole workflow is none."""
    return [step for block in blocks(action) if isinstance(block, list) for step in block]


def by_hand(environment: str, order: tuple[str, ...] = ORDER) -> str:
    """Return a workflow that a team puts together from the snippets."""
    text, done = [{"uses": CHECKOUT, "with": {"persist-credentials": False}}], set()
    for part in order:
        name, _, only = part.partition(": ")
        for step in steps(name):
            if (not only or step["name"] == only) and step["name"] not in done:
                done.add(step["name"])
                text.append(step)
    job = {"runs-on": "ubuntu-24.04", "steps": text}
    workflow = yaml.safe_dump({"name": "ours", "on": "push", "jobs": {"ship": job}}, sort_keys=False)
    return workflow.replace("staging", environment)


def test_every_snippet_is_executed() -> None:
    used = {part.partition(":")[0] for part in ORDER} | {
        "audit",
        "change",
        "command",
        "lint",
        "release",
        "require-proof",
    }
    assert used == set(PUBLISHED)
    for name in PUBLISHED:
        assert steps(name), name


@pytest.fixture
def loaded(team: Team) -> Team:
    """A team that also demands the load test."""
    scenario = {
        "description": "One visitor",
        "users": 1,
        "duration": "5s",
        "target_rps": 20,
        "max_error_rate": "5%",
        "max_response_time": "2000ms",
        "mix": {"Visitor": 1},
        "shape": [{"until": "100%", "users": "100%"}],
    }
    known = yaml.safe_load((ROOT / "configs/performance/scenarios.yml").read_text())
    catalogue = {"scenarios": {"smoke": scenario}, "comparison": known["comparison"]}
    team.write("configs/performance/scenarios.yml", yaml.safe_dump(catalogue))
    team.write("tests/performance/locustfile.py", LOCUSTFILE)
    text = (team.root / "kickoff.yml").read_text()
    team.write("kickoff.yml", text.replace("[smoke-candidate]", "[smoke-candidate, perf-baseline]"))
    return team


def test_the_snippets_ship_a_first_release_the_same_again_and_no_bad_one(loaded: Team) -> None:
    loaded.write(".github/workflows/ours.yml", by_hand("staging"))
    loaded.commit()
    first = loaded.act("ours.yml")
    assert (first.status, first.outcome.get("verdict")) == (0, "released"), first.log[-6000:]
    assert loaded.says("staging") == "world"
    again = loaded.act("ours.yml")
    assert (again.status, again.outcome.get("verdict")) == (0, "unchanged"), again.log[-6000:]
    loaded.serve("nobody", works=False)
    loaded.commit()
    bad = loaded.act("ours.yml")
    assert (bad.status, bad.outcome.get("verdict")) == (1, "rejected"), bad.log[-6000:]
    assert loaded.says("staging") == "world"
    for advised in (first.outcome, bad.outcome):
        said = f"{advised['next']} {advised['undo']} {advised['fix']}"
        assert not re.search(r"\bmake\b|scripts/|\.yml|kickoff deploy", said), said


def test_production_takes_from_a_workflow_by_hand_only_what_was_proved(team: Team) -> None:
    careless = tuple(part for part in ORDER if part not in ("plan", "perf-baseline"))
    at = careless.index("build-push") + 1
    team.write(".github/workflows/careless.yml", by_hand("production", careless))
    careful = by_hand("production", (*careless[:at], "require-proof", *careless[at:]))
    team.write(".github/workflows/careful.yml", careful)
    team.write(".github/workflows/staging.yml", by_hand("staging", careless))
    commit = team.commit()
    for workflow in ("careless.yml", "careful.yml"):
        refused = team.act(workflow)
        assert (refused.status, refused.outcome.get("verdict")) == (1, "rejected"), refused.log[-6000:]
        assert f"staging never proved {commit[:7]}" in refused.log
        with pytest.raises(OSError, match="refused"):
            team.says("production")
    assert team.act("staging.yml").status == 0
    proved = team.act("careful.yml")
    assert (proved.status, proved.outcome.get("verdict")) == (0, "released"), proved.log[-6000:]
    assert team.says("production") == "world"


def test_the_workflow_of_one_step_ships_and_refuses(team: Team) -> None:
    [whole] = [block for block in SNIPPETS.findall(readme("release")) if block.startswith("name:")]
    assert len(whole.splitlines()) <= 20
    team.write(".github/workflows/cd.yml", whole)
    commit = team.commit()
    tag = "refs/tags/v1"
    refused = team.act("cd.yml", tag)
    assert (refused.status, refused.outcome.get("verdict")) == (1, "rejected"), refused.log[-6000:]
    assert f"staging never proved {commit[:7]}" in refused.log
    first = team.act("cd.yml")
    assert (first.status, first.outcome.get("verdict")) == (0, "released"), first.log[-6000:]
    again = team.act("cd.yml")
    assert (again.status, again.outcome.get("verdict")) == (0, "unchanged"), again.log[-6000:]
    proved = team.act("cd.yml", tag)
    assert (proved.status, proved.outcome.get("verdict")) == (0, "released"), proved.log[-6000:]
    team.serve("nobody", works=False)
    team.commit()
    bad = team.act("cd.yml")
    assert (bad.status, bad.outcome.get("verdict")) == (1, "rejected"), bad.log[-6000:]
    assert (team.says("staging"), team.says("production")) == ("world", "world")


def test_the_linter_reads_the_workflows_of_another_repository(team: Team) -> None:
    job = {"runs-on": "ubuntu-24.04", "steps": [{"uses": CHECKOUT}, *steps("lint")]}
    team.write(".github/workflows/ours.yml", yaml.safe_dump({"on": "push", "jobs": {"lint": job}}))
    theirs = {"runs-on": "ubuntu-24.04", "steps": [{"run": "npm test || true"}]}
    team.write(".github/workflows/theirs.yml", yaml.safe_dump({"on": "push", "jobs": {"test": theirs}}))
    team.commit()
    run = team.act("ours.yml")
    assert run.status == 1, run.log[-6000:]
    assert "theirs.yml" in run.log and "masked-failure" in run.log, run.log[-6000:]


def test_the_steps_around_a_release_run_too(team: Team) -> None:
    job = {"runs-on": "ubuntu-24.04", "steps": [{"uses": CHECKOUT}, *steps("release")]}
    team.write(".github/workflows/ours.yml", yaml.safe_dump({"on": "push", "jobs": {"ship": job}}))
    team.commit()
    run = team.act("ours.yml")
    assert (run.status, run.outcome.get("verdict")) == (0, "released"), run.log[-6000:]


def readme(action: str) -> str:
    return (ROOT / "actions" / action / "README.md").read_text()
