"""Environments on GitHub: what is sent, that it is sent once, and every refusal; on a stand-in for gh."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kickoff.environment.github import protection
from kickoff.environment.github.protection import Found, Protection, Ref, Reviewer
from kickoff.environments import DeclaredEnvironment
from kickoff.service import CONFIG
from tests.unit.environment.support import ROOT
from tests.unit.gh_stand_in import GitHub

KICKOFF = ROOT / "src" / "kickoff"
REPOSITORY = {
    "full_name": "o/r",
    "default_branch": "main",
    "visibility": "public",
    "permissions": {"admin": True},
}
ADA, TEAM = Reviewer("User", 1, "ada"), Reviewer("Team", 2, "o/shippers")
CUSTOM = {"protected_branches": False, "custom_branch_policies": True}
BASE = "repos/o/r/environments"
STAGING = DeclaredEnvironment("staging", branch="HEAD")
PRODUCTION = protection.default(DeclaredEnvironment("production", tag="v*"), "main", [ADA, TEAM], 5)


def environment(minutes: int = 0, *reviewers: Reviewer) -> dict[str, Any]:
    """What GitHub answers about an environment."""
    rules: list[dict[str, Any]] = [{"type": "branch_policy"}]
    if minutes:
        rules.append({"type": "wait_timer", "wait_timer": minutes})
    if reviewers:
        listed = [
            {"type": one.kind, "reviewer": {"id": one.id, "slug" if one.kind == "Team" else "login": "x"}}
            for one in reviewers
        ]
        rules.append({"type": "required_reviewers", "prevent_self_review": True, "reviewers": listed})
    return {"protection_rules": rules, "deployment_branch_policy": CUSTOM}


def policies(*refs: Ref) -> dict[str, Any]:
    return {
        "branch_policies": [
            {"id": 10 + at, "name": ref.pattern, "type": ref.kind} for at, ref in enumerate(refs)
        ]
    }


@pytest.fixture
def github(tmp_path: Path) -> GitHub:
    made = GitHub(tmp_path / "gh")
    made.answer("GET repos/{owner}/{repo}", REPOSITORY)
    made.answer("GET users/ada", {"id": 1})
    made.answer("GET orgs/o/teams/shippers", {"id": 2})
    describe(made.folder)
    return made


def describe(root: Path, declared: str = "", **files: str) -> None:
    """Make a project with these environments; the usual three without any."""
    (root / "configs" / "environments").mkdir(parents=True, exist_ok=True)
    text = (
        "name: shop\nbundle: [shop]\nprocesses: {web: {command: [shop]}}\nhealth: {live: /, ready: /}\n"
        "required_checks: []\nsmoke: [{name: home, path: /}]\n"
    )
    (root / CONFIG).write_text(text + declared, encoding="utf-8")
    for name in ("development", "staging", "production"):
        files.setdefault(name, name)
    for name, kind in files.items():
        values = f"ENVIRONMENT_CLASS={kind}\nPUBLIC_PORT=8000\nDEPLOY_TARGET=local\n"
        (root / "configs" / "environments" / f"{name}.env").write_text(values, encoding="utf-8")


def settled(github: GitHub) -> None:
    """Let GitHub have both environments as they are wanted."""
    for name, document, refs in (
        ("staging", environment(), [Ref("branch", "main")]),
        ("production", environment(5, ADA, TEAM), [Ref("branch", "main"), Ref("tag", "v*")]),
    ):
        github.answer(f"GET {BASE}/{name}", document)
        github.answer(f"GET {BASE}/{name}/deployment-branch-policies?per_page=100", policies(*refs))


def protect(github: GitHub, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    given = ["--reviewer", "ada", "--reviewer", "o/shippers", "--wait-minutes", "5", *arguments]
    done = subprocess.run(
        [sys.executable, str(KICKOFF), "env", "protect", *given],
        cwd=github.folder,
        env=github.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def changes(github: GitHub) -> list[tuple[str, str, Any]]:
    return [call for call in github.calls() if call[0] != "GET"]


def test_what_is_right_already_is_left_alone(github: GitHub) -> None:
    settled(github)
    done = protect(github)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("as it should be") == 2
    assert changes(github) == []


def test_a_dry_run_prints_every_call_and_makes_none(github: GitHub) -> None:
    done = protect(github, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert changes(github) == []
    calls = [line.strip() for line in done.stderr.splitlines() if line.startswith(("  PUT", "  POST"))]
    assert [call.partition(" {")[0] for call in calls] == [
        f"PUT {BASE}/staging",
        f"POST {BASE}/staging/deployment-branch-policies",
        f"PUT {BASE}/production",
        f"POST {BASE}/production/deployment-branch-policies",
        f"POST {BASE}/production/deployment-branch-policies",
    ]
    assert json.loads(calls[2].partition("production ")[2]) == {
        "deployment_branch_policy": CUSTOM,
        "wait_timer": 5,
        "reviewers": [{"type": "Team", "id": 2}, {"type": "User", "id": 1}],
        "prevent_self_review": True,
    }


def test_every_declared_environment_is_protected_by_its_class(github: GitHub) -> None:
    entries = '{play: , test: {branch: develop}, live: {tag: "r*", after: test}, spare: {after: test}}'
    files = {"play": "development", "test": "staging", "live": "production", "spare": "production"}
    describe(github.folder, f"environments: {entries}\n", **files)
    done = protect(github, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "/play" not in done.stderr and "/staging" not in done.stderr
    shown = done.stderr.splitlines()
    assert [line.split()[-1] for line in shown if line.strip().startswith("approval")] == [
        "nobody",
        "runs",
        "runs",
    ]
    assert [line.partition("may deploy")[2].strip() for line in shown if "may deploy" in line] == [
        "branch develop, branch main",
        "branch main, tag r*",
        "branch main",
    ]


def test_what_was_sent_is_read_back_and_a_difference_is_a_failure(github: GitHub) -> None:
    settled(github)
    path = f"{BASE}/production"
    github.answer(f"GET {path}", environment(5, ADA))
    github.answer(f"PUT {path}", "")
    done = protect(github)
    assert changes(github) == [("PUT", path, protection.payload(PRODUCTION, PRODUCTION))]
    assert done.returncode == 1
    assert "production: approval: user x, wanted team o/shippers, user ada" in done.stderr


def test_refs_that_are_not_wanted_are_taken_out() -> None:
    found = protection.parse(environment(5, ADA, TEAM), policies(Ref("branch", "*"), Ref("tag", "v*")))
    calls = protection.plan("p", found, PRODUCTION)
    assert [(call.method, call.path, call.document) for call in calls] == [
        ("POST", "p/deployment-branch-policies", {"name": "main", "type": "branch"}),
        ("DELETE", "p/deployment-branch-policies/10", None),
    ]


@pytest.mark.parametrize(
    "policy", [None, {"protected_branches": True, "custom_branch_policies": False}], ids=["all", "protected"]
)
def test_an_environment_open_to_other_refs_is_set_to_name_them(policy: dict[str, bool] | None) -> None:
    found = protection.parse(environment(5, ADA, TEAM) | {"deployment_branch_policy": policy}, {})
    assert protection.differences(found.protection, PRODUCTION)[0].startswith("may deploy: every") or policy
    assert [call.method for call in protection.plan("p", found, PRODUCTION)] == ["PUT", "POST", "POST"]


def test_only_what_is_or_shall_be_there_is_sent() -> None:
    staging = protection.default(STAGING, "main", [], 0)
    assert protection.payload(Protection(), staging) == {"deployment_branch_policy": CUSTOM}
    assert protection.payload(PRODUCTION, staging) == {
        "deployment_branch_policy": CUSTOM,
        "wait_timer": 0,
        "reviewers": [],
        "prevent_self_review": False,
    }
    assert not protection.default(STAGING, "main", [], 0).prevent_self_review


def test_after_its_plan_nothing_differs() -> None:
    refs = [Ref("branch", "main"), Ref("tag", "v*")]
    found = protection.parse(environment(5, TEAM, ADA), policies(*refs))
    assert found == Found(PRODUCTION, {refs[0]: 10, refs[1]: 11})
    assert protection.differences(found.protection, PRODUCTION) == []
    assert protection.plan("p", found, PRODUCTION) == []


def test_without_gh_the_api_is_asked_and_nothing_else_differs(github: GitHub, tmp_path: Path) -> None:
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "git").mkdir()
    (tmp_path / "git" / "git").symlink_to(git)
    settled(github)
    github.answer("GET repos/o/r", REPOSITORY)
    github.refuse(f"GET {BASE}/production", 404, "Not Found")
    policy, path = protection.plan("p", None, PRODUCTION), f"{BASE}/production"
    for call in policy:
        github.answer(f"{call.method} {call.path.replace('p', path, 1)}", "")
    with github.api() as root:
        environ = {"PATH": str(tmp_path / "git"), "GITHUB_API_URL": root}
        protect(github, "--repository", "o/r", **environ)
        direct = changes(github)
        github.forget()
        wrong = protect(github, "--repository", "o/r", **environ | {"GH_TOKEN": "another"})
    protect(github, "--repository", "o/r")
    assert direct
    assert direct == changes(github)
    assert (wrong.returncode, "GitHub does not know who asks" in wrong.stderr) == (4, True)


@pytest.mark.parametrize(
    ("status", "message", "code", "hint"),
    [
        (422, "Please ensure the billing plan supports the required reviewers protection rule.", 2, "public"),
        (403, "Must have admin rights to Repository.", 4, "administrator"),
        (502, "Bad gateway", 4, "administrator"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, message: str, code: int, hint: str, github: GitHub) -> None:
    settled(github)
    github.refuse(f"GET {BASE}/production", 404, "Not Found")
    github.refuse(f"PUT {BASE}/production", status, message)
    done = protect(github)
    assert done.returncode == code
    assert message in done.stderr
    assert hint in done.stderr.partition("hint: ")[2]


def test_who_may_not_or_is_nobody_is_told_before_anything_is_changed(github: GitHub) -> None:
    settled(github)
    done = protect(github, "--reviewer", "nobody")
    assert (done.returncode, "knows no user 'nobody'" in done.stderr) == (2, True)
    done = protect(github, *(["--reviewer", "ada"] * 5))
    assert (done.returncode, "too many" in done.stderr) == (2, True)
    github.answer("GET repos/{owner}/{repo}", REPOSITORY | {"permissions": {"admin": False}})
    done = protect(github)
    assert (done.returncode, "no administrator of o/r" in done.stderr) == (4, True)
    done = protect(github, GH_TOKEN="")
    assert (done.returncode, "gh auth login" in done.stderr) == (4, True)
    done = protect(github, PATH="/nonexistent", GH_TOKEN="")
    assert (done.returncode, "gh is not installed" in done.stderr) == (4, True)
    done = protect(github, PATH="/nonexistent")
    assert (done.returncode, "name it: --repository OWNER/NAME" in done.stderr) == (4, True)
    assert changes(github) == []


def test_an_environment_of_several_projects_takes_the_refs_of_all() -> None:
    others = [
        DeclaredEnvironment("production", tag="web-v*"),
        DeclaredEnvironment("production", branch="next"),
    ]
    api = DeclaredEnvironment("production", tag="api-v*")
    refs = {Ref("branch", "main"), Ref("branch", "next"), Ref("tag", "api-v*"), Ref("tag", "web-v*")}
    assert protection.default(api, "main", [], 0, others).refs == frozenset(refs)
