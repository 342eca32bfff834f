"""Locks of environments: one of two who ask at once gets it, and the plan of a release into it is refused."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kickoff import locks
from kickoff.cli.main import main
from kickoff.gh import GitHubError
from tests.servers import running
from tests.unit.change.shop import DESCRIPTION, Shop
from tests.unit.gh_stand_in import GitHub

ROOT, HEAD, TREE = "/repos/o/shop/git", "a" * 40, "b" * 40
LOCKS = "GET repos/o/shop/git/matching-refs/kickoff/locks/"
ALLOWED = DESCRIPTION.replace("staging: {branch: main}", "staging: {branch: main, comment_deploys: true}")
HELD = "staging is locked by bob since 2026-01-01 08:00 UTC: a rehearsal"


class Git(ThreadingHTTPServer):
    """GitHub's API of commits and refs, in which a ref is created once, as its documentation says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits: dict[str, dict[str, Any]] = {HEAD: {"tree": {"sha": TREE}}}
        self.refs: dict[str, str] = {}
        self.mutex = threading.Lock()

    def answer(  # noqa: PLR0911 - one an answer
        self, method: str, path: str, given: dict[str, Any]
    ) -> tuple[int, Any]:
        match method, path.removeprefix(ROOT).strip("/").split("/"):
            case "POST", ["commits"]:
                sha = f"{len(self.commits):040x}"
                author = {"date": "2026-01-01T08:00:00Z", **given["author"]}
                self.commits[sha] = {"sha": sha, **given, "author": author}
                return 201, self.commits[sha]
            case "GET", ["commits", sha]:
                return 200, self.commits[sha]
            case "GET", ["matching-refs", *name]:
                begin = "/".join(["refs", *name])
                found = [(ref, sha) for ref, sha in self.refs.items() if ref.startswith(begin)]
                return 200, [{"ref": ref, "object": {"sha": sha}} for ref, sha in found]
            case "POST", ["refs"] if given["ref"] not in self.refs:
                assert given["sha"] in self.commits
                self.refs[given["ref"]] = given["sha"]
                return 201, {}
            case "POST", ["refs"]:
                return 422, {"message": "Reference already exists"}
            case "DELETE", ["refs", *name] if self.refs.pop("/".join(["refs", *name]), None):
                return 204, None
            case "DELETE", ["refs", *_]:
                return 422, {"message": "Reference does not exist"}
        return 404, {"message": "Not Found"}


class _Handler(BaseHTTPRequestHandler):
    server: Git

    def answer(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        with self.server.mutex:
            status, document = self.server.answer(self.command, self.path, given)
        body = json.dumps(document).encode() if document is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Git]:
    """The API, asked with a token on a machine that has no ``gh``."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GH_TOKEN", "t")
    monkeypatch.setenv("NO_PROXY", "*")
    with running(Git()) as server:
        monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
        yield server


def take(by: str, reason: str = "a rehearsal") -> locks.Lock:
    return locks.take("o/shop", "staging", by, reason, commit=HEAD)


def test_of_many_who_lock_at_once_one_does_and_all_are_told_who(git: Git) -> None:
    people = [f"person-{number}" for number in range(12)]
    with ThreadPoolExecutor(len(people)) as pool:
        found = set(pool.map(take, people))
    [lock] = found
    assert lock.by in people
    assert list(git.refs) == ["refs/kickoff/locks/staging"]
    assert locks.held("o/shop") == {"staging": lock}


def test_a_lock_says_who_since_when_and_why_until_it_is_freed_by_anybody(git: Git) -> None:
    assert locks.held("o/shop") == {}
    lock = take("bob")
    assert f"staging is {lock.told}" == HELD
    assert take("ada") == take("bob", "another reason") == lock
    assert locks.held("o/shop") == {"staging": lock}
    commit = git.commits[git.refs["refs/kickoff/locks/staging"]]
    assert (commit["tree"], commit["parents"]) == (TREE, [])
    locks.free("o/shop", "staging")
    locks.free("o/shop", "staging")
    assert locks.held("o/shop") == {}
    assert take("ada").by == "ada"


def test_an_environment_whose_name_begins_like_another_has_a_lock_of_its_own(git: Git) -> None:
    take("bob")
    locks.take("o/shop", "staging-2", "ada", "mine", commit=HEAD)
    assert {name: lock.by for name, lock in locks.held("o/shop").items()} == {
        "staging": "bob",
        "staging-2": "ada",
    }


def test_a_ref_that_github_refuses_for_another_reason_is_no_lock(
    git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = git.answer

    def refuse(method: str, path: str, given: dict[str, Any]) -> tuple[int, Any]:
        refused = method in ("POST", "DELETE") and "/refs" in path
        return (
            (422, {"message": "Repository rule violations found"}) if refused else plain(method, path, given)
        )

    monkeypatch.setattr(git, "answer", refuse)
    with pytest.raises(GitHubError, match="POST"):
        take("bob")
    _, made = plain("POST", f"{ROOT}/commits", {"author": {"name": "bob"}, "message": "x"})
    git.refs["refs/kickoff/locks/staging"] = made["sha"]
    with pytest.raises(GitHubError, match="DELETE"):
        locks.free("o/shop", "staging")


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    found = GitHub(tmp_path / "github")
    found.use(monkeypatch)
    author = {"name": "bob", "date": "2026-01-01T08:00:00Z"}
    found.answers[f"GET repos/o/shop/git/commits/{'1' * 40}"] = {"author": author, "message": "a rehearsal\n"}
    found.answer(LOCKS, [{"ref": "refs/kickoff/locks/staging", "object": {"sha": "1" * 40}}])
    return found


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path / "shop")
    made.write("kickoff.yml", ALLOWED)
    made.commit("Allow it")
    monkeypatch.chdir(made.root)
    return made


def plan(
    folder: Path, monkeypatch: pytest.MonkeyPatch, event: str = "push", *, by: str = "", act: bool = False
) -> int:
    """Plan a release to staging as the pipeline does, for a push, a dispatch or a comment."""
    inputs = json.dumps({"environment": "staging"}) if event != "push" else "null"
    payload: dict[str, Any] = {"repository": {"default_branch": "main"}}
    if by:
        comment = {"id": 31, "user": {"login": by}, "body": ".deploy staging", "created_at": "…"}
        payload |= {"comment": comment, "issue": {"number": 7, "pull_request": {}}}
    (folder / "event.json").write_text(json.dumps(payload), encoding="utf-8")
    for name, value in {
        "ACT": "true" if act else "",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_OUTPUT": str(folder / "outputs"),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": "o/shop",
        "KICKOFF_EVIDENCE_DIR": str(folder / "evidence"),
    }.items():
        monkeypatch.setenv(name, value)
    (folder / "outputs").unlink(missing_ok=True)
    (folder / "outputs").touch()
    return main(["workflow", "plan", f"--inputs={inputs}"])


@pytest.mark.parametrize(
    ("event", "by", "code"),
    [
        ("push", "", 1),
        ("workflow_dispatch", "", 1),
        ("issue_comment", "ada", 1),
        ("issue_comment", "bob", 0),  # who locked it
    ],
)
def test_a_release_into_a_locked_environment_is_refused_but_for_the_holders_command(  # noqa: PLR0917 - fixtures
    event: str, by: str, code: int, shop: Shop, github: GitHub, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert plan(tmp_path, monkeypatch, event, by=by) == code
    printed = capsys.readouterr().err
    assert (HELD in printed and "`.unlock staging`" in printed) is bool(code)
    assert ("staging" in (tmp_path / "outputs").read_text("utf-8")) is not bool(code)


def test_a_lock_that_nobody_can_ask_for_is_no_leave(
    shop: Shop, github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.refuse(LOCKS, 404, "Not Found")  # what a token gets that may not read
    assert plan(tmp_path, monkeypatch) == 4
    assert (tmp_path / "outputs").read_text("utf-8") == ""


def test_a_free_environment_a_laptop_and_a_service_without_commands_are_not_held_up(
    shop: Shop, github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan(tmp_path, monkeypatch, act=True) == 0
    shop.write("kickoff.yml", DESCRIPTION)
    assert plan(tmp_path, monkeypatch) == 0
    assert github.calls() == []
    shop.write("kickoff.yml", ALLOWED)
    github.answer(LOCKS, [])
    assert plan(tmp_path, monkeypatch) == 0


def test_a_comment_that_calls_nothing_deploys_nothing(
    shop: Shop, github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", "issue_comment")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert main(["workflow", "plan"]) == 0
    assert github.calls() == []


def test_outside_a_workflow_nobody_is_asked(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    locks.require_free("staging")
    assert github.calls() == []
