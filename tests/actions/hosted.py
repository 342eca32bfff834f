"""GitHub, as far as a run can tell: jobs that share nothing, and stand-ins for the services of its actions.

act says ``ACT`` to everything it starts, and every expression hears it. Here workflows, actions and the program are
deaf to it, so the steps run that a laptop leaves out.
"""

import base64
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.actions.conftest import act_command, read_log
from tests.repository import Repository
from tests.unit.gh_stand_in import GitHub

STAND_INS = Path(__file__).with_name("on_github")
NAME = "somebody/things"
API = f"repos/{NAME}"
PAGE = "per_page=100&page=1"
USES = re.compile(r"uses: (actions/([\w-]+)@[0-9a-f]{40})")
RUN_PAGES = f"https://github.com/{NAME}/actions/runs"
_STARTED = "⭐ Run Main "
_PYTHON = '#!/bin/sh\nunset ACT\nexec {python} "$@"\n'


@dataclass(frozen=True)
class Run:
    """What became of a run.

    Attributes:
        identity: Its number.
        jobs: Result of every job that ran.
        steps: Job and name of every step that ran.
        log: All messages.
    """

    identity: str
    jobs: dict[str, str]
    steps: set[tuple[str, str]]
    log: str


class Hosted:
    """What GitHub keeps of one repository: caches, artefacts and attestations of its runs, and the runs.

    Args:
        folder: Temporary folder for it.
        python: The Python that ``python3`` is.
    """

    def __init__(self, folder: Path, python: str) -> None:
        folder.mkdir()
        self._folder, self._runs = folder, list[dict[str, Any]]()
        self.store, self.gh = folder / "store", GitHub(folder / "gh")
        self.gh.answer(f"GET {API}/git/matching-refs/kickoff/locks/", [])
        self._python = folder / "gh" / "bin" / "python3"
        self._python.write_text(_PYTHON.format(python=python), encoding="utf-8")
        self._python.chmod(0o755)

    def run(
        self,
        repository: Repository,
        workflow: str,
        event: str,
        payload: Mapping[str, Any],
        *,
        env: Mapping[str, str],
        actions: list[str] | None = None,
        more: tuple[str, ...] = (),
        has_pages: bool = False,
    ) -> Run:
        """Run a workflow of the last commit, and know of the run afterwards.

        Args:
            repository: The repository, whose workflows are deaf.
            workflow: File name of the workflow.
            event: Name of the event.
            payload: The event.
            env: Variables of every step.
            actions: act's options for the actions of other repositories.
            more: Further arguments for act.
            has_pages: Whether the repository has switched Pages on.
        """
        identity = str(len(self._runs) + 1)
        place = self._folder / f"run-{identity}"
        place.mkdir()
        about = {
            "visibility": "public",
            "default_branch": "main",
            "full_name": NAME,
            "has_pages": has_pages,
        }
        own = {"GITHUB_REPOSITORY": NAME, "GITHUB_RUN_ID": identity, "GITHUB_STAND_IN": str(self.store)}
        told = {"repository": about, **payload}
        command, environ = act_command(place, workflow, event, told, {**own, **env})
        environ["PATH"] = f"{self._python.parent}{os.pathsep}{environ['PATH']}"
        command += ["--secret", "GITHUB_TOKEN=a-token-of-the-run", *more]
        done = subprocess.run(
            [*command, *_with_stand_ins(repository.root, actions or [])],
            cwd=repository.root,
            env=environ,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        jobs, log = read_log(done.stdout + done.stderr)
        run = Run(identity, jobs, _steps(done.stdout), log)
        commit = repository.git("rev-parse", "HEAD").strip()
        self._tell(run, workflow, event, payload, commit)
        return run

    def artifacts(self, run: Run) -> dict[str, Path]:
        """Return the zips that a run has kept, by name."""
        return {path.stem: path for path in (self.store / "artifacts" / run.identity).glob("*.zip")}

    def attestations(self, run: Run) -> list[dict[str, Any]]:
        """Return what a run had GitHub sign."""
        kept = [json.loads(path.read_text("utf-8")) for path in (self.store / "attestations").glob("*.json")]
        return [one for one in kept if one["run"] == run.identity]

    def _tell(self, run: Run, workflow: str, event: str, payload: Mapping[str, Any], commit: str) -> None:
        """Let the API answer for a run that has ended, and for what it has kept."""
        ref, inputs = str(payload.get("ref", "refs/heads/main")), payload.get("inputs", {})
        by_hand = f"Roll back {inputs['environment']}" if workflow == "rollback.yml" else ""
        started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        answer = {
            "id": int(run.identity),
            "path": f".github/workflows/{workflow}",
            "event": event,
            "head_branch": ref.split("/", 2)[-1],
            "head_sha": commit,
            "display_title": by_hand or "A commit",
            "status": "completed",
            "conclusion": "failure" if "failure" in run.jobs.values() else "success",
            "run_started_at": started,
            "html_url": f"{RUN_PAGES}/{run.identity}",
            "actor": {"login": "somebody"},
            "triggering_actor": {"login": "somebody"},
            "repository": {"full_name": NAME, "private": False},
            "head_repository": {"full_name": NAME},
        }
        self._runs.append(answer)
        same = [one for one in self._runs if one["path"] == answer["path"]]
        ended = [one for one in same if one["conclusion"] == "success"]
        listed_at = f"GET {API}/actions/workflows/{workflow}/runs"
        self.gh.answers |= {
            f"GET {API}/actions/runs/{run.identity}": answer,
            f"GET {API}/actions/runs/{run.identity}/artifacts?{PAGE}": {
                "artifacts": [{"name": name} for name in self.artifacts(run)]
            },
            f"{listed_at}?branch=main&per_page=100": {"workflow_runs": same},
            f"{listed_at}?status=success&per_page=100": {"workflow_runs": ended},
            f"GET {API}/branches/main": {"commit": {"sha": commit}},
            f"GET {API}/git/matching-refs/tags/main": [],
        }
        for one in self._runs:
            status = "identical" if one["head_sha"] == commit else "behind"
            self.gh.answers[f"GET {API}/compare/{commit}...{one['head_sha']}?per_page=1"] = {"status": status}
        for name, path in self.artifacts(run).items():
            number = len(self.gh.answers)
            listed = {
                "id": number,
                "name": name,
                "expired": False,
                "created_at": f"2026-01-02T03:04:{len(self._runs):02}Z",
                "workflow_run": {"id": int(run.identity), "head_repository_id": 1, "repository_id": 1},
            }
            data = base64.b64encode(path.read_bytes()).decode()
            self.gh.answers[f"GET {API}/actions/artifacts?name={name}&{PAGE}"] = {"artifacts": [listed]}
            self.gh.answers[f"GET {API}/actions/artifacts/{number}/zip"] = {"base64": data}
        for one in self.attestations(run):
            signer = {
                "sourceRepositoryRef": one["ref"],
                "runInvocationURI": f"{RUN_PAGES}/{run.identity}/attempts/1",
            }
            statement = {"predicate": one["predicate"]}
            verified = {"statement": statement, "signature": {"certificate": signer}}
            for digest in one["subjects"].values():
                self.gh.answers[f"VERIFY {digest}"] = [{"verificationResult": verified}]
        self.gh.keep()


def deafen(root: Path) -> None:
    """Let no workflow and no action below a folder hear of act, or say what act does not know yet."""
    for path in _definitions(root):
        text = re.sub(r"^ +cache-mode: .*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
        path.write_text(text.replace("env.ACT", "env.UNHEARD"), encoding="utf-8")


def _definitions(root: Path) -> list[Path]:
    return [*root.glob(".github/workflows/*.yml"), *root.glob("**/action.yml")]


def _with_stand_ins(root: Path, actions: list[str]) -> list[str]:
    """Return act's options, with a stand-in for each action of GitHub's that may be called."""
    chosen = dict(word.split("=", 1) for word in actions if word != "--local-repository")
    folders = {Path(place) for name, place in chosen.items() if not name.startswith("actions/")}
    for folder in [root, *folders]:
        for path in _definitions(folder):
            for reference, name in USES.findall(path.read_text("utf-8")):
                if (STAND_INS / name).is_dir():
                    chosen[reference] = str(STAND_INS / name)
    return [part for name, place in chosen.items() for part in ("--local-repository", f"{name}={place}")]


def _steps(output: str) -> set[tuple[str, str]]:
    """Return the steps that began, those within actions as well; of one that is left out act says nothing."""
    entries = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {
        (entry["jobID"], entry["msg"].removeprefix(_STARTED))
        for entry in entries
        if "jobID" in entry and str(entry.get("msg", "")).startswith(_STARTED)
    }
