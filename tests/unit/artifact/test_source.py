"""The content of a commit is that of git's objects, whatever attributes, filters and variables say."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kickoff import git as asking
from kickoff.artifact import bundle, source
from kickoff.errors import ExitCode, KickoffError
from kickoff.pipeline import repository as pipeline
from tests.unit.artifact.repositories import Repository, build, commit, git

ROOT = Path(__file__).resolve().parents[3]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"


def unpacked(root: Path, folder: Path) -> dict[str, str]:
    """Return path and content of every file in the bundle of the last commit."""
    made = build(root, folder / "store")
    bundle.unpack(made.path, folder / "unpacked")
    found = sorted(
        path for path in (folder / "unpacked").rglob("*") if path.is_file() and not path.is_symlink()
    )
    return {str(path.relative_to(folder / "unpacked")): path.read_text() for path in found}


def attributes(root: Path, text: str) -> None:
    """Set attributes in the commit."""
    (root / "app" / ".gitattributes").write_text(text)
    commit(root)


@pytest.mark.parametrize(
    "text",
    [
        "main.py export-ignore\n",
        "main.py export-subst\n",
        "main.py text eol=crlf\n",
        "main.py filter=shout\n",
        "main.py ident\n",
    ],
)
def test_no_attribute_of_the_commit_changes_what_ships(
    text: str, repository: Repository, tmp_path: Path
) -> None:
    root = repository("one")
    (root / "app" / "main.py").write_text("$Format:%H$ $Id$ main\n")
    git(root, "config", "filter.shout.smudge", "tr a-z A-Z")
    commit(root)
    attributes(root, text)
    assert unpacked(root, tmp_path)["app/main.py"] == "$Format:%H$ $Id$ main\n"
    source.checkout(root, source.resolve(root), tmp_path / "tree")
    assert (tmp_path / "tree" / "app" / "main.py").read_text() == "$Format:%H$ $Id$ main\n"


def test_nothing_of_this_machine_changes_what_ships(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository("one")
    digest = build(root, tmp_path / "a").digest
    (tmp_path / "attributes").write_text("* export-ignore filter=shout eol=crlf text\n")
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "attributes").write_text("*.py export-ignore\n")
    (tmp_path / "gitconfig").write_text(
        f"[core]\n attributesFile = {tmp_path / 'attributes'}\n autocrlf = true\n eol = crlf\n"
        '[filter "shout"]\n smudge = tr a-z A-Z\n required = true\n[tar]\n umask = 0077\n'
        "[log]\n showSignature = true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_ATTR_SOURCE", "HEAD")
    monkeypatch.setenv("GIT_ICASE_PATHSPECS", "1")
    assert build(root, tmp_path / "b").digest == digest
    assert len(source.committed_at(root, "HEAD").splitlines()) == 1


def test_replacements_and_clones_make_no_difference(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    digest = build(root, tmp_path / "a").digest
    shallow, partial = tmp_path / "shallow", tmp_path / "partial"
    (root / "app" / "main.py").write_text("print(2)\n")
    commit(root)
    git(root, "revert", "--no-edit", "HEAD")
    git(root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", str(shallow))
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{root}", str(partial))
    assert build(shallow, tmp_path / "b").digest == digest
    assert build(partial, tmp_path / "c").digest == digest, "it fetches what it lacks"
    blob, other = git(root, "rev-parse", "HEAD:app/main.py"), git(root, "rev-parse", "HEAD~1:app/main.py")
    git(root, "replace", blob, other)
    assert git(root, "show", "HEAD:app/main.py") == "print(2)"
    assert build(root, tmp_path / "d").digest == digest


def test_a_partial_clone_that_cannot_fetch_says_so(repository: Repository, tmp_path: Path) -> None:
    root, partial = repository("one"), tmp_path / "partial"
    git(root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{root}", str(partial))
    root.rename(tmp_path / "gone")
    with pytest.raises(KickoffError, match="lacks the content of app/") as error:
        build(partial, tmp_path / "store")
    assert error.value.code == ExitCode.UNREACHABLE
    assert "does not appear to be a git repository" in error.value.causes[0]
    assert "--filter" in error.value.hint


def test_an_object_that_is_lost_is_named(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    blob = git(root, "rev-parse", "HEAD:app/start.sh")
    (root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(KickoffError, match=r"lacks the content of app/start\.sh"):
        build(root, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_any_name_is_shipped(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    names = ["a\nb", "ü", '"quoted"', "-dash", "tab\there", "back\\slash", " blank", "x" * 200]
    for name in names:
        (root / "app" / name).write_text(name)
    raw = bytes(root) + b"/app/\xff\xfe"
    Path(raw.decode("utf-8", "surrogateescape")).write_text("no text")
    (root / "app" / "empty").touch()
    commit(root)
    found = unpacked(root, tmp_path)
    assert {name: found[f"app/{name}"] for name in names} == {name: name for name in names}
    assert found["app/\udcff\udcfe"] == "no text"
    assert found["app/empty"] == ""
    source.checkout(root, source.resolve(root), tmp_path / "tree")
    for path, text in found.items():
        assert (tmp_path / "tree" / path).read_text() == text


def test_a_large_file_is_shipped_whole(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    content = bytes(range(256)) * 16384
    (root / "app" / "large").write_bytes(content)
    commit(root)
    bundle.unpack(build(root, tmp_path / "store").path, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "app" / "large").read_bytes() == content


def test_a_pointer_of_lfs_is_refused_by_name(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    (root / "app" / "model.bin").write_text(POINTER)
    (root / "app" / "about lfs.txt").write_text("It begins with " + POINTER)
    (root / "tests.bin").write_text(POINTER)
    commit(root)
    with pytest.raises(KickoffError, match=r"^app/model.bin: the commit holds a pointer of Git LFS") as error:
        build(root, tmp_path / "store")
    assert error.value.code == ExitCode.BAD_INPUT
    assert "git lfs untrack app/model.bin" in error.value.hint
    assert list((tmp_path / "store").iterdir()) == []
    with pytest.raises(KickoffError, match="pointer"):
        bundle.export(root, source.resolve(root), tmp_path / "context", ["app"])
    (root / "app" / "model.bin").unlink()
    commit(root)
    assert build(root, tmp_path / "store").files == 5, "outside the bundle it is nobody's business"


def test_a_whole_commit_is_checked_out_with_links_and_modes(repository: Repository, tmp_path: Path) -> None:
    root, module = repository("one"), repository("module")
    (root / "app" / "out").symlink_to("/nowhere")
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(module), "module")
    commit(root)
    source.checkout(root, source.resolve(root), tmp_path / "tree")
    assert (tmp_path / "tree" / "app" / "link").readlink() == Path("sub")
    assert (tmp_path / "tree" / "app" / "out").readlink() == Path("/nowhere")
    assert (tmp_path / "tree" / "app" / "start.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "tree" / "app" / "main.py").stat().st_mode & 0o777 == 0o644
    assert list((tmp_path / "tree" / "module").iterdir()) == []


# --- git itself -----------------------------------------------------------------------------------------


def test_the_repository_of_a_hook_is_not_taken_for_ours(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, other = repository("one"), repository("other")
    (other / "app" / "main.py").write_text("print('other')\n")
    commit(other)
    here, digest = source.resolve(root), build(root, tmp_path / "a").digest
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other / ".git" / "objects"))
    assert source.resolve(root) == here
    assert build(root, tmp_path / "b").digest == digest
    assert source.changes(root) == []
    assert pipeline.inspect(root, allow_dirty=False).commit == here
    assert not {
        name for name in asking.environment() if name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }


def test_what_configures_git_is_kept() -> None:
    kept = {"GIT_SSH_COMMAND": "ssh -i key", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory"}
    assert asking.environment(kept | {"GIT_DIR": "/x", "PATH": "/bin"}) == kept | {"PATH": "/bin"}


def ask_resolve(root: Path) -> object:
    return source.resolve(root)


def ask_inspect(root: Path) -> object:
    return pipeline.inspect(root, allow_dirty=False)


@pytest.mark.parametrize("ask", [ask_resolve, ask_inspect])
def test_a_repository_of_somebody_else_is_refused_with_git_s_reason_and_fix(
    ask: Callable[[Path], object], repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real = repository("one"), shutil.which("git")
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "{real}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    with pytest.raises(KickoffError, match="dubious ownership") as error:
        ask(root)
    assert error.value.hint == f"git config --global --add safe.directory {root}"
    assert "not in a git repository" not in error.value.render()
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(root))
    assert ask(root)


def test_a_machine_without_git_says_so(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository("one")
    entries = source.shipped(root, source.resolve(root), ["app"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KickoffError, match="git is not installed"):
        source.resolve(root)
    with pytest.raises(KickoffError, match="git is not installed"):
        list(source.contents(root, entries))


# --- those who run the commit's own files ---------------------------------------------------------------


def test_the_quality_gate_judges_the_commit_and_not_the_files_around_it(
    repository: Repository, tmp_path: Path
) -> None:
    root = repository("one")
    (root / "configs").mkdir()
    check = 'test -f app/main.py && test ! -e new && grep -q 1 app/main.py && test -z "$GIT_DIR"'
    (root / "kickoff.yml").write_text(
        "name: demo\nbundle: [app]\nprocesses: {web: {command: [python3]}}\nhealth: {live: /, ready: /}\n"
        f"required_checks: []\nsmoke: [{{name: x, path: /}}]\nquality_gate: [{{name: x, run: [sh, -c, '{check}']}}]\n"
    )
    attributes(root, "main.py export-ignore\n")
    (root / "app" / "main.py").write_text("changed, not committed\n")
    (root / "new").touch()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "quality" / "run_quality_gate.py")],
        cwd=root,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_DIR": str(root / ".git")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / ".kickoff" / "evidence" / "quality-gate.json").is_file()
