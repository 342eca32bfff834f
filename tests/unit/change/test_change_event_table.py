"""Pull requests as a table: what the run says, in the job summary and in the one comment, by the real verb."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kickoff import pull_request
from kickoff.cli.main import main
from tests.unit.change.shop import DESCRIPTION, Shop
from tests.unit.gh_stand_in import GitHub

LISTED = "GET repos/o/shop/issues/7/comments?per_page=100&page=1"
POST, PATCH = "POST repos/o/shop/issues/7/comments", "PATCH repos/o/shop/issues/comments/31"
MARKER = "<!-- kickoff: what became of shop -->"
CODE: Mapping[str, str | None] = {"shop/__init__.py": "OPEN = False\n"}
WEAKER = {"kickoff.yml": DESCRIPTION.replace("[smoke-candidate, perf-baseline]", "[]")}
CONTRACTION = {"migrations/0002_names.sql": "ALTER TABLE orders DROP COLUMN name;\n", **CODE}


@dataclass(frozen=True)
class Row:
    """One pull request.

    Attributes:
        name: What it is about.
        edits: What it changes.
        said: Lines that the comment has, in this order; none when there must be no comment.
        unsaid: What it must not have.
        event: Further entries of the event's ``pull_request``.
        refused: Status with which GitHub refuses the comment; 0 for none.
        commented: What the comment says already, as a plan; ``None`` for no comment.
        code: The exit code.
        done: What the step with the token says.
    """

    name: str
    edits: Mapping[str, str | None]
    said: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    event: Mapping[str, Any] = field(default_factory=dict)
    refused: int = 0
    commented: str | None = None
    code: int = 0
    done: str = "commented on #7"


FORK = {"head": {"repo": {"full_name": "mallory/shop"}}}
BUILT = (
    "### Release plan: shop in development, staging, production",
    "| environment | reached by | artefact | configuration | stack | rules |",
    "| development | by hand | bundle built anew | unchanged | unchanged | unchanged |",
    "| staging | push to main | bundle built anew | unchanged | unchanged | unchanged |",
    "| production | tag v&#42;, proved by staging | image built anew | unchanged | unchanged | unchanged |",
    "Not looked at: size of the artefact (nothing is built for a plan)",
)
TABLE = [
    Row("own branch", CODE, BUILT, ("code owner", "other rules", "####  ")),
    Row("draft", CODE, BUILT, event={"draft": True}),
    Row(
        "fork",
        CODE,
        event=FORK,
        refused=403,
        done="#7 comes from a fork, whose runs may not comment: the job summary has the plan",
    ),
    Row(
        "fork that is gone",
        CODE,
        event={"head": {"repo": None}},
        refused=403,
        done="#7 comes from a fork, whose runs may not comment: the job summary has the plan",
    ),
    Row("fork whose runs may comment", CODE, BUILT, event=FORK),
    Row("fork, and GitHub fails", CODE, event=FORK, refused=500, code=4, done=""),
    Row("own branch without the permission", CODE, refused=403, code=4, done=""),
    Row(
        "deploys by comment",
        {
            "kickoff.yml": DESCRIPTION.replace(
                "staging: {branch: main}", "staging: {branch: main, comment_deploys: true}"
            )
        },
        ("| staging | push to main, or a comment (changed) |",),
    ),
    Row("no change", {}, done="nothing to say on #7"),
    Row("docs only", {"docs/index.md": "# The shop\n"}, done="nothing to say on #7"),
    Row(
        "docs only, after a push that changed more",
        {"docs/index.md": "# The shop\n"},
        ("**Release plan**: nothing of shop is affected by ",),
        ("built anew", "Environments"),
        commented="image built anew",
        done="updated the comment on #7",
    ),
    Row(
        "a further push",
        CODE,
        BUILT,
        ("something else",),
        commented="something else",
        done="updated the comment on #7",
    ),
    Row(
        "migration",
        CONTRACTION,
        (
            "- **A migration takes away what the release before still uses**",
            "#### Migrations, as they read",
            "| migrations/0002&#95;names.sql | added | contracts: DROP COLUMN |",
        ),
    ),
    Row(
        "weakened gate",
        WEAKER,
        (
            "### Release plan: shop in development, staging, production",
            "- **Releases would be judged by other rules than before: 2 weaker**",
            "- **Changes the gates: needs a code owner; no CODEOWNERS names one, so GitHub asks nobody**",
            "| staging | push to main | unchanged | unchanged | description | 2 rules |",
            "#### Judging rules",
            "| weaker | check smoke-candidate | demanded | none | development, staging, production |",
            "| weaker | check perf-baseline | demanded | none | development, staging, production |",
        ),
        ("Not looked at",),
    ),
    Row(
        "changed workflow",
        {".github/workflows/ci.yml": "name: none\n"},
        (
            "### Release plan: shop",
            "- **Changes the gates: needs a code owner; no CODEOWNERS names one, so GitHub asks nobody**",
            "#### Gates",
            "| .github/workflows/ci.yml |",
        ),
        ("#### Environments",),
    ),
]


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    found = GitHub(tmp_path / "github")
    found.use(monkeypatch)
    found.answer(LISTED, [])
    found.answer(POST, {"id": 31})
    found.answer(PATCH, {"id": 31})
    return found


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path / "shop")
    monkeypatch.chdir(made.root)
    return made


def run_for(shop: Shop, row: Row, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in the run that GitHub starts for a pull request; return the file of the job summary."""
    head = shop.change(row.edits)
    shop.git("checkout", "--quiet", "main")
    shop.write("docs/other.md", "by somebody else, meanwhile\n")
    shop.write("shop/other.py", "")
    shop.commit("Meanwhile")
    shop.merge()
    request: dict[str, Any] = {
        "number": 7,
        "base": {"sha": shop.main, "repo": {"full_name": "o/shop"}},
        "head": {"sha": head, "repo": {"full_name": "o/shop"}},
    }
    for key, value in row.event.items():
        request[key] = request[key] | value if isinstance(value, dict) else value
    event, summary = folder / "event.json", folder / "summary.md"
    event.write_text(json.dumps({"pull_request": request}), encoding="utf-8")
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "o/shop",
        "GITHUB_STEP_SUMMARY": str(summary),
    }.items():
        monkeypatch.setenv(name, value)
    return summary


def comment(plan: str) -> dict[str, Any]:
    body = pull_request.updated(MARKER, pull_request.PLAN, plan)
    return {"id": 31, "user": {"login": "github-actions[bot]"}, "body": body}


def in_order(text: str, lines: tuple[str, ...]) -> None:
    place = 0
    for line in lines:
        found = text.find(line, place)
        assert found >= 0, f"{line!r} is not said there:\n{text}"
        place = found


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_pull_request_is_told_what_it_would_do(  # noqa: PLR0917 - fixtures
    row: Row,
    shop: Shop,
    github: GitHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = run_for(shop, row, tmp_path, monkeypatch)
    if row.commented is not None:
        github.answer(LISTED, [comment(row.commented)])
    if row.refused:
        for request in (LISTED, POST, PATCH):
            github.refuse(request, row.refused, "Resource not accessible by integration")
    assert main(["workflow", "change", "--base="]) == 0
    capsys.readouterr()
    assert main(["workflow", "change", "--base=", "--comment"]) == row.code
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1:] == ([row.done] if row.done else [])
    if row.code:
        assert "the job needs `pull-requests: write` and GH_TOKEN" in printed.err
    assert ("::notice::" in printed.out) is (row.refused == 403 and row.code == 0)
    written = [document["body"] for method, _, document in github.calls() if method != "GET"]
    bodies = written if not row.refused else []
    assert len(bodies) == bool(row.said)
    # The summary has the plan, whether or not there is a comment.
    plan = summary.read_text(encoding="utf-8")
    in_order(plan, row.said or ("Release plan",))
    for body in bodies:
        assert body.startswith(f"{MARKER}\n\n<!-- kickoff part: release plan -->\n")
        in_order(body, row.said)
        assert plan.strip() in body
    # What came into main meanwhile is none of its change.
    assert not [
        word for word in (*row.unsaid, "other.py", "left out") for text in (plan, *bodies) if word in text
    ]


def test_what_a_release_says_later_leaves_the_plan_as_it_is(github: GitHub) -> None:
    github.answer(LISTED, [comment("image built anew")])
    assert pull_request.tell("o/shop", 7, "shop", "staging", "**released**") == "updated the comment on #7"
    body = github.calls()[-1][2]["body"]
    assert "image built anew" in body and body.index("release plan") < body.index("part: staging")


def test_a_run_of_no_pull_request_says_what_to_name(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    shop.change(CODE)
    assert main(["workflow", "change"]) == 2
    assert "kickoff workflow change --base main" in capsys.readouterr().err
    assert main(["workflow", "change", "--base=main", "--comment"]) == 2
    assert main(["workflow", "change", "--base=main"]) == 0
    assert "bundle built anew" in capsys.readouterr().out
