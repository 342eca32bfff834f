"""The bundle: a digest of content alone, stored once, verified and unpacked safely."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from kickoff import artifact
from kickoff.artifact import bundle, source
from kickoff.errors import KickoffError
from tests.unit.artifact.repositories import Repository, build, commit, git


def test_the_digest_depends_on_content_alone(repository: Repository, tmp_path: Path) -> None:
    one, two = repository("one"), repository("two")
    os.utime(two / "app" / "main.py", (0, 0))
    (two / "other.txt").write_text("changed, but not shipped\n")
    commit(two, "another time, another message")
    (two / "app" / "main.py").write_text("not committed\n")
    (two / "app" / "start.sh").chmod(0o775)
    first, second = build(one, tmp_path / "a"), build(two, tmp_path / "b")
    assert first.commit != second.commit
    assert first.digest == second.digest
    assert first.path.read_bytes() == second.path.read_bytes()


@pytest.mark.parametrize("what", ["content", "name", "executable bit", "link"])
def test_the_digest_depends_on_all_content(repository: Repository, tmp_path: Path, what: str) -> None:
    root = repository("one")
    before = build(root, tmp_path / "store")
    app = root / "app"
    if what == "content":
        (app / "main.py").write_text("print(2)\n")
    elif what == "name":
        (app / "main.py").rename(app / "moved.py")
    elif what == "executable bit":
        (app / "main.py").chmod(0o755)
    else:
        (app / "link").unlink()
        (app / "link").symlink_to("main.py")
    commit(root)
    assert build(root, tmp_path / "store").digest != before.digest


def test_building_again_changes_nothing(repository: Repository, tmp_path: Path) -> None:
    root, store = repository("one"), tmp_path / "store"
    first = build(root, store)
    stamp = first.path.stat().st_mtime_ns
    second = build(root, store)
    assert first.created
    assert not second.created
    assert (second.digest, second.path) == (first.digest, first.path)
    assert second.path.stat().st_mtime_ns == stamp
    assert [path.name for path in store.iterdir()] == [first.path.name]


def test_a_damaged_bundle_is_built_anew(repository: Repository, tmp_path: Path) -> None:
    root, store = repository("one"), tmp_path / "store"
    first = build(root, store)
    first.path.write_bytes(b"damaged")
    second = build(root, store)
    assert second.created
    artifact.verify(second.path, first.digest)


def test_what_is_unpacked_is_what_was_committed(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    made = build(root, tmp_path / "store")
    target = tmp_path / "target"
    artifact.unpack(artifact.find(tmp_path / "store", made.digest), target)
    assert (target / "app" / "main.py").read_text() == "print(1)\n"
    assert (target / "app" / "link" / "é and space.txt").read_text() == "text\n"
    assert (target / "app" / "start.sh").stat().st_mode & 0o777 == 0o755
    assert (target / "app" / "main.py").stat().st_mode & 0o111 == 0
    assert not (target / "other.txt").exists()


def test_an_earlier_commit_can_be_built(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    first, digest = git(root, "rev-parse", "HEAD"), build(root, tmp_path / "store").digest
    (root / "app" / "main.py").write_text("print(2)\n")
    commit(root)
    assert build(root, tmp_path / "other", first).digest == digest


def test_a_commit_is_exported_whole(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    source.checkout(root, source.resolve(root), tmp_path / "tree")
    assert (tmp_path / "tree" / "other.txt").is_file()


def test_the_store_is_left_clean_when_building_fails(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = repository("one"), tmp_path / "store"

    def full(_: Path) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "_digest_of", full)
    with pytest.raises(OSError, match="No space"):
        build(root, store)
    assert list(store.iterdir()) == []


def test_no_repository_no_commit_no_revision(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="not in a git repository"):
        source.resolve(tmp_path)
    git(tmp_path, "init", "--quiet")
    with pytest.raises(KickoffError, match="no commit yet") as error:
        source.resolve(tmp_path)
    assert "git commit" in error.value.hint
    commit(tmp_path)
    for revision in ("nowhere", "--all", ""):
        with pytest.raises(KickoffError, match="no commit is called"):
            source.resolve(tmp_path, revision)


def test_a_missing_path_is_named(repository: Repository, tmp_path: Path) -> None:
    root = repository("one")
    (root / "new").mkdir()
    (root / "new" / "file").touch()
    with pytest.raises(KickoffError, match="does not hold new, gone") as error:
        artifact.build(root, source.resolve(root), ["app", "new", "gone"], tmp_path / "store")
    assert "git add new" in error.value.hint


def test_a_submodule_is_refused(repository: Repository, tmp_path: Path) -> None:
    root, module = repository("one"), repository("module")
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(module), "app/module")
    commit(root)
    with pytest.raises(KickoffError, match="app/module is a submodule"):
        build(root, tmp_path / "store")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "sub/../../outside"])
def test_a_link_out_of_the_bundle_is_refused_when_building(
    repository: Repository, tmp_path: Path, target: str
) -> None:
    root = repository("one")
    (root / "app" / "evil").symlink_to(target)
    commit(root)
    with pytest.raises(KickoffError, match="app/evil"):
        build(root, tmp_path / "store")


def test_changes_lists_what_a_commit_would_not_ship(repository: Repository) -> None:
    root = repository("one")
    assert source.changes(root) == []
    (root / "app" / "main.py").write_text("changed\n")
    (root / "app" / "new file.py").touch()
    (root / "other.txt").write_text("changed\n")
    git(root, "mv", "app/start.sh", "app/begin.sh")
    assert sorted(source.changes(root, ["app"])) == ["app/begin.sh", "app/main.py", "app/new file.py"]
    assert len(source.changes(root)) == 4


def test_verify_names_missing_damaged_and_malformed(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    with pytest.raises(KickoffError, match="is not at") as missing:
        artifact.find(tmp_path, digest)
    assert missing.value.code == 4
    (tmp_path / ("0" * 64 + ".tar")).write_bytes(b"other")
    with pytest.raises(KickoffError, match="not what was built") as damaged:
        artifact.find(tmp_path, digest)
    assert damaged.value.code == 1
    for text in ("", "sha256:../../etc/passwd", "0" * 64, "sha256:" + "0" * 63, digest + "\n"):
        with pytest.raises(KickoffError, match="is no digest"):
            artifact.find(tmp_path, text)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "members",
    [
        [member("/etc/evil")],
        [member("../evil")],
        [member("a/../../evil")],
        [member("link", tarfile.SYMTYPE, "/etc")],
        [member("link", tarfile.SYMTYPE, "../x")],
        [member("a", tarfile.SYMTYPE, "b"), member("a/evil")],
        [member("d", tarfile.SYMTYPE, "s/t"), member("e", tarfile.SYMTYPE, "d/../..")],
        [member("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("device", tarfile.CHRTYPE)],
    ],
    ids=lambda members: "+".join(f"{m.name}>{m.linkname}" for m in members),
)
def test_an_unsafe_archive_is_refused_before_anything_is_written(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    path, target = tmp_path / "evil.tar", tmp_path / "target"
    with tarfile.open(path, "w") as tar:
        for entry in [member("good"), *members]:
            tar.addfile(entry, io.BytesIO())
    with pytest.raises(KickoffError):
        artifact.unpack(path, target)
    assert list(target.iterdir()) == []


def test_unpacking_needs_a_tar_and_an_empty_folder(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(KickoffError, match="not a tar"):
        artifact.unpack(path, tmp_path / "target")
    (tmp_path / "target" / "file").touch()
    with pytest.raises(KickoffError, match="not empty"):
        artifact.unpack(path, tmp_path / "target")


def test_the_folder_of_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert artifact.directory({"KICKOFF_ARTIFACT_DIR": "/somewhere"}) == Path("/somewhere")
    assert artifact.directory({}) == tmp_path / ".kickoff" / "artifacts"
