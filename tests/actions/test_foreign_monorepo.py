"""The generated workflows of two projects of one repository, as act runs them for a push and for a tag."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kickoff.pipeline import installed_actions
from tests.actions.conftest import act_command, read_log
from tests.e2e.monorepo import NAMES, Monorepo

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Ended:
    """One run of act: its exit code, its jobs, its messages, what the report says, and the evidence's names."""

    status: int
    jobs: dict[str, str]
    log: str
    outcome: dict[str, Any]
    evidence: frozenset[str]


class Team(Monorepo):
    """A repository of two services, whose workflows were written by ``kickoff init`` and are run by act."""

    runs = 0

    def act(self, name: str, ref: str, before: str = "") -> Ended:
        """Run the workflow of a project for a push to ``ref``."""
        self.runs += 1
        place = self.root.parent / f"run-{self.runs}"
        place.mkdir()
        folders = {kind: place / kind for kind in ("evidence", "report")}
        variables = {
            "KICKOFF_STATE_ROOT": str(self.state),
            "KICKOFF_ARTIFACT_DIR": str(self.root.parent / "artifacts"),
            "KICKOFF_VENV": sys.prefix,
            **{f"KICKOFF_{kind.upper()}_DIR": str(folder) for kind, folder in folders.items()},
        }
        payload = {"ref": ref, "before": before, "repository": {"default_branch": "master"}}
        command, env = act_command(place, f"cd-{name}.yml", "push", payload, variables)
        text = (self.root / ".github" / "workflows" / f"cd-{name}.yml").read_text(encoding="utf-8")
        command += installed_actions.options(text, place)
        done = subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, text=True, timeout=280, check=False
        )
        jobs, log = read_log(done.stdout + done.stderr)
        outcome = folders["report"] / "outcome.json"
        said = json.loads(outcome.read_text()) if outcome.is_file() else {}
        found = frozenset(path.name for path in folders["evidence"].glob("*.json"))
        return Ended(done.returncode, jobs, log, said, found)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = Team(tmp_path)
    for name in NAMES:
        made.kickoff(name, "init", "--yes")
    made.commit("Ship with Kickoff")
    yield made
    made.close()


def test_each_workflow_ships_its_project_when_that_has_changed(team: Team) -> None:
    first = team.git("rev-parse", "HEAD").strip()
    said = team.kickoff("api", "deploy", "--plain")
    assert "✓ RELEASED" in said
    assert " services/api/.kickoff/runs/1/report/report.html" in said, "as seen by whoever typed it"
    assert team.says("api", "qa") == "api one"
    assert not (team.state / "web").exists()

    team.serve("web", "two")
    team.commit()
    idle = team.act("api", "refs/heads/master", before=first)
    assert (idle.status, idle.outcome.get("verdict")) == (0, "checked"), idle.log[-6000:]
    assert "nothing changed in services/api since the live release" in idle.log
    assert "build.json" not in idle.evidence and "stage.qa.json" not in idle.evidence
    other = team.act("web", "refs/heads/master", before=first)
    assert (other.status, other.outcome.get("verdict")) == (0, "released"), other.log[-6000:]
    assert team.says("web", "staging") == "web two"

    # The tag stands on a commit that changed the other project alone: what was proved is what it means.
    team.git("tag", "api-v1.0.0")
    tagged = team.act("api", "refs/tags/api-v1.0.0")
    assert (tagged.status, tagged.outcome.get("verdict")) == (0, "released"), tagged.log[-6000:]
    assert team.says("api", "live") == "api one"
    assert team.live("api", "live").startswith(first[:7])
