"""``kickoff init`` and ``kickoff upgrade``, as typed in a repository of somebody's."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import kickoff
from kickoff import __version__
from kickoff.cli import main
from kickoff.project import generation, record, rendering
from tests.unit.cli.test_output import check

CD = ".github/workflows/cd.yml"
LINE = "permissions: {}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=tmp_path, check=True)
    (tmp_path / "server.py").write_text("serve('/healthz', os.environ['PORT'])\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main, "program", lambda: "kickoff")
    return tmp_path


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> str:
    """The next version, whose workflows say something on a line that says nothing now."""
    render = rendering.render

    def differently(*given: Any, **more: Any) -> dict[str, str]:
        return {path: text.replace(LINE, f"{LINE} # none") for path, text in render(*given, **more).items()}

    monkeypatch.setattr(rendering, "render", differently)
    monkeypatch.setattr(kickoff, "__version__", "0.3.0")
    monkeypatch.setattr(generation, "__version__", "0.3.0")
    return "0.3.0"


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts[:1]
    }


def statuses(text: str) -> dict[str, str]:
    return {one["path"]: one["status"] for one in json.loads(text)["files"]}


@pytest.fixture
def made(root: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main.main(["init", "--yes"]) == 0
    capsys.readouterr()
    return root


def test_init_writes_a_project_and_tells_the_next_command(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["init"]) == 0
    said = capsys.readouterr().out
    assert "kickoff.yml" in said and "next: git add" in said and "kickoff deploy" in said
    assert f"owner/kickoff@kickoff-v{__version__}" in said and "kickoff init --actions OWNER/REPO@REF" in said
    assert "run: python3 server.py" in (root / "kickoff.yml").read_text()
    assert (root / ".gitignore").read_text() == "/.kickoff/\n"


def test_again_changes_nothing(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(made)
    for words in (["init"], ["init", "--yes"], ["upgrade"], ["upgrade", "--check"], ["init", "--force"]):
        assert main.main([*words, "--json"]) == 0
        document = check(words[0], capsys.readouterr().out)
        assert document["differs"] is False
        assert snapshot(made) == before


def test_no_repository_and_no_start_command_end_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(["init", "--yes"]) == 2
    assert "git init" in capsys.readouterr().err
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert main.main(["init", "--yes"]) == 2
    assert "kickoff init --run" in capsys.readouterr().err
    assert main.main(["upgrade"]) == 2
    assert "kickoff init" in capsys.readouterr().err


def test_a_flag_beats_the_file_and_the_file_beats_detection(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made / "kickoff.yml"
    path.write_text(path.read_text().replace("python3 server.py", "python3 other.py") + "# mine\n")
    (made / "server.py").unlink()
    assert main.main(["init", "--yes"]) == 0
    assert "run: python3 other.py" in path.read_text()
    path.write_text(path.read_text().replace("python3 other.py", "python3 server.py"))
    before = snapshot(made)
    assert main.main(["init", "--run", "python3 third.py"]) == 2  # nobody agreed
    captured = capsys.readouterr()
    assert "+run: python3 third.py" in captured.err and "--yes" in captured.err
    assert snapshot(made) == before
    assert main.main(["init", "--run", "python3 third.py", "--yes"]) == 0
    assert "run: python3 third.py" in path.read_text() and path.read_text().endswith("# mine\n")


def test_files_of_somebody_else_are_left_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ci = root / ".github" / "workflows" / "ci.yml"
    ci.parent.mkdir(parents=True)
    ci.write_text("name: mine\n")
    (root / "kickoff.yml").write_text("name: own\nrun: x\nhealth: /\nenvironments: {live: {branch: main}}\n")
    (root / ".gitignore").write_text("*.log")
    assert main.main(["init", "--yes", "--json"]) == 0
    assert statuses(capsys.readouterr().out)["kickoff.yml"].startswith("kept")
    assert ci.read_text() == "name: mine\n"
    assert "[live]" in (root / CD).read_text() or "- live" in (root / CD).read_text()
    assert (root / ".gitignore").read_text() == "*.log\n/.kickoff/\n"
    assert main.main(["init", "--yes", "--run", "y"]) == 2
    assert "change `run` in it" in capsys.readouterr().err
    assert main.main(["init", "--force", "--json"]) == 0
    assert "Generated by kickoff" in ci.read_text()


def test_a_description_of_before_is_renamed_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "configs").mkdir()
    (root / "configs" / "service.yml").write_text("name: x\n")
    assert main.main(["init", "--yes"]) == 2
    assert "git mv configs/service.yml kickoff.yml" in capsys.readouterr().err
    (root / "kickoff.yml").write_text("name: x\n")
    assert main.main(["init", "--yes"]) == 2
    assert "hint: keep one: git rm configs/service.yml" in capsys.readouterr().err


def test_workflows_follow_the_description_that_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["init", "--yes", "--env=qa", "--env=live"]) == 0
    path, made = root / "kickoff.yml", (root / "kickoff.yml").read_text()
    assert "deploy-qa:" in (root / CD).read_text()
    path.write_text(made.partition("environments:")[0])
    assert main.main(["upgrade"]) == 0
    assert "deploy-qa:" not in (root / CD).read_text() and "deploy-staging:" in (root / CD).read_text()
    for wrong, said in (
        ("{tag: 3}", "3 is not of type 'string'"),
        ("{after: x}", "'x', which is not declared"),
    ):
        path.write_text(made.partition("environments:")[0] + f"environments:\n  qa:\n  live: {wrong}\n")
        capsys.readouterr()
        assert main.main(["upgrade"]) == 2
        shown = capsys.readouterr().err
        assert said in shown and f"at kickoff.yml:{len(path.read_text().splitlines())}" in shown


def test_a_description_that_is_replaced_declares_nothing(root: Path) -> None:
    (root / "kickoff.yml").write_text("name: own\nrun: x\nhealth: /\nenvironments: {live: {branch: main}}\n")
    assert main.main(["init", "--force"]) == 0
    assert "environments:" not in (root / "kickoff.yml").read_text()
    assert "deploy-staging:" in (root / CD).read_text() and "deploy-live:" not in (root / CD).read_text()


def test_upgrade_merges_what_people_changed(
    made: Path, newer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made / CD
    path.write_text(path.read_text() + "# mine\n")
    (made / ".github" / "workflows" / "ci.yml").unlink()
    before = snapshot(made)
    for option, code in (("--dry-run", 0), ("--check", 1)):
        assert main.main(["upgrade", option, "--json"]) == code
        assert snapshot(made) == before
        capsys.readouterr()
    assert main.main(["upgrade", "--json"]) == 0
    document = check("upgrade", capsys.readouterr().out)
    found = {one["path"]: one["status"] for one in document["files"]}
    assert (found[CD], found["kickoff.yml"]) == ("merged", "unchanged")
    assert found[".github/workflows/ci.yml"] == "stays deleted"
    assert document["actions"] == "owner/kickoff@kickoff-v0.3.0"
    text = path.read_text()
    assert (
        text.startswith("# Generated by kickoff 0.3.0")
        and text.endswith("# mine\n")
        and f"v{__version__}" not in text
        and "# none" in text
    )
    assert main.main(["upgrade", "--check"]) == 0
    assert not (made / ".github" / "workflows" / "ci.yml").exists()


def test_a_conflict_ends_with_1_until_it_is_resolved(
    made: Path, newer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made / CD
    mine = path.read_text().replace(LINE, f"{LINE} # mine")
    path.write_text(mine)
    for _ in range(2):
        assert main.main(["upgrade"]) == 1
        assert CD in capsys.readouterr().out
        text = path.read_text()
        assert "<<<<<<< yours" in text and f"{LINE} # mine" in text and f"{LINE} # none" in text
    path.write_text(mine)
    assert main.main(["upgrade"]) == 0
    assert path.read_text() == mine
    assert main.main(["upgrade", "--check"]) == 0


def test_a_port_that_somebody_changed_is_theirs_and_not_given_to_a_new_environment(made: Path) -> None:
    development = made / "configs" / "environments" / "development.env"
    text = development.read_text()
    development.write_text(text.replace("PUBLIC_PORT=8000", "PUBLIC_PORT=8300\nBAKE_TIME=2s"))
    mine = development.read_text()
    declared = "environments:\n  development: {}\n  staging: {branch: main}\n  qa: {after: staging}\n  production: {tag: v*, after: qa}\n"
    (made / "kickoff.yml").write_text((made / "kickoff.yml").read_text() + declared)
    for _ in range(2):
        assert main.main(["upgrade"]) == 0
        assert development.read_text() == mine
    assert "PUBLIC_PORT=8400" in development.with_name("qa.env").read_text()


def test_a_pin_stays_until_it_is_moved(root: Path, newer: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as before:
        before.setattr(generation, "__version__", "0.1.0")
        assert main.main(["init", "--yes", f"--actions=acme/kickoff@{'1' * 40}"]) == 0
    assert main.main(["upgrade"]) == 0
    assert "kickoff upgrade --actions OWNER/REPO@REF" in capsys.readouterr().out
    assert main.main(["upgrade", f"--actions=acme/kickoff@{'2' * 40}"]) == 0
    assert "2" * 40 in (root / CD).read_text() and "1" * 40 not in (root / CD).read_text()


def test_an_older_kickoff_changes_nothing(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generation, "__version__", "0.0.9")
    before = snapshot(made)
    assert main.main(["upgrade"]) == 2
    assert f"kickoff {__version__} generated these files" in capsys.readouterr().err
    assert snapshot(made) == before


@pytest.mark.parametrize(
    ("first", "then"), [("0.9.0.dev0", "0.9.0"), ("0.9.0", "0.9.0.dev0"), ("0.9.0", "0.10.0")]
)
def test_a_version_and_what_is_developed_into_it_are_equally_new(
    root: Path, first: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "__version__", first)
    for source, moved in (
        ("acme/kickoff@kickoff-v", then),
        ("acme/kickoff@v", then),
        ("acme/kickoff@x", first),
    ):
        assert main.main(["init", "--yes", f"--actions={source}{first}"]) == 0
        with pytest.MonkeyPatch.context() as later:
            later.setattr(generation, "__version__", then)
            assert main.main(["upgrade"]) == 0
        assert f"{source.replace('@', '/actions/plan@')}{moved} " in (root / CD).read_text()
        (root / record.FILE).unlink()
        (root / CD).unlink()


@pytest.mark.parametrize("damage", ["{", "[]", '{"version": 1}', None])
def test_a_damaged_record_is_refused(
    made: Path, damage: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made / record.FILE
    path.write_text(
        path.read_text().replace("name: things", "x").replace("run: python3", "x")
        if damage is None
        else damage
    )
    before = snapshot(made)
    assert main.main(["upgrade"]) == 2
    assert f"git checkout HEAD -- {record.FILE}" in capsys.readouterr().err
    assert snapshot(made) == before


def test_a_person_is_asked_little(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["shop\n", "\n", "/up\n", "make test\n"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin.readline", lambda: next(lines), raising=False)
    assert main.main(["init"]) == 0
    assert "Start command ({port} is where it must listen) [python3 server.py]: " in capsys.readouterr().err
    text = (root / "kickoff.yml").read_text()
    assert (
        "name: shop\n" in text
        and "run: python3 server.py" in text
        and "health: /up" in text
        and "make test" in text
    )
