"""The secret scan over a change: what it finds, what hides nothing from it, and that no value is repeated."""

import json
import sys
from pathlib import Path

import pytest

from kickoff import packages
from kickoff.cli import main
from kickoff.evidence import Evidence, Verdict
from tests.repository import Repository

# Made here, so that no scan of this repository takes it for one.
TOKEN = "ghp_" + "k7Qw2Zt9Lx4Vb8Nc3Mf6Hj1Rd5Sg0Pa9Ye2U"
LINE = f'token = "{TOKEN}"\n'
DESCRIPTION = "name: shop\nrun: [serve, '{port}']\nhealth: /health\n"


@pytest.fixture
def change(repository: Repository) -> Repository:
    """A repository with a branch that begins at the tag ``before``."""
    repository.write("kickoff.yml", DESCRIPTION)
    repository.write("app.py", "print('shop')\n")
    repository.commit()
    repository.git("tag", "before")
    return repository


def scan(repository: Repository, *more: str, code: int = 0, base: str = "before") -> Evidence:
    arguments = ["audit", "--evidence=evidence", *([f"--base={base}"] if base else []), *more]
    assert main.main(arguments) == code
    path = repository.root / "evidence" / "secret-scan.json"
    return Evidence.from_document(json.loads(path.read_text("utf-8")), str(path))


def places(found: Evidence) -> list[tuple[str, str]]:
    return [(one.rule, one.measured) for one in found.rules if one.verdict is Verdict.FAIL]


def test_a_secret_is_named_by_place_and_rule_and_its_value_by_nobody(
    change: Repository, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    change.write("app.py", f"print('shop')\n\n{LINE}")
    commit = change.commit()
    found = scan(change, code=1)
    assert (found.verdict, places(found)) == (Verdict.FAIL, [("app.py:3", "github-pat")])
    assert f"added by {commit[:7]}: revoke it" in found.rules[1].reason
    said = "".join(capfd.readouterr())
    assert "::error file=app.py,line=3,title=secret%3A github-pat::" in said
    written = [path.read_text("utf-8") for path in (change.root / "evidence").rglob("*") if path.is_file()]
    assert written and TOKEN not in said and not any(TOKEN in text for text in written)


def test_only_what_the_change_adds_is_looked_at(change: Repository) -> None:
    change.write("old.py", LINE)
    change.commit()
    change.git("tag", "-f", "before")
    change.write("app.py", "print('more')\n")
    change.commit()
    found = scan(change)
    assert (found.verdict, found.summary) == (Verdict.PASS, "no secret in 1 commit")
    assert found.rules[0].samples == 1


def test_a_secret_that_a_later_commit_takes_out_is_in_the_history_all_the_same(change: Repository) -> None:
    change.write("app.py", LINE)
    change.commit()
    change.write("app.py", "print('shop')\n")
    change.commit()
    assert places(scan(change, code=1)) == [("app.py:1", "github-pat")]


def test_a_secret_in_the_merge_alone_is_found(change: Repository) -> None:
    change.git("checkout", "--quiet", "-b", "topic")
    change.write("topic.py", "one = 1\n")
    change.commit()
    change.git("checkout", "--quiet", "main")
    change.write("main.py", "two = 2\n")
    change.commit()
    change.git("merge", "--quiet", "--no-commit", "--no-ff", "topic")
    change.write("merged.py", LINE)
    change.commit()
    assert places(scan(change, code=1)) == [("merged.py:1", "github-pat")]


HIDING = {
    "attributes call it binary": (".gitattributes", "* binary\n*.py -diff\n"),
    "a list of gitleaks leaves it out": (".gitleaksignore", "app.py:github-pat:1\n"),
    "a configuration of gitleaks knows no rule": (
        ".gitleaks.toml",
        'title = "nothing"\n[allowlist]\npaths = [".*"]\n',
    ),
}


@pytest.mark.parametrize(("name", "text"), HIDING.values(), ids=HIDING.keys())
def test_no_file_of_a_change_hides_its_secret(name: str, text: str, change: Repository) -> None:
    change.write(name, text)
    change.write("app.py", LINE)
    change.commit()
    assert places(scan(change, code=1)) == [("app.py:1", "github-pat")]


def test_no_comment_and_no_variable_hides_a_secret(
    change: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = change.root.parent / "nothing.toml"
    nothing.write_text('[allowlist]\npaths = [".*"]\n', encoding="utf-8")
    monkeypatch.setenv("GITLEAKS_CONFIG", str(nothing))
    change.write("app.py", f"{LINE.rstrip()}  # gitleaks:allow\n")
    change.commit()
    assert places(scan(change, code=1)) == [("app.py:1", "github-pat")]


def test_a_place_is_accepted_for_a_reason_and_no_other_is(change: Repository) -> None:
    entry = {"path": "tests/*.py", "rule": "github-pat", "reason": "made for this test, opens nothing"}
    change.write("kickoff.yml", f"{DESCRIPTION}supply_chain:\n  secrets:\n  - {json.dumps(entry)}\n")
    change.write("tests/token.py", LINE)
    change.commit()
    found = scan(change)
    assert found.verdict is Verdict.PASS
    assert found.rules[1].reason == "accepted: made for this test, opens nothing"
    change.write("app.py", LINE)
    change.commit()
    assert places(scan(change, code=1)) == [("app.py:1", "github-pat")]


def test_without_a_base_the_event_says_where_the_change_begins_and_else_the_parent_does(
    change: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = change.git("rev-parse", "before").strip()
    change.write("app.py", LINE)
    first = change.commit()
    change.write("other.py", "x = 1\n")
    change.commit()
    assert scan(change, base="").inputs["base"] == first, "the parent"
    event = change.root.parent / "event.json"
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    for payload, expected in (
        ({"before": before}, before),
        ({"pull_request": {"base": {"sha": before}}}, before),
        ({"before": "0" * 40}, first),
    ):
        event.write_text(json.dumps(payload), encoding="utf-8")
        assert scan(change, base="", code=int(expected == before)).inputs["base"] == expected


def test_the_first_commit_is_a_change_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Repository(tmp_path / "first")
    made.write("kickoff.yml", DESCRIPTION)
    made.write("app.py", LINE)
    made.commit()
    monkeypatch.chdir(made.root)
    assert places(scan(made, base="", code=1)) == [("app.py:1", "github-pat")]


def test_a_shallow_clone_is_refused_and_not_passed(
    change: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change.write("app.py", LINE)
    change.commit()
    shallow = change.root.parent / "shallow"
    change.git("clone", "--quiet", "--depth=1", f"file://{change.root}", str(shallow))
    monkeypatch.chdir(shallow)
    assert main.main(["audit", "--evidence=evidence"]) == 2
    assert "fetch-depth: 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "doubt"),
    [
        ("sys.exit('the disk is full')", "gitleaks ended with exit code 1: the disk is full"),
        ("", "gitleaks wrote no report"),
        ("report.write_text('[]'); sys.exit(10)", "gitleaks found 0, and ended with exit code 10"),
        ("report.write_text('{')", "gitleaks wrote no report"),
    ],
)
def test_a_crash_of_the_scanner_is_neither_a_finding_nor_none(
    script: str, doubt: str, change: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = change.root.parent / "bin" / "gitleaks"
    program.parent.mkdir()
    head = f"#!{sys.executable}\nimport pathlib, sys\n"
    head += "report = pathlib.Path(sys.argv[sys.argv.index('--report-path') + 1])\n"
    program.write_text(f"{head}{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(packages, "tool", lambda name: str(program))
    change.write("app.py", "print('more')\n")
    change.commit()
    found = scan(change, code=3)
    assert (found.verdict, found.summary) == (Verdict.INCONCLUSIVE, f"not scanned: {doubt}")


def test_in_a_folder_of_a_repository_paths_begin_at_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Repository(tmp_path / "all")
    entry = {"path": "tests/token.py", "rule": "github-pat", "reason": "made for this test, opens nothing"}
    made.write("shop/kickoff.yml", f"{DESCRIPTION}supply_chain:\n  secrets:\n  - {json.dumps(entry)}\n")
    made.write("shop/tests/token.py", LINE)
    made.commit()
    monkeypatch.chdir(made.root / "shop")
    assert main.main(["audit", "--evidence=evidence"]) == 0
    made.write("tests/token.py", LINE)
    made.commit()
    assert main.main(["audit", "--evidence=evidence"]) == 1, "another project's is not this one's to accept"
    made.write(
        "shop/kickoff.yml", (made.root / "shop/kickoff.yml").read_text().replace("tests/", "/tests/", 1)
    )
    assert main.main(["audit", "--evidence=evidence"]) == 0, "from the top it is, in so many words"
