"""``kickoff validate``: each row breaks a project in one way, and is told file, line and fix."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kickoff import __version__
from kickoff.cli import main
from kickoff.environment.findings import Finding
from kickoff.project import generation, record
from kickoff.project.validation import validate
from tests.unit.cli.test_output import check

CD = ".github/workflows/cd.yml"
DESCRIPTION = "kickoff.yml"
PRODUCTION = "configs/environments/production.env"
STAGING = "configs/environments/staging.env"
TAG = f"kickoff-v{__version__}"


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    git(tmp_path, "init", "--initial-branch=main")
    (tmp_path / "server.py").write_text("serve('/healthz', os.environ['PORT'])\n")
    monkeypatch.chdir(tmp_path)
    assert main.main(["init", "--yes", f"--actions=acme/kickoff@{TAG}", "--run=python3 server.py"]) == 0
    git(tmp_path, "add", "--all")
    capsys.readouterr()
    return tmp_path


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def append(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text((root / name).read_text() + text)


def line_of(root: Path, name: str, part: str) -> int:
    lines = (root / name).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if part in line)


def test_what_init_writes_is_valid(root: Path) -> None:
    found = validate(root)
    assert (found.findings, found.hints) == ([], [])


@pytest.mark.parametrize(
    ("breaks", "file", "line", "message", "fix"),
    [
        (remove(DESCRIPTION), DESCRIPTION, "", "is missing", "kickoff init"),
        (append(DESCRIPTION, "helth: /\n"), DESCRIPTION, "helth", "'helth' is not a key", "did you mean 'health'?"),
        (change(DESCRIPTION, "health:", "health: ["), DESCRIPTION, None, "not YAML", ""),
        (change(DESCRIPTION, "python3 server", "npm x && y"), DESCRIPTION, "run:", "to a shell alone", "sh, -c"),
        (change(DESCRIPTION, "quality_gate:", "functional: {name: x, run: x}\n#"), DESCRIPTION, None, "", ""),
        (append(DESCRIPTION, "bundle: [server.py, dist]\n"), DESCRIPTION, "bundle:", "dist is to be", "correct the path"),
        (
            lambda root: [append(DESCRIPTION, "bundle: [new]\n")(root), (root / "new").write_text("x")],
            DESCRIPTION, "bundle:", "new is to be shipped, and is not committed", "git add new",
        ),
        (change(DESCRIPTION, "python3 server", "dino server"), DESCRIPTION, "run:", "dino is not on the PATH", "install"),
        (
            change(DESCRIPTION, "python3 server", "bin/x server"),
            DESCRIPTION, "run:", "bin/x is not in the repository", "under `build:`",
        ),
        (
            append(DESCRIPTION, "environments:\n  live: {branch: main}\n  qa: {after: live}\n"),
            DESCRIPTION, "qa:", "qa has no file configs/environments/qa.env", "kickoff upgrade",
        ),
        (append(DESCRIPTION, "environments: {live: {after: x}}\n"), DESCRIPTION, "live", "not declared", "leave"),
        (append(PRODUCTION, "CANARY_HODL=3s\n"), PRODUCTION, "HODL", "CANARY_HODL", "CANARY_HOLD"),
        (change(STAGING, "=8100", "=8200"), STAGING, "=8200", "production.env:2", "another value"),
        (remove(CD), CD, "", "is missing", "kickoff init"),
        (append(CD, "  x: [\n"), CD, None, "not YAML", "resolve"),
        (change(CD, "actions/plan@", "actions/plam@"), CD, "plam", "no action is called plam", "did you mean plan?"),
        (change(CD, f"@{TAG}", "@v9.9.9"), CD, "@v9.9.9", "GitHub runs acme/kickoff@v9.9.9", "kickoff upgrade"),
        (change(CD, f"kickoff {__version__} ", "kickoff 0.0.9 "), CD, "0.0.9", "kickoff 0.0.9 generated", "kickoff upgrade"),
        (append(CD, "<<<<<<< yours\n"), CD, None, "", ""),
        (append(str(record.FILE), "x"), str(record.FILE), "", "cannot be used", "git checkout HEAD"),
        (change(DESCRIPTION, "health:", "#"), DESCRIPTION, "", "'health' is a required property", "service.md"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_fix(  # noqa: PLR0917
    root: Path, breaks: Callable[[Path], object], file: str, line: str | None, message: str, fix: str
) -> None:
    breaks(root)
    found = [
        one
        for one in validate(root).findings
        if one.file == file and message in one.message and fix in one.fix
    ]
    assert found, validate(root).findings
    if line is not None:
        assert found[0].line == (line_of(root, file, line) if line else 1)


def test_all_mistakes_are_told_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(DESCRIPTION, "helth: /\n")(root)
    change(DESCRIPTION, "name:", "name: 3 #")(root)
    append(PRODUCTION, "NO_SUCH=1\n")(root)
    remove(CD)(root)
    assert main.main(["validate"]) == 2
    said = capsys.readouterr().out
    assert said.count("fix: ") == 4 and "✗ 4 problems" in said
    assert main.main(["validate", "--json"]) == 2
    assert len(check("validate", capsys.readouterr().out)["findings"]) == 4


def test_a_changed_declaration_asks_for_new_workflows(root: Path) -> None:
    append(DESCRIPTION, "environments:\n  production: {branch: main}\n")(root)
    found = {one.file: one.fix for one in validate(root).findings}
    assert found == dict.fromkeys([CD, ".github/workflows/rollback.yml"], "`kickoff upgrade`")
    assert main.main(["upgrade"]) == 0
    assert validate(root).findings == []


def test_a_conflict_that_waits_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(PRODUCTION, "DEPLOY_TARGET", "<<<<<<< yours\n=======\n>>>>>>> kickoff 1\nDEPLOY_TARGET")(root)
    found = [one for one in validate(root).findings if one.rule == "conflict"]
    assert [(one.file, one.line) for one in found] == [(PRODUCTION, line_of(root, PRODUCTION, "<<<<<<<"))]
    monkeypatch.setattr(generation, "__version__", "0.0.1")
    assert f"kickoff {__version__} generated" in "".join(one.message for one in validate(root).findings)


def hints(root: Path, *, here: bool = True) -> list[Finding]:
    found = validate(root, here=here)
    assert found.findings == []
    return found.hints


def test_what_may_be_wrong_is_a_hint(root: Path) -> None:
    (root / "server.py").write_text("serve(8000)\n")
    [port] = hints(root)
    assert (port.rule, port.line) == ("port", line_of(root, DESCRIPTION, "run:"))
    change(DESCRIPTION, "server.py", "server.py {port}")(root)
    assert hints(root) == []
    change(DESCRIPTION, "run: python3", "run: dino")(root)
    [program] = hints(root, here=False)
    assert program.rule == "program"
    assert main.main(["init", "--yes", f"--actions=owner/kickoff@{TAG}"]) == 0
    assert "kickoff init --actions OWNER/REPO@REF" in hints(root, here=False)[1].fix
