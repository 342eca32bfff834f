"""Comments on pull requests as a table: what is replied, what is deployed, and which rules refuse it, by the real verb."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kickoff.cli.main import main
from kickoff.commands import words
from kickoff.commands.words import Command
from kickoff.errors import KickoffError
from kickoff.github import outputs
from tests.unit.change.shop import DESCRIPTION, Shop
from tests.unit.gh_stand_in import GitHub

ROOT = "repos/o/shop"
LISTED, POST = f"GET {ROOT}/issues/7/comments?per_page=100&page=1", f"POST {ROOT}/issues/7/comments"
REACTION = f"POST {ROOT}/issues/comments/31/reactions"
LOCKS, LOCK = f"GET {ROOT}/git/matching-refs/kickoff/locks/", f"{ROOT}/git/refs/kickoff/locks/staging"
MARKER = "<!-- kickoff: reply to 31 -->\n"
RUN = "\n\n[The run](https://github.com/o/shop/actions/runs/5)"
BEFORE, COMMENTED, AFTER = "2026-01-02T03:04:04Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"
ALLOWED = DESCRIPTION.replace("staging: {branch: main}", "staging: {branch: main, comment_deploys: true}")
OWN_RULES = ALLOWED.replace("after: staging", "after: staging, comment_deploys: true")
"""What a pull request says of its own environments, which nobody asks."""
HELD = "locked by bob since 2026-01-01 08:00 UTC: a rehearsal"


@dataclass(frozen=True)
class Row:
    """One comment.

    Attributes:
        name: What it is about.
        body: Its text.
        refused: The rules that must refuse it.
        said: What the reply must have; none when there must be no reply.
        author: Who wrote it.
        pull: Further entries of the pull request.
        activity: Further entries of what last happened to its branch; ``None`` for nothing.
        checks: Name, status and conclusion of each check of its last commit.
        statuses: Name and state of each status of that commit.
        behind: Commits of the base that it lacks.
        locked: Login of who holds a lock of staging; empty for nobody.
        deployed: Whether its last commit is to be deployed to staging.
    """

    name: str
    body: str = ".deploy staging"
    refused: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    author: str = "ada"
    pull: Mapping[str, Any] = field(default_factory=dict)
    activity: Mapping[str, str] | None = field(default_factory=dict)
    checks: tuple[tuple[str, str, str | None], ...] = (("required", "completed", "success"),)
    statuses: tuple[tuple[str, str], ...] = ()
    behind: int = 0
    locked: str = ""
    deployed: bool = False


GONE = {"head": {"ref": "topic", "repo": None}}
FORK = {"head": {"ref": "topic", "repo": {"full_name": "mallory/shop"}}}
TABLE = [
    Row("own branch", deployed=True, said=("→ ", " is on its way to staging", RUN)),
    Row("typed on a phone", ".Deploy  staging \r\n", deployed=True, said=("→ ",)),
    Row("administrator", author="root", deployed=True, said=("→ ",)),
    Row(
        "fork", pull=FORK, refused=("fork",), said=("| fork | the branch is in another repository | push it",)
    ),
    Row("fork that is gone", pull=GONE, refused=("fork",), said=("✗ Refused",)),
    Row("draft", pull={"draft": True}, refused=("draft",), said=("mark it as ready for review",)),
    Row("closed", pull={"state": "closed"}, refused=("open",), said=("reopen it",)),
    Row(
        "outsider",
        author="mallory",
        refused=("permission",),
        said=("mallory may not write to this repository",),
    ),
    Row("reader", author="eve", refused=("permission",), said=("eve may not write",)),
    Row("reader asks for help", ".help", author="eve", refused=("permission",), said=("eve may not write",)),
    Row(
        "outsider writes nonsense", ".gitignore", author="mallory", refused=("permission",), said=("may not",)
    ),
    Row(
        "checks red",
        checks=(("required", "completed", "success"), ("lint", "completed", "failure")),
        refused=("checks",),
        said=("has passed: lint (failure)",),
    ),
    Row(
        "checks pending",
        checks=(("required", "in_progress", None),),
        refused=("checks",),
        said=("(in&#95;progress)",),
    ),
    Row(
        "cancelled",
        checks=(("required", "completed", "cancelled"),),
        refused=("checks",),
        said=("(cancelled)",),
    ),
    Row("status pending", statuses=(("scan", "pending"),), refused=("checks",), said=("scan (pending)",)),
    Row("status good", checks=(), statuses=(("scan", "success"),), deployed=True, said=("→ ",)),
    Row("no check at all", checks=(), refused=("checks",), said=("no check of ", " has passed")),
    Row(
        "nothing but skipped",
        checks=(("docs", "completed", "skipped"),),
        refused=("checks",),
        said=("no check",),
    ),
    Row(
        "a skipped one beside a good one",
        checks=(("docs", "completed", "skipped"), ("required", "completed", "success")),
        deployed=True,
        said=("→ ",),
    ),
    Row(
        "behind",
        behind=3,
        refused=("behind",),
        said=("the branch lacks 3 of the commits of main", "update it"),
    ),
    Row(
        "pushed after the comment",
        activity={"timestamp": AFTER},
        refused=("moved",),
        said=("was pushed after",),
    ),
    Row("pushed in the same second", activity={"timestamp": COMMENTED}, refused=("moved",), said=("pushed",)),
    Row("pushed while it is judged", activity={"after": "f" * 40}, refused=("moved",), said=("pushed",)),
    Row("nobody knows when it was pushed", activity=None, refused=("moved",), said=("does not say when",)),
    Row(
        "into another branch", pull={"base": "old"}, refused=("base",), said=("goes into old", "go into main")
    ),
    Row(
        "locked by another",
        locked="bob",
        refused=("locked",),
        said=(f"staging is {HELD}", "free it: &#96;.unlock staging&#96;"),
    ),
    Row("locked by themselves", locked="ada", deployed=True, said=("→ ",)),
    Row(
        "everything at once",
        checks=(),
        behind=1,
        locked="bob",
        pull={"draft": True, "state": "closed"},
        activity={"timestamp": AFTER},
        refused=("open", "draft", "moved", "checks", "behind", "locked"),
        said=("✗ Refused\n\n| rule | why | what to do |\n| --- | --- | --- |\n| open |",),
    ),
    Row(
        "not allowed there",
        ".deploy production",
        refused=("comment-deploys",),
        said=("production takes no deploys by comment", "comment&#95;deploys: true"),
    ),
    Row("no such environment", ".deploy uat", refused=("environment",), said=("uat is not an environment",)),
    Row(
        "hostile environment",
        ".deploy `@all`",
        refused=("environment",),
        said=("&#96;&#64;&#8288;all&#96; is not",),
    ),
    Row("no environment", ".deploy", refused=("words",), said=("write .deploy ENVIRONMENT",)),
    Row("too many", ".deploy staging now", refused=("words",), said=("write .deploy ENVIRONMENT",)),
    Row(
        "unknown word",
        ".ship it",
        refused=("words",),
        said=("| words | .ship is not a command | there are .plan",),
    ),
    Row("two lines", ".deploy staging\n.lock staging x", refused=("words",), said=("a comment of one line",)),
    Row("in the middle of a text", "please .deploy staging"),
    Row("on the second line", "please\n.deploy staging"),
    Row("code block", "```\n.deploy staging\n```"),
    Row("quoted", "> .deploy staging"),
    Row("indented", "  .deploy staging"),
    Row("dots", "... what is this"),
    Row(
        "lock without a reason", ".lock staging", refused=("words",), said=("write .lock ENVIRONMENT REASON",)
    ),
    Row("a long reason", f".lock staging {'x' * 201}", refused=("words",), said=("longer than 200",)),
    Row("lock nowhere", ".lock uat x", refused=("environment",), said=("name one of development, staging",)),
    Row("lock of a reader", ".lock staging x", author="eve", refused=("permission",), said=("eve",)),
    Row(
        "locked already",
        ".lock staging mine",
        locked="bob",
        refused=("locked",),
        said=(f"staging is {HELD}",),
    ),
    Row(
        "locked by oneself already",
        ".lock staging more",
        locked="ada",
        said=("staging is locked by ada since",),
    ),
    Row("unlock", ".unlock staging", locked="bob", said=(f"staging is free again; it was {HELD}",)),
    Row("unlock what is free", ".unlock staging", said=("staging is not locked",)),
    Row(
        "help",
        ".help",
        locked="bob",
        said=("- `.deploy ENVIRONMENT`: ", f"| staging | yes | {HELD} |\n| production |"),
    ),
    Row(
        "plan",
        ".plan",
        said=("### Release plan: shop in development, staging, production", "| production | tag"),
    ),
    Row("plan of a draft", ".plan", pull={"draft": True}, said=("### Release plan",)),
    Row("plan of a fork", ".plan", pull=FORK, refused=("fork",), said=("✗ Refused",)),
    Row("plan of a closed one", ".plan", pull={"state": "closed"}, refused=("open",), said=("✗ Refused",)),
    Row("plan of one environment", ".plan production", said=("### Release plan: shop in production\n",)),
]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The checkout of a run: the default branch, and the branch of the pull request as a remote one."""
    made = Shop(tmp_path / "shop")
    made.write("kickoff.yml", ALLOWED)
    made.main = made.commit("Allow it")
    head = made.change({"shop/__init__.py": "OPEN = False\n", "kickoff.yml": OWN_RULES})
    made.git("update-ref", "refs/remotes/origin/topic", head)
    made.git("update-ref", "refs/remotes/origin/main", made.main)
    made.git("checkout", "--quiet", "--detach", "main")
    made.git("branch", "--quiet", "-D", "topic")
    monkeypatch.chdir(made.root)
    return made


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    found = GitHub(tmp_path / "github")
    found.use(monkeypatch)
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "issue_comment",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        "GITHUB_REPOSITORY": "o/shop",
        "GITHUB_RUN_ID": "5",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ACT", raising=False)
    return found


def wrote(folder: Path, body: str, author: str = "ada", **issue: Any) -> None:
    """Be in the run that GitHub starts for a comment."""
    event = {
        "comment": {"id": 31, "user": {"login": author}, "body": body, "created_at": COMMENTED},
        "issue": {"number": 7, "pull_request": {"url": "…"}, **issue},
        "repository": {"default_branch": "main"},
    }
    (folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
    (folder / "outputs").touch()


def answer_for(github: GitHub, row: Row, shop: Shop) -> str:
    """Let GitHub know of a pull request what the row says; return its last commit."""
    head = shop.git("rev-parse", "origin/topic").strip()
    given = dict(row.pull)
    base = {"ref": given.pop("base", "main"), "repo": {"full_name": "o/shop"}}
    own = {"ref": "topic", "repo": {"full_name": "o/shop"}}
    pull = {
        "state": "open",
        "draft": False,
        "base": base,
        "head": {"sha": head, **given.pop("head", own)},
        **given,
    }
    last = None if row.activity is None else {"after": head, "timestamp": BEFORE, **row.activity}
    runs = [{"name": n, "status": status, "conclusion": result} for n, status, result in row.checks]
    statuses = [{"context": name, "state": state} for name, state in row.statuses]
    locked = [{"ref": "refs/kickoff/locks/staging", "object": {"sha": "1" * 40}}] if row.locked else []
    author = {"name": row.locked, "date": "2026-01-01T08:00:00Z"}
    github.answers |= {
        REACTION: {},
        LISTED: [],
        POST: {"id": 32},
        LOCKS: locked,
        f"DELETE {LOCK}": "",
        f"POST {ROOT}/git/commits": {"sha": "2" * 40},
        f"GET {ROOT}/git/commits/": {"tree": {"sha": "3" * 40}},
        f"POST {ROOT}/git/refs": {"status": 422, "message": "Reference already exists"},
        f"GET {ROOT}/git/commits/{'1' * 40}": {"author": author, "message": "a rehearsal"},
        f"GET {ROOT}/collaborators/root/permission": {"permission": "admin"},
        f"GET {ROOT}/collaborators/ada/permission": {"permission": "write"},
        f"GET {ROOT}/collaborators/eve/permission": {"permission": "read"},
        f"GET {ROOT}/pulls/7": pull,
        f"GET {ROOT}/activity?ref=refs%2Fheads%2Ftopic&per_page=1": [last] if last else [],
        f"GET {ROOT}/branches/{base['ref']}": {"commit": {"sha": shop.main}},
        f"GET {ROOT}/compare/{shop.main}...{head}?per_page=1": {"behind_by": row.behind},
        f"GET {ROOT}/commits/{head}/check-runs?per_page=100&page=1": {"check_runs": runs},
        f"GET {ROOT}/commits/{head}/status?per_page=100&page=1": {"statuses": statuses},
    }
    github.keep()
    return head


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_comment_is_answered_and_deploys_only_what_every_rule_lets_through(
    row: Row, shop: Shop, github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = answer_for(github, row, shop)
    wrote(tmp_path, row.body, row.author)
    assert main(["workflow", "command", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert tuple(result["refused"]) == row.refused
    deployed = {"commit": head, "environment": "staging"} if row.deployed else {}
    assert outputs(tmp_path / "outputs") == deployed
    calls = [(f"{method} {path}", document) for method, path, document in github.calls()]
    replies = [document["body"] for request, document in calls if request == POST]
    assert len(replies) == bool(row.said)
    assert [request for request, _ in calls[:1]] == ([REACTION] if row.said else [])
    for reply in replies:
        assert reply.startswith(MARKER) and reply.endswith(RUN)
        for line in row.said:
            assert line in reply
    # Neither the branch of a fork nor anything else is asked about for somebody who may not write.
    if row.refused == ("permission",):
        assert not [request for request, _ in calls if "/pulls/" in request or "/git/" in request]
    assert [request for request, _ in calls if request.startswith("DELETE")] == (
        [f"DELETE {LOCK}"] if row.name == "unlock" else []
    )


def test_the_reply_is_edited_to_what_became_of_the_deployment(github: GitHub, tmp_path: Path) -> None:
    wrote(tmp_path, ".deploy staging")
    ours = {"login": "github-actions[bot]"}
    forged = {"id": 40, "user": {"login": "mallory"}, "body": f"{MARKER}→"}
    github.answer(LISTED, [forged, {"id": 41, "user": ours, "body": f"{MARKER}→"}])
    github.answer(f"PATCH {ROOT}/issues/comments/41", {})
    for result, said in {
        "success": "✓ `abcdef0` went to `staging`",
        "failure": "✗ `abcdef0` did not go to `staging`: the run says which job failed",
        "cancelled": "✗ `abcdef0` did not go to `staging`: a person or a newer run cancelled it",
    }.items():
        github.forget()
        given = [f"--result={result}", f"--commit={'abcdef0' + '1' * 33}", "--environment=staging"]
        assert main(["workflow", "command", *given]) == 0
        [(_, path, document)] = [call for call in github.calls() if call[0] == "PATCH"]
        assert (path, document) == (f"{ROOT}/issues/comments/41", {"body": f"{MARKER}{said}{RUN}"})


@pytest.mark.parametrize(
    "missing", ["pulls/7", "activity?ref=refs%2Fheads%2Ftopic&per_page=1", "branches/main"]
)
def test_what_github_does_not_answer_deploys_nothing_and_is_replied(
    missing: str, shop: Shop, github: GitHub, tmp_path: Path
) -> None:
    answer_for(github, Row("own branch"), shop)
    github.refuse(f"GET {ROOT}/{missing}", 502, "Bad Gateway")
    wrote(tmp_path, ".deploy staging")
    assert main(["workflow", "command"]) == 4
    assert outputs(tmp_path / "outputs") == {}
    [reply] = [document["body"] for method, path, document in github.calls() if f"{method} {path}" == POST]
    assert "✗ Not done: GitHub did not take GET" in reply


def test_a_comment_on_an_issue_is_refused(shop: Shop, github: GitHub, tmp_path: Path) -> None:
    answer_for(github, Row("own branch"), shop)
    wrote(tmp_path, ".deploy staging", pull_request=None)
    assert main(["workflow", "command"]) == 2
    assert github.calls() == []


@pytest.mark.parametrize(
    ("body", "command"),
    [
        (".plan", Command("plan")),
        (".plan staging", Command("plan", "staging")),
        (".lock staging  a  rehearsal", Command("lock", "staging", "a  rehearsal")),
        (".UNLOCK staging\n\n", Command("unlock", "staging")),
        (".deploy\u00a0staging", Command("deploy", "staging")),
        (".help", Command("help")),
    ],
)
def test_words(body: str, command: Command) -> None:
    assert words.is_command(body)
    assert words.parse(body) == command


@pytest.mark.parametrize(
    "body",
    [".help me", ".plan a b", ".unlock", ".lock staging a\u202eb", ".deploystaging", ".x"],
)
def test_what_is_not_written_as_a_command_says_how_it_is(body: str) -> None:
    assert words.is_command(body)
    with pytest.raises(KickoffError) as refused:
        words.parse(body)
    assert refused.value.hint
