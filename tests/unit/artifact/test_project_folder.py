"""A project in a folder of a repository: its commits, its content and its artefact are that folder's alone."""

from pathlib import Path

import pytest

from kickoff.artifact import build_key, bundle, source
from kickoff.artifact.build_steps import Steps
from kickoff.description import BuildStep
from kickoff.errors import ExitCode, KickoffError
from kickoff.service import EVERYTHING, ImageSource
from tests.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    for name in ("api", "web"):
        made.write(f"services/{name}/Dockerfile", "FROM scratch\n")
        made.write(f"services/{name}/server.py", f"print('{name}')\n")
    made.commit()
    return made


def place(repository: Repository, name: str = "api") -> Path:
    return repository.root / "services" / name


def digest(root: Path, store: Path, steps: Steps | None = None) -> str:
    return bundle.build(root, source.resolve(root), (EVERYTHING,), store, steps).digest


def test_a_commit_beside_the_project_is_none_of_it(repository: Repository, tmp_path: Path) -> None:
    api = place(repository)
    first, tree, before = source.resolve(api), source.tree(api, "HEAD"), digest(api, tmp_path / "store")
    repository.write("services/web/server.py", "print('two')\n")
    repository.write("README.md", "# Of all\n")
    beside = repository.commit()
    assert source.resolve(api) == source.resolve(api, beside) == first
    assert source.resolve(place(repository, "web")) == source.resolve(repository.root) == beside
    assert source.tree(api, "HEAD") == tree != source.tree(repository.root, "HEAD")
    assert digest(api, tmp_path / "store") == before
    repository.write("services/api/server.py", "print('two')\n")
    assert source.resolve(api) == first, "what is not committed counts for nothing"
    second = repository.commit()
    assert source.resolve(api) == second
    assert source.resolve(api, beside) == first
    assert digest(api, tmp_path / "store") != before


def test_a_merge_is_the_commit_that_the_branch_got(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.write("services/api/server.py", "print('feature')\n")
    feature = repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("services/web/server.py", "print('main')\n")
    repository.commit()
    repository.git("merge", "--quiet", "--no-ff", "--message=Merge", "feature")
    merged = repository.git("rev-parse", "HEAD").strip()
    repository.write("services/web/server.py", "print('later')\n")
    repository.commit()
    assert source.resolve(place(repository)) == merged
    assert source.resolve(place(repository), "feature") == feature


def test_only_the_projects_files_are_in_what_is_made_of_it(repository: Repository, tmp_path: Path) -> None:
    api = place(repository)
    commit = source.resolve(api)
    names = [entry.path for entry in source.shipped(api, commit, (EVERYTHING,))]
    assert names == ["Dockerfile", "server.py"]
    source.checkout(api, commit, tmp_path / "tree")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == names
    assert source.holds(api, commit, "server.py")
    assert not source.holds(api, commit, "services")


def test_the_way_out_of_the_folder_is_refused(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="outside the bundle"):
        bundle.build(place(repository), source.resolve(place(repository)), ("../web",), tmp_path / "store")


def test_build_steps_and_the_image_follow_from_the_folder(repository: Repository, tmp_path: Path) -> None:
    api = place(repository)
    step = BuildStep(("sh", "-c", "ls > made; date -u -d @$SOURCE_DATE_EPOCH >> made"), ("made",), 60, "")
    steps = Steps((step,))

    def image() -> build_key.Recipe:
        source_ = ImageSource("Dockerfile", ("server.py",), "", ())
        return build_key.read(api, source.resolve(api), source_)

    before, made = digest(api, tmp_path / "one", steps), image()
    assert made.paths == ("server.py", "Dockerfile")
    repository.write("services/web/server.py", "print('two')\n")
    repository.commit()
    assert digest(api, tmp_path / "two", steps) == before
    assert image() == made
    repository.write("services/api/Dockerfile", "FROM scratch\nUSER 1\n")
    repository.commit()
    assert image().key != made.key


def test_a_commit_without_the_project_is_refused(repository: Repository) -> None:
    new = place(repository, "new")
    new.mkdir()
    with pytest.raises(KickoffError, match=r"holds nothing of services/new") as caught:
        source.resolve(new)
    assert caught.value.code is ExitCode.BAD_INPUT
    repository.git("rm", "--quiet", "-r", "services/web")
    repository.commit()
    gone = place(repository, "web")
    gone.mkdir(exist_ok=True)
    with pytest.raises(KickoffError, match=r"holds nothing of services/web"):
        source.resolve(gone)


def test_changes_are_named_as_the_repository_names_them(repository: Repository) -> None:
    repository.write("services/web/server.py", "print('dirty')\n")
    assert source.changes(place(repository)) == []
    repository.write("services/api/server.py", "print('dirty')\n")
    assert source.changes(place(repository)) == ["services/api/server.py"]
