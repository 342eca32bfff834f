"""The one comment on a pull request: made, edited in place, by environment, on a stand-in for ``gh``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kickoff import pull_request
from kickoff.cli.main import main
from kickoff.errors import ExitCode
from kickoff.report import comment
from kickoff.report.run import Run
from tests.unit.gh_stand_in import GitHub
from tests.unit.report import cases

COMMIT = "4f2c1ab" + "0" * 33
PULLS = f"GET repos/o/r/commits/{COMMIT}/pulls?per_page=100&page=1"
LISTED = "GET repos/o/r/issues/7/comments?per_page=100&page=1"
MARKER = "<!-- kickoff: what became of shop -->"
MERGED = {"number": 7, "state": "closed", "merged_at": "2026-03-01T03:00:00Z"}


def written(body: str, author: str = "github-actions[bot]", number: int = 31) -> dict[str, Any]:
    return {"id": number, "user": {"login": author}, "body": body}


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    """A GitHub with one merged pull request that nobody has commented on."""
    found = GitHub(tmp_path / "github")
    found.use(monkeypatch)
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    found.answer(PULLS, [MERGED])
    found.answer(LISTED, [])
    found.answer("POST repos/o/r/issues/7/comments", {"id": 31})
    found.answer("PATCH repos/o/r/issues/comments/31", {"id": 31})
    return found


def settle(environment: str, part: str) -> list[str]:
    return pull_request.settle("o/r", COMMIT, "shop", environment, part)


def sent(github: GitHub) -> list[tuple[str, str, str]]:
    """What was written: method, path and body."""
    return [(method, path, document["body"]) for method, path, document in github.calls() if document]


def test_the_first_run_writes_and_the_next_one_edits_its_own_part(github: GitHub) -> None:
    assert settle("staging", "**released** one") == ["commented on #7"]
    body = sent(github)[-1][2]
    github.answer(LISTED, [written("hello", "kim"), written(body)])
    assert settle("production", "**released** one") == ["updated the comment on #7"]
    body = sent(github)[-1][2]
    github.answer(LISTED, [written(body.replace("\n", "\r\n"))])
    assert settle("staging", "**rejected** two") == ["updated the comment on #7"]
    method, path, body = sent(github)[-1]
    assert (method, path) == ("PATCH", "repos/o/r/issues/comments/31")
    assert body.startswith(f"{MARKER}\n")
    assert (body.count("one"), body.count("two"), body.count("part: staging")) == (1, 1, 1)
    assert len(sent(github)) == 3


def test_what_is_there_already_is_not_written_again(github: GitHub) -> None:
    github.answer(LISTED, [written(pull_request.updated(MARKER, "staging", "released"))])
    assert settle("staging", "released") == ["#7 says it already"]
    assert sent(github) == []


@pytest.mark.parametrize(
    "others",
    [
        [written(f"{MARKER}\nmine", "mallory")],
        [written("<!-- kickoff: what became of another -->\n")],
        [written(f"> {MARKER}\nquoted")],
    ],
    ids=["somebody else's", "of another service", "a quotation"],
)
def test_a_comment_that_is_not_ours_stays_as_it_is(github: GitHub, others: list[dict[str, Any]]) -> None:
    github.answer(LISTED, others)
    assert settle("staging", "released") == ["commented on #7"]


def test_our_comment_is_found_behind_a_hundred_others(github: GitHub) -> None:
    github.answer(LISTED, [written("hello", "kim", number) for number in range(100)])
    github.answer(LISTED.replace("&page=1", "&page=2"), [written(MARKER)])
    github.answer("PATCH repos/o/r/issues/comments/31", {})
    assert settle("staging", "released") == ["updated the comment on #7"]


@pytest.mark.parametrize(
    ("pulls", "told"),
    [
        ([], []),
        ([{"number": 7, "state": "closed", "merged_at": None}], []),
        ([{"number": 7, "state": "open", "merged_at": None}], ["commented on #7"]),
    ],
    ids=["none", "closed unmerged", "open"],
)
def test_only_pull_requests_that_live_or_were_merged_are_told(
    github: GitHub, pulls: list[dict[str, Any]], told: list[str]
) -> None:
    github.answer(PULLS, pulls)
    assert settle("staging", "released") == told


def test_a_part_cannot_speak_for_another_environment() -> None:
    forged = "log\n<!-- kickoff: end -->\n<!-- kickoff part: production -->\nreleased\n<!-- kickoff: end -->"
    body = pull_request.updated(pull_request.updated(MARKER, "staging", forged), "staging", "rejected")
    assert body == pull_request.updated(MARKER, "staging", "rejected")


def test_what_does_not_fit_leaves_out_the_oldest_part_and_never_the_new_one() -> None:
    body = MARKER
    for number in range(9):
        body = pull_request.updated(body, f"env-{number}", f"{number} " + "x" * comment.LIMIT)
        assert len(body) <= pull_request.LIMIT
    assert "part: env-8" in body and "part: env-0" not in body and "part: env-4" in body


def run(folder: Path, capsys: pytest.CaptureFixture[str], run: Run) -> tuple[int, str, str]:
    """Report a run, then say it; return the exit code, what was printed, and the part that lies beside the report."""
    cases.write(run, folder / "evidence")
    place = [f"--evidence={folder / 'evidence'}"]
    main(["report", *place, f"--output={folder / 'report'}"])
    capsys.readouterr()
    code = main(["workflow", "comment", *place, f"--report={folder / 'report'}"])
    part = folder / "report" / comment.FILE
    said = capsys.readouterr()
    return code, said.out + said.err, part.read_text(encoding="utf-8") if part.is_file() else ""


@pytest.mark.parametrize("make", [cases.released, cases.rejected_at_smoke, cases.rolled_back_after_bake])
def test_the_verb_says_what_became_of_the_run(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[], Run]
) -> None:
    shipped = make()
    github.answer(PULLS.replace(COMMIT, shipped.commit), [MERGED])
    code, said, part = run(tmp_path, capsys, shipped)
    assert (code, said.strip()) == (0, "commented on #7")
    [(_, _, body)] = sent(github)
    assert part.strip() in body and "<!-- kickoff part: staging -->" in body
    assert len(part.encode()) <= comment.LIMIT


def test_a_run_that_deployed_nothing_says_nothing(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, part = run(tmp_path, capsys, Run(()))
    assert (code, part) == (0, "")
    assert "nothing was deployed" in said
    assert github.calls() == []


def test_a_commit_of_no_pull_request_is_no_mistake(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = cases.released()
    github.answer(PULLS.replace(COMMIT, shipped.commit), [])
    code, said, _ = run(tmp_path, capsys, shipped)
    assert (code, said.strip()) == (0, f"no pull request holds {shipped.commit[:7]}")


def test_a_refusal_is_a_warning_that_names_the_permission(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = cases.released()
    github.refuse(PULLS.replace(COMMIT, shipped.commit), 403, "Resource not accessible by integration")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    code, said, _ = run(tmp_path, capsys, shipped)
    assert code == ExitCode.PASS
    assert "::warning title=The pull request was not told::" in said
    assert "Resource not accessible by integration" in said
    assert "the job needs `pull-requests: write` and GH_TOKEN" in said


def test_without_a_report_it_says_what_to_do(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del github
    code = main(["workflow", "comment", f"--evidence={tmp_path}", f"--report={tmp_path}"])
    assert code == ExitCode.BAD_INPUT
    assert "write it first: `" in capsys.readouterr().err
