"""Every step that a laptop leaves out, run as on GitHub: what jobs share comes from job to job by artefacts alone."""

import json
import secrets
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff.pipeline import installed_actions
from kickoff.release.targets.ports import free_port
from tests.actions.conftest import ROOT
from tests.actions.hosted import API, NAME, PAGE, Hosted, Run, deafen
from tests.adoption.foreign import Foreign
from tests.e2e.containers import engine_problem, registry, remove_project
from tests.repository import Repository
from tests.servers import running

pytestmark = pytest.mark.e2e
MAIN, TAG = {"ref": "refs/heads/main"}, {"ref": "refs/tags/v1.0.0"}
QUICK = "BAKE_TIME=1s\nRELEASE_STRATEGY=blue-green\nWATCH_TIME=0s\n"
PASSWORD = "hunter2-of-the-registry"
LOCAL = ("pre-deployment-checks", "quality-gate", "build-and-push", "deploy", "post-deployment")
CARRIED = [("cd.yml", job, "Keep the evidence") for job in LOCAL]

SHIPPED = {
    *CARRIED,
    ("cd.yml", "quality-gate", "Remember what has passed"),
    ("cd.yml", "build-and-push", "Keep the artefact"),
    ("cd.yml", "deploy", "Fetch the artefact"),
    ("cd.yml", "post-deployment", "Fetch the evidence"),
    ("cd.yml", "post-deployment", "Attest the proof"),
    ("cd.yml", "post-deployment", "Keep the proof"),
    ("cd.yml", "deployment-summary", "Fetch the evidence"),
    ("cd.yml", "deployment-summary", "Keep the report"),
    ("rollback.yml", "rollback", "Keep the evidence"),
    ("rollback.yml", "rollback-summary", "Fetch the evidence"),
    ("rollback.yml", "rollback-summary", "Keep the report"),
    ("report", "", "Tell the pull request"),
}
BROKEN = {("cd.yml", "build-image", "Keep the evidence of a failure")}
IMAGE = {("cd.yml", "build-and-push", "Attest the image")}
REQUESTED = {("change", "", "Tell the pull request")}
DRIFTED = {
    ("drift.yml", "files", "Keep the evidence"),
    ("drift.yml", "target", "Keep the evidence"),
    ("drift.yml", "issue", "Fetch the evidence"),
}
RELEASED = {
    ("checks.yml", "test", "Install Python"),
    ("checks.yml", "quality-gate", "Keep the evidence"),
    ("checks.yml", "audit", "Keep the evidence"),
    ("release.yml", "check", "Keep the notes"),
    ("release.yml", "build", "Attest what was built"),
    ("release.yml", "build", "Keep what was built"),
    ("release.yml", "publish", "Fetch the notes"),
    ("release.yml", "publish", "Fetch what was built"),
    ("release.yml", "publish", "Release"),
    ("release.yml", "publish", "Move the tag of the major version"),
}
PUBLISHED = {("docs.yml", "build", "Keep the site"), ("docs.yml", "publish", "Publish")}


def unheard() -> set[tuple[str, str, str]]:
    """Return the steps that are left out under act: workflow, job and step, or action and step."""
    found = set()
    for path in ROOT.glob(".github/workflows/*.yml"):
        for job, described in yaml.safe_load(path.read_text("utf-8"))["jobs"].items():
            place = "deploy" if job.startswith("deploy-") else job
            found |= {(path.name, place, step["name"]) for step in _left_out(described.get("steps", []))}
    for path in ROOT.glob("actions/*/action.yml"):
        steps = yaml.safe_load(path.read_text("utf-8"))["runs"]["steps"]
        found |= {(path.parent.name, "", step["name"]) for step in _left_out(steps)}
    return found


def _left_out(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [step for step in steps if "!env.ACT" in str(step.get("if", ""))]


def test_no_step_is_left_untested() -> None:
    assert unheard() == SHIPPED | BROKEN | IMAGE | REQUESTED | DRIFTED | RELEASED | PUBLISHED


def require(expected: set[tuple[str, str, str]], runs: Mapping[str, list[Run]]) -> None:
    """Make sure that runs, by workflow, had all these steps; one of an action may be in any."""
    ran = {
        (workflow, "deploy" if job.startswith("deploy-") else job, step)
        for workflow, several in runs.items()
        for run in several
        for job, step in run.steps
    }
    steps = {step for _, _, step in ran}
    missing = {one for one in expected if one not in ran and not (not one[1] and one[2] in steps)}
    assert not missing, f"did not run: {missing}; ran: {sorted(ran)}"


class Team(Foreign):
    """A foreign repository on GitHub, whose hosts are this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.hosted = Hosted(folder / "hosted", sys.executable)
        self.state = folder / "state" / "things"
        self._copies = folder / "actions"
        self._copies.mkdir()

    def begin(self, *options: str, more: str = "") -> str:
        """Write what ``kickoff init`` writes; return the commit."""
        self.kickoff("init", "--yes", *options)
        self.write("kickoff.yml", (self.root / "kickoff.yml").read_text("utf-8") + f"load: none\n{more}")
        for name in ("staging", "production"):
            path = f"configs/environments/{name}.env"
            lines = (self.root / path).read_text("utf-8").splitlines()
            lines = [line for line in lines if not line.startswith("PUBLIC_PORT=")]
            self.write(path, "\n".join([*lines, f"PUBLIC_PORT={free_port()}", QUICK]))
        self.kickoff("upgrade")
        deafen(self.root)
        return self.commit("Ship with Kickoff")

    def run(
        self, workflow: str, payload: Mapping[str, Any], event: str = "push", more: tuple[str, ...] = ()
    ) -> Run:
        """Run a workflow with the installed actions."""
        place = self._copies / str(len(list(self._copies.iterdir())))
        place.mkdir()
        # A workflow that calls another one needs the actions of that.
        workflows = self.root / ".github" / "workflows"
        text = "\n".join((workflows / name).read_text("utf-8") for name in {workflow, "cd.yml"})
        options = installed_actions.options(text, place)
        deafen(place)
        env = {"KICKOFF_STATE_ROOT": str(self.state.parent), "KICKOFF_VENV": sys.prefix}
        return self.hosted.run(self, workflow, event, payload, env=env, actions=options, more=more)

    def kept(self, run: Run, artifact: str, member: str) -> Any:
        """Return a document out of what a run has kept."""
        with zipfile.ZipFile(self.hosted.artifacts(run)[artifact]) as archive:
            return json.loads(archive.read(member))

    def outcome(self, run: Run) -> tuple[str, str]:
        """Return verdict and environment that a run's report tells; it must have found all evidence."""
        told = self.kept(run, "report", "outcome.json")
        assert told["missing"] == []
        return told["verdict"], told["environment"]


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = Team(tmp_path)
    yield made
    for name in ("staging", "production"):
        if (made.state / name).is_dir():
            made.kickoff("stop", "--env", name)


@contextmanager
def listening() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Listen as somebody's webhook; yield the port and what it has heard."""
    heard: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Hook)) as server:
        yield server.server_port, heard


def require_success(run: Run) -> None:
    assert set(run.jobs.values()) == {"success"}, run.log[-6000:]


def test_what_staging_proved_reaches_production_by_artefacts_alone(team: Team) -> None:
    commit = team.begin()
    pulls = f"GET {API}/commits/{commit}/pulls?{PAGE}"
    team.hosted.gh.answers[pulls] = [{"number": 7, "state": "closed", "merged_at": "2026-01-02T03:04:05Z"}]
    team.hosted.gh.answers[f"GET {API}/issues/7/comments?{PAGE}"] = []
    team.hosted.gh.answer(f"POST {API}/issues/7/comments", {})
    first = team.run("cd.yml", MAIN)
    require_success(first)
    proof = f"proof-staging-{commit}"
    evidence = {f"evidence-{job}" for job in (*LOCAL, "deploy-staging") if job != "deploy"}
    assert set(team.hosted.artifacts(first)) == {"artefact", "report", proof} | evidence
    assert team.outcome(first) == ("released", "staging")
    [signed] = team.hosted.attestations(first)
    assert set(signed["subjects"]) == {NAME, "proof.staging.json"}
    assert signed["predicate"] == team.kept(first, proof, "proof.staging.json")
    [comment] = [sent["body"] for method, _, sent in team.hosted.gh.calls() if method == "POST"]
    assert "RELEASED" in comment

    again = team.run("cd.yml", MAIN)
    require_success(again)
    gate = json.dumps(team.kept(again, "evidence-quality-gate", "quality-gate.json"))
    assert f"{NAME}/actions/runs/{first.identity}" in gate, "the first run's verdict is reused, and linked"
    assert team.outcome(again) == ("unchanged", "staging")

    # The runner of another day: what staging's host knows of the proof is out of reach.
    shutil.rmtree(team.state / "proofs")
    tagged = team.run("cd.yml", TAG)
    require_success(tagged)
    assert team.outcome(tagged) == ("released", "production")
    built = [team.kept(run, "evidence-build-and-push", "build.json") for run in (first, tagged)]
    assert built[0]["facts"]["digest"] == built[1]["facts"]["digest"]

    team.write("server.py", (team.root / "server.py").read_text("utf-8").replace("one", "two"))
    team.commit("Say something else")
    assert team.outcome(team.run("cd.yml", MAIN)) == ("released", "staging")
    inputs = {"environment": "staging", "reason": "it says two", "release": "", "force": "false"}
    back = team.run("rollback.yml", {**MAIN, "inputs": inputs}, "workflow_dispatch")
    require_success(back)
    assert team.kept(back, "evidence-rollback", "rollback.staging.json")["verdict"] == "pass"
    assert team.outcome(back) == ("rolled-back", "staging")
    require(SHIPPED, {"cd.yml": [first, again, tagged], "rollback.yml": [back]})


def test_one_click_promotes_what_staging_proved_last(team: Team) -> None:
    proved = team.begin()
    first = team.run("cd.yml", MAIN)
    require_success(first)
    team.write("server.py", (team.root / "server.py").read_text("utf-8").replace("one", "two"))
    team.commit("Say something that nobody proves")
    # The runner of another day: what staging's host knows of the proof is out of reach.
    shutil.rmtree(team.state / "proofs")
    click: dict[str, Any] = {**MAIN, "inputs": {"environment": "production"}}
    clicked = team.run("promote.yml", click, "workflow_dispatch")
    require_success(clicked)
    assert team.outcome(clicked) == ("released", "production")
    built = [team.kept(run, "evidence-build-and-push", "build.json") for run in (first, clicked)]
    assert built[0]["facts"]["digest"] == built[1]["facts"]["digest"]
    assert team.kept(clicked, "evidence-pre-deployment-checks", "plan.json")["commit"] == proved
    again = team.run("promote.yml", click, "workflow_dispatch")
    require_success(again)
    assert team.outcome(again) == ("unchanged", "production")

    inputs = {"environment": "staging", "reason": "it says one", "release": "", "force": "false"}
    assert team.outcome(team.run("cd.yml", MAIN)) == ("released", "staging")
    require_success(team.run("rollback.yml", {**MAIN, "inputs": inputs}, "workflow_dispatch"))
    refused = team.run("promote.yml", click, "workflow_dispatch")
    assert "staging was rolled back after it had proved" in refused.log
    named = team.run(
        "promote.yml", {**MAIN, "inputs": {**click["inputs"], "commit": proved}}, "workflow_dispatch"
    )
    assert team.outcome(named) == ("unchanged", "production")


def test_a_click_before_anything_is_proved_is_refused_with_the_command_that_proves(team: Team) -> None:
    team.begin()
    click: dict[str, Any] = {**MAIN, "inputs": {"environment": "production"}}
    run = team.run("promote.yml", click, "workflow_dispatch")
    assert run.jobs["pre-deployment-checks"] == "failure" and "deploy-production" not in run.jobs
    assert "staging has proved nothing, so there is nothing that production could get" in run.log
    assert "gh workflow run cd.yml -f environment=staging" in run.log
    assert team.outcome(run) == ("rejected", "")


def test_what_nobody_proved_is_refused_and_the_report_says_so(team: Team) -> None:
    commit = team.begin()
    team.hosted.gh.answers[f"GET {API}/actions/workflows/cd.yml/runs?branch=main&per_page=100"] = {
        "workflow_runs": []
    }
    team.hosted.gh.answer(
        f"GET {API}/actions/artifacts?name=proof-staging-{commit}&{PAGE}", {"artifacts": []}
    )
    run = team.run("cd.yml", TAG)
    assert run.jobs == {"pre-deployment-checks": "failure", "deployment-summary": "failure"}
    assert set(team.hosted.artifacts(run)) == {"evidence-pre-deployment-checks", "report"}
    assert team.outcome(run) == ("rejected", "production")


def test_a_build_that_fails_leaves_its_evidence_and_people_are_told(team: Team) -> None:
    broken = "build: [{run: [python3, -c, 'raise SystemExit(3)'], outputs: [made]}]\n"
    team.begin(more=f"{broken}notify: [{{secret: TEAM_CHAT, when: [failed]}}]\n")
    with listening() as (port, heard):
        run = team.run("cd.yml", MAIN, more=("--secret", f"TEAM_CHAT=json://127.0.0.1:{port}/"))
    [told] = heard
    assert "REJECTED" in told["title"]
    assert f"run: https://github.com/{NAME}/actions/runs/{run.identity}" in told["message"]
    assert ("deployment-summary", "Tell people") in run.steps
    assert run.jobs["build-image"] == "failure"
    assert "evidence-build-image-ubuntu-24.04" in team.hosted.artifacts(run)
    assert "artefact" not in team.hosted.artifacts(run)
    assert team.outcome(run)[0] == "rejected"
    require(BROKEN, {"cd.yml": [run]})


def test_people_are_told_of_a_rollback_and_of_one_that_found_nothing_to_go_back_to(team: Team) -> None:
    team.begin(more="notify: [{secret: TEAM_CHAT, environments: [staging], when: [rolled-back, failed]}]\n")
    inputs = {"environment": "staging", "reason": "it says two", "release": "", "force": "false"}
    with listening() as (port, heard):
        chat = ("--secret", f"TEAM_CHAT=json://127.0.0.1:{port}/")
        require_success(team.run("cd.yml", MAIN, more=chat))
        assert heard == [], "a release is none of these events"
        nowhere = team.run("rollback.yml", {**MAIN, "inputs": inputs}, "workflow_dispatch", chat)
        assert nowhere.jobs == {"rollback": "failure", "rollback-summary": "failure"}
        team.write("server.py", (team.root / "server.py").read_text("utf-8").replace("one", "two"))
        team.commit("Say something else")
        require_success(team.run("cd.yml", MAIN, more=chat))
        back = team.run("rollback.yml", {**MAIN, "inputs": inputs}, "workflow_dispatch", chat)
        require_success(back)
    said, rolled = heard
    first, verdict = team.outcome(nowhere), team.outcome(back)
    assert first[1] == "staging" and first[0].upper().replace("-", " ") in said["title"]
    assert verdict == ("rolled-back", "staging") and "ROLLED BACK" in rolled["title"]
    assert "why: it says two" in rolled["message"]
    serving = team.kept(back, "report", "outcome.json")["serving"]
    assert f"serving: {serving}" in rolled["message"]
    assert f"run: https://github.com/{NAME}/actions/runs/{back.identity}" in rolled["message"]


def test_an_image_goes_to_any_registry_and_is_attested_by_whoever_built_it(team: Team) -> None:
    if engine_problem():
        pytest.skip(engine_problem())
    name = f"things-{secrets.token_hex(3)}"
    with registry() as address:
        team.begin("--docker", f"--name={name}")
        try:
            login = ("--secret", "REGISTRY_USERNAME=somebody", "--secret", f"REGISTRY_PASSWORD={PASSWORD}")
            more = (*login, "--var", f"IMAGE_REPOSITORY={address}/{name}", "--job", "build-and-push")
            first, again = team.run("cd.yml", MAIN, more=more), team.run("cd.yml", MAIN, more=more)
        finally:
            remove_project(f"{name}-staging")
    require_success(first)
    require_success(again)
    built = team.kept(first, "evidence-build-and-push", "build.json")["facts"]
    [signed] = team.hosted.attestations(first)
    assert signed["pushed"]
    assert signed["subjects"] == {f"{address}/{name}": built["digest"].removeprefix("sha256:")}
    assert team.hosted.attestations(again) == [], "that image was there already"
    assert PASSWORD not in first.log
    require(IMAGE, {"cd.yml": [first]})


def test_a_pull_request_is_told_what_it_would_change(team: Team) -> None:
    base = team.begin()
    team.write("server.py", (team.root / "server.py").read_text("utf-8").replace("one", "two"))
    head = team.commit("Say something else")
    team.hosted.gh.answers[f"GET {API}/issues/7/comments?{PAGE}"] = []
    team.hosted.gh.answer(f"POST {API}/issues/7/comments", {})
    here = {"repo": {"full_name": NAME}}
    request = {"number": 7, "base": {"sha": base, **here}, "head": {"sha": head, **here}}
    run = team.run("ci.yml", {"number": 7, "pull_request": request}, "pull_request")
    require_success(run)
    [comment] = [sent["body"] for method, _, sent in team.hosted.gh.calls() if method == "POST"]
    assert "| staging | push to the default branch | bundle built anew |" in comment
    require(REQUESTED, {"ci.yml": [run]})


ON_COMMENT = """environments:
  development: {}
  staging: {branch: HEAD, comment_deploys: true}
  production: {tag: "v*", after: staging}
"""


def test_a_comment_deploys_the_very_commit_that_was_judged_unless_somebody_else_locked(team: Team) -> None:
    base = team.begin(more=ON_COMMENT)
    team.git("checkout", "--quiet", "-b", "topic")
    team.write("server.py", (team.root / "server.py").read_text("utf-8").replace("one", "two"))
    # What a branch says of the pipeline itself is not asked: the default branch's is run.
    team.write(".github/workflows/cd.yml", "name: taken over\n")
    head = team.commit("Say two")
    team.git("checkout", "--quiet", "main")
    own = {"full_name": NAME}
    answers = team.hosted.gh.answers
    reply = {"id": 32, "user": {"login": "github-actions[bot]"}, "body": "<!-- kickoff: reply to 31 -->\n"}
    base_of, head_of = {"ref": "main", "repo": own}, {"ref": "topic", "sha": head, "repo": own}
    moved = {"after": head, "timestamp": "2026-01-02T03:04:04Z"}
    answers |= {
        f"POST {API}/issues/comments/31/reactions": {},
        f"GET {API}/collaborators/somebody/permission": {"permission": "write"},
        f"GET {API}/pulls/7": {"state": "open", "draft": False, "base": base_of, "head": head_of},
        f"GET {API}/activity?ref=refs%2Fheads%2Ftopic&per_page=1": [moved],
        f"GET {API}/branches/main": {"commit": {"sha": base}},
        f"GET {API}/compare/{base}...{head}?per_page=1": {"behind_by": 0},
        f"GET {API}/commits/{head}/check-runs?{PAGE}": {
            "check_runs": [{"name": "required", "status": "completed", "conclusion": "success"}]
        },
        f"GET {API}/commits/{head}/status?{PAGE}": {"statuses": []},
        f"GET {API}/commits/{head}/pulls?{PAGE}": [],
        f"GET {API}/issues/7/comments?{PAGE}": [reply],
        f"PATCH {API}/issues/comments/32": {},
    }
    team.hosted.gh.keep()

    def comment(body: str) -> tuple[Run, list[str]]:
        """Write a comment; return its run, and what its reply said one after the other."""
        team.hosted.gh.forget()
        written = {
            "id": 31,
            "user": {"login": "somebody"},
            "body": body,
            "created_at": "2026-01-02T03:04:05Z",
        }
        issue = {"number": 7, "pull_request": {"url": "…"}}
        run = team.run("commands.yml", {**MAIN, "comment": written, "issue": issue}, "issue_comment")
        calls = team.hosted.gh.calls()
        return run, [sent["body"].split("\n")[1] for method, _, sent in calls if method == "PATCH"]

    run, said = comment("I would like to .deploy staging")
    assert (run.steps, said) == (set(), [])
    run, said = comment(".deploy production")
    assert run.jobs == {"command": "success"} and said == ["✗ Refused"]
    run, said = comment(".deploy staging")
    require_success(run)
    assert said == [f"→ `{head[:7]}` is on its way to staging", f"✓ `{head[:7]}` went to `staging`"]
    assert team.outcome(run) == ("released", "staging")
    assert not [name for name in team.hosted.artifacts(run) if name.startswith("proof-")], "it is not merged"
    assert team.hosted.attestations(run) == []
    assert team.kept(run, "evidence-pre-deployment-checks", "plan.json")["commit"] == head
    assert team.json("status", "--env", "staging")["live"]["release"].startswith(head[:7])

    locked = [{"ref": "refs/kickoff/locks/staging", "object": {"sha": "1" * 40}}]
    holder = {"name": "bob", "date": "2026-01-01T08:00:00Z"}
    answers[f"GET {API}/git/commits/{'1' * 40}"] = {"author": holder, "message": "a rehearsal"}
    team.hosted.gh.answer(f"GET {API}/git/matching-refs/kickoff/locks/", locked)
    pushed = team.run("cd.yml", MAIN)
    assert pushed.jobs["pre-deployment-checks"] == "failure" and "deploy-staging" not in pushed.jobs
    assert "staging is locked by bob since 2026-01-01 08:00 UTC: a rehearsal" in pushed.log
    assert team.outcome(pushed) == ("rejected", "")
    assert team.json("status", "--env", "staging")["live"]["release"].startswith(head[:7])


@pytest.fixture
def product(tmp_path: Path) -> Repository:
    """This repository as it is, its long checks cut short: what they say is tested elsewhere."""
    made = Repository(tmp_path / "kickoff")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (made.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, made.root / name)
    site = "\tmkdir -p .kickoff/site/html && echo page > .kickoff/site/html/index.html\n"
    made.write("Makefile", f"docs:\n{site}test lint integration stacks:\n\ttrue\n")
    described = yaml.safe_load((ROOT / "kickoff.yml").read_text("utf-8"))
    described["quality_gate"] = [{"name": "files", "run": ["test", "-f", "kickoff.yml"]}]
    made.write("kickoff.yml", yaml.safe_dump(described, sort_keys=False))
    deafen(made.root)
    return made


def test_drift_becomes_an_issue_out_of_the_evidence_of_all_jobs(product: Repository, tmp_path: Path) -> None:
    product.commit()
    hosted = Hosted(tmp_path / "hosted", sys.executable)
    query = f"GET {API}/issues?state=open&sort=created&direction=asc&{PAGE}"
    hosted.gh.answers[query] = []
    hosted.gh.answer(f"POST {API}/issues", {"number": 3})
    env = {"KICKOFF_VENV": sys.prefix, "KICKOFF_STATE_ROOT": str(tmp_path / "state")}
    chosen = ("DEPLOY_RUNNER=ubuntu-24.04", 'DRIFT_ENVIRONMENTS=["development"]')
    more = tuple(part for one in chosen for part in ("--var", one))
    run = hosted.run(product, "drift.yml", "workflow_dispatch", MAIN, env=env, more=more)
    assert {"evidence-drift-files", "evidence-drift-development"} == set(hosted.artifacts(run)), run.log
    [body] = [sent["body"] for method, _, sent in hosted.gh.calls() if method == "POST"]
    assert "development" in body
    require(DRIFTED, {"drift.yml": [run]})


def test_a_release_of_kickoff_publishes_what_was_built_and_signed(
    product: Repository, tmp_path: Path
) -> None:
    from kickoff import __version__

    package = product.root / "src" / "kickoff" / "__init__.py"
    package.write_text(package.read_text("utf-8").replace(f'"{__version__}"', '"9.8.7"'), "utf-8")
    product.write("CHANGELOG.md", "# Changes\n\n## 9.8.7 - 2026-11-26\n\n### Added\n\n- Something.\n")
    commit = product.commit()
    hosted = Hosted(tmp_path / "hosted", sys.executable)
    hosted.gh.answers["RELEASE create"] = ""
    hosted.gh.answers[f"GET {API}/git/matching-refs/tags/kickoff-v9?{PAGE.partition('&')[0]}"] = []
    hosted.gh.answer(f"POST {API}/git/refs", {})
    payload = {"ref": "refs/tags/kickoff-v9.8.7"}
    run = hosted.run(product, "release.yml", "push", payload, env={"KICKOFF_VENV": sys.prefix})
    require_success(run)
    with zipfile.ZipFile(hosted.artifacts(run)["package"]) as archive:
        built = set(archive.namelist())
    assert built == {"kickoff-9.8.7-py3-none-any.whl", "kickoff-9.8.7.tar.gz"}
    [signed] = hosted.attestations(run)
    assert set(signed["subjects"]) == built
    sent = {f"{method} {path}": document for method, path, document in hosted.gh.calls()}
    assert {f"dist/{name}" for name in built} <= set(sent["RELEASE create"])
    assert sent[f"POST {API}/git/refs"] == {"ref": "refs/tags/kickoff-v9", "sha": commit}
    require(RELEASED, {"release.yml": [run], "checks.yml": [run]})


def test_the_site_is_published_as_pages_takes_it(product: Repository, tmp_path: Path) -> None:
    product.commit()
    hosted = Hosted(tmp_path / "hosted", sys.executable)
    run = hosted.run(product, "docs.yml", "push", MAIN, env={"KICKOFF_VENV": sys.prefix}, has_pages=True)
    require_success(run)
    assert set(hosted.artifacts(run)) == {"github-pages"}
    require(PUBLISHED, {"docs.yml": [run]})
