"""The one issue about drift, on a stand-in for ``gh api`` that keeps its issues in a file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kickoff.environment.findings import Finding
from kickoff.environment.issue import MARKER, render
from kickoff.environment.record import Outcome
from kickoff.evidence import Evidence
from tests.unit.environment.support import ROOT

KICKOFF = ROOT / "src" / "kickoff"
BOT = {"login": "github-actions[bot]"}
FINDING = Finding(
    "configs/environments/staging.env",
    13,
    11,
    "drift-by-hand",
    "CACHE_TTL",
    "CACHE_TTL was changed",
    "fix @it",
)
# Refuses what GitHub would refuse: another path, method or field, or a token that is missing.
GH = """#!{python}
import json, os, pathlib, re, sys
if not os.environ.get("GH_TOKEN"):
    sys.exit("gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable.")
store = pathlib.Path("issues.json")
issues = json.loads(store.read_text())
command, _, method, path, *rest = sys.argv[1:]
assert command == "api"
assert rest in ([], ["--input", "-"])
document = json.load(sys.stdin) if rest else None
if method == "GET":
    query = re.fullmatch(r"repos/o/r/issues\\\\?state=open&sort=created&direction=asc&per_page=(\\\\d+)&page=(\\\\d+)", path)
    size, page = map(int, query.groups())
    answer = [one for one in issues if one["state"] == "open"][size * (page - 1) : size * page]
elif method == "POST" and path == "repos/o/r/issues":
    answer = {{**document, "number": len(issues) + 1, "state": "open", "user": {bot}, "comments": []}}
    issues.append(answer)
elif method == "POST":
    answer = issues[int(re.fullmatch(r"repos/o/r/issues/(\\\\d+)/comments", path)[1]) - 1]
    answer["comments"].append(document["body"])
else:
    assert method == "PATCH"
    answer = issues[int(re.fullmatch(r"repos/o/r/issues/(\\\\d+)", path)[1]) - 1]
    answer.update(document)
store.write_text(json.dumps(issues))
print(json.dumps(answer))
"""


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keep([])
        program = folder / "bin" / "gh"
        program.parent.mkdir()
        program.write_text(GH.format(python=sys.executable, bot=BOT).replace("\\\\", "\\"), "utf-8")
        program.chmod(0o755)

    @property
    def issues(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "issues.json").read_text("utf-8"))
        return found

    def keep(self, issues: list[dict[str, Any]]) -> None:
        (self.folder / "issues.json").write_text(json.dumps(issues), "utf-8")

    def settle(
        self, *evidence: Evidence, planned: str = '["staging"]', run: int = 1, token: str = "t"
    ) -> subprocess.CompletedProcess[str]:
        kept = self.folder / "evidence"
        for path in kept.glob("*"):
            path.unlink()
        for one in evidence:
            one.write(kept)
        summary = self.folder / "summary.md"
        summary.unlink(missing_ok=True)
        environ = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": str(run),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GH_TOKEN": token,
        }
        done = subprocess.run(
            [sys.executable, str(KICKOFF), "env", "issue", "--evidence", str(kept), f"--planned={planned}"],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def evidence(environment: str = "", *found: Finding, doubts: tuple[str, ...] = ()) -> Evidence:
    stage = "drift" if environment else "validate"
    return Outcome(list(found), list(doubts), "33 values compared", 33).evidence(stage, environment)


GOOD = (evidence(), evidence("staging"))


def test_one_issue_is_opened_updated_and_closed(repository: Repository) -> None:
    assert repository.settle(*GOOD).stdout == "nothing has drifted, and no issue is open\n"
    assert repository.issues == []

    opened = repository.settle(evidence(), evidence("staging", FINDING), run=1)
    assert (opened.returncode, opened.stdout) == (0, "opened #1\n"), opened.stderr
    issue = repository.issues[0]
    assert issue["body"].startswith(MARKER)
    assert (
        "| `configs/environments/staging.env:13:11` | drift-by-hand | CACHE_TTL was changed" in issue["body"]
    )
    assert "First seen in https://github.example/o/r/actions/runs/1" in issue["body"]
    assert "@" not in issue["body"]
    assert "CACHE_TTL was changed" in (repository.folder / "summary.md").read_text("utf-8")

    before = repository.issues
    assert repository.settle(evidence(), evidence("staging", FINDING), run=2).stdout == "#1 says it already\n"
    assert repository.issues == before

    more = evidence("staging", FINDING, doubts=("the secret API_KEY is not set here",))
    for run in (3, 4):
        said = repository.settle(evidence(), more, run=run).stdout
        assert said == ("updated #1\n" if run == 3 else "#1 says it already\n")
    body = repository.issues[0]["body"]
    assert "Inconclusive: the secret API_KEY is not set here" in body
    assert body.count("First seen in https://github.example/o/r/actions/runs/1\n") == 1
    assert "Last changed in https://github.example/o/r/actions/runs/3\n" in body
    assert repository.settle(evidence(), evidence("staging", FINDING), run=5).stdout == "updated #1\n"
    assert "runs/1\n" in repository.issues[0]["body"]

    assert repository.settle(*GOOD, run=6).stdout == "closed #1\n"
    closed = repository.issues[0]
    assert (closed["state"], closed["state_reason"]) == ("closed", "completed")
    assert closed["comments"] == ["Nothing has drifted any more: https://github.example/o/r/actions/runs/6"]
    assert repository.settle(evidence(), evidence("staging", FINDING), run=7).stdout == "opened #2\n"


def test_a_check_that_left_nothing_is_no_good_news(repository: Repository) -> None:
    assert repository.settle(evidence()).stdout == "opened #1\n"
    assert "### staging\n\nThe check left no result" in repository.issues[0]["body"]
    assert repository.settle(evidence("staging")).stdout == "updated #1\n"
    assert "### The files in configs/environments\n\nThe check left no result" in repository.issues[0]["body"]
    assert repository.settle(planned="[]").stdout == "#1 says it already\n"
    assert repository.settle(evidence(), planned="[]").stdout == "closed #1\n"


def test_issues_of_others_are_left_alone(repository: Repository) -> None:
    others: list[dict[str, Any]] = [
        {"number": 1, "state": "open", "user": {"login": "somebody"}, "body": MARKER},
        {"number": 2, "state": "open", "user": BOT, "body": MARKER, "pull_request": {}},
        {"number": 3, "state": "open", "user": BOT, "body": f"quotes {MARKER}"},
        {"number": 4, "state": "open", "user": BOT, "body": None},
        *({"number": n, "state": "open", "user": BOT, "body": ""} for n in range(5, 151)),
    ]
    repository.keep(others)
    assert repository.settle(*GOOD).stdout == "nothing has drifted, and no issue is open\n"
    assert repository.settle(evidence(), evidence("staging", FINDING)).stdout == "opened #151\n"
    assert repository.settle(*GOOD).stdout == "closed #151\n"  # found on the second page
    assert repository.issues[:150] == others


def test_failures_have_a_sentence(repository: Repository) -> None:
    refused = repository.settle(*GOOD, token="")
    assert refused.returncode == 4
    assert "error: GitHub did not take GET repos/o/r/issues" in refused.stderr
    assert "GH_TOKEN" in refused.stderr
    for planned in ("staging", "{}", "[1]", '[""]'):
        wrong = repository.settle(planned=planned)
        assert wrong.returncode == 2
        assert "--planned is no JSON list of names" in wrong.stderr
    (repository.folder / "bin" / "gh").write_text("#!/bin/sh\necho nonsense\n", "utf-8")
    assert repository.settle(*GOOD).returncode == 4


def test_a_long_list_is_cut_before_github_refuses_it() -> None:
    many = [FINDING] * 3000
    text = render([evidence(), *(evidence(name, *many) for name in ("a", "b", "c"))], ["a", "b", "c"])
    assert len(text) < 65_536
    assert text.count("and 2960 more, listed in the run") == 3
