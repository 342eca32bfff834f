"""The part of ``release.yml`` that needs nothing of GitHub, run by act for tags of a small copy of this repository."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kickoff import __version__
from tests.actions.conftest import ROOT, act_command, read_log
from tests.repository import Repository

pytestmark = pytest.mark.e2e
VERSION = "9.8.7"
WHEEL = re.compile(rf"^([0-9a-f]{{64}})  dist/kickoff-{re.escape(VERSION)}-py3-none-any\.whl$", re.M)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The product alone, in the commit of a release."""
    made = Repository(tmp_path / "kickoff")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in (".github", "actions", "src", "scripts", "requirements"):
        shutil.copytree(ROOT / name, made.root / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "CHANGELOG.md"):
        shutil.copy(ROOT / name, made.root / name)
    package = made.root / "src" / "kickoff" / "__init__.py"
    package.write_text(package.read_text(encoding="utf-8").replace(f'"{__version__}"', f'"{VERSION}"'))
    made.write("CHANGELOG.md", f"# Changes\n\n## {VERSION} - 2026-11-26\n\n### Added\n\n- Something.\n")
    made.commit("Release")
    return made


def act(repository: Repository, folder: Path, tag: str) -> tuple[dict[str, str], str]:
    """Run check and build for a push of a tag; return how the jobs ended, and the log."""
    folder.mkdir()
    payload = {"ref": f"refs/tags/{tag}"}
    command, env = act_command(folder, "release.yml", "push", payload, {"KICKOFF_VENV": sys.prefix})
    done = subprocess.run(
        [*command, "--job", "build"],
        cwd=repository.root,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    jobs, log = read_log(done.stdout + done.stderr)
    if "Failed to fetch" in log:
        pytest.skip("the package index cannot be reached, so nothing is built")
    return jobs, log


def test_a_tag_that_the_tree_bears_out_is_built_and_any_other_is_not(
    repository: Repository, tmp_path: Path
) -> None:
    jobs, log = act(repository, tmp_path / "first", f"kickoff-v{VERSION}")
    assert jobs == {"check": "success", "build": "success"}, log[-4000:]
    [digest] = WHEEL.findall(log)
    jobs, log = act(repository, tmp_path / "again", f"kickoff-v{VERSION}")
    assert WHEEL.findall(log) == [digest], "the same commit, on another day"

    jobs, log = act(repository, tmp_path / "other", "kickoff-v9.8.8")
    assert jobs == {"check": "failure"}
    assert f"the tag kickoff-v9.8.8 is not that of version {VERSION}" in log
