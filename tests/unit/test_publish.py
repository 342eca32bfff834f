"""A release of Kickoff: its tag is checked against the tree, and the tag of the major version moves forward only."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from kickoff import __version__
from kickoff.errors import ExitCode, KickoffError
from tests.repository import Repository
from tests.unit.gh_stand_in import GitHub

ROOT = Path(__file__).resolve().parents[2]
CHANGES = """# Changes

## 1.3.0 - unreleased

### Added

- Something new.

## 1.2.0 - 2026-11-26

### Fixed

- Something old.
"""
REFS = "repos/acme/kickoff/git"
LISTED = f"GET {REFS}/matching-refs/tags/kickoff-v1?per_page=100"


@pytest.fixture(scope="module")
def publish() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publish", ROOT / "scripts" / "publish" / "publish.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_release_tells_the_section_of_its_version(publish: ModuleType) -> None:
    assert publish.check("kickoff-v1.2.0", CHANGES, "1.2.0") == "### Fixed\n\n- Something old."


@pytest.mark.parametrize(
    ("tag", "version", "said"),
    [
        ("kickoff-v1.2.0", "1.2.0.dev0", "between releases"),
        ("kickoff-v1.2.0", "1.2", "between releases"),
        ("kickoff-v1.2.1", "1.2.0", "is not that of version 1.2.0"),
        ("v1.2.0", "1.2.0", "is not that of version 1.2.0"),
        ("kickoff-v1.3.0", "1.3.0", "no section of 1.3.0 with a date"),
        ("kickoff-v1.2.1", "1.2.1", "no section of 1.2.1"),
    ],
)
def test_a_tag_that_the_tree_does_not_bear_out_is_refused(
    publish: ModuleType, tag: str, version: str, said: str
) -> None:
    with pytest.raises(KickoffError, match=re.escape(said)) as caught:
        publish.check(tag, CHANGES, version)
    assert caught.value.code == ExitCode.BAD_INPUT
    assert caught.value.hint


def test_a_section_without_a_word_is_none(publish: ModuleType) -> None:
    with pytest.raises(KickoffError, match="no section"):
        publish.check("kickoff-v1.2.0", "## 1.2.0 - 2026-11-26\n\n## 1.1.0 - 2026-11-25\n\n- More\n", "1.2.0")


@pytest.fixture
def hub(publish: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    made = GitHub(tmp_path / "hub")
    made.use(monkeypatch)
    repository = Repository(tmp_path / "repository")
    repository.commit()
    monkeypatch.setattr(publish, "ROOT", repository.root)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/kickoff")
    return made


def head(publish: ModuleType) -> str:
    return str(publish.git.run(publish.ROOT, "rev-parse", "HEAD").stdout.strip())


def refs(*tags: str) -> list[dict[str, str]]:
    return [{"ref": f"refs/tags/{tag}"} for tag in tags]


def test_the_first_release_of_a_major_version_makes_its_tag(publish: ModuleType, hub: GitHub) -> None:
    hub.answer(LISTED, refs("kickoff-v1.0.0"))
    hub.answer(f"POST {REFS}/refs", {})
    assert publish.move("kickoff-v1.0.0") == f"kickoff-v1 is {head(publish)[:7]}"
    assert hub.calls()[-1] == (
        "POST",
        f"{REFS}/refs",
        {"ref": "refs/tags/kickoff-v1", "sha": head(publish)},
    )


def test_a_later_one_moves_it(publish: ModuleType, hub: GitHub) -> None:
    hub.answer(LISTED, refs("kickoff-v1", "kickoff-v1.9.0", "kickoff-v1.10.0", "kickoff-v11.0.0"))
    hub.answer(f"PATCH {REFS}/refs/tags/kickoff-v1", {})
    assert "kickoff-v1 is" in publish.move("kickoff-v1.10.0")
    assert hub.calls()[-1][2] == {"sha": head(publish), "force": True}


def test_a_mend_of_an_older_one_leaves_it(publish: ModuleType, hub: GitHub) -> None:
    hub.answer(LISTED, refs("kickoff-v1", "kickoff-v1.9.1", "kickoff-v1.10.0"))
    assert publish.move("kickoff-v1.9.1") == "kickoff-v1 stays where it is: kickoff-v1.10.0 is newer"
    assert [method for method, _, _ in hub.calls()] == ["GET"]


def test_what_github_refuses_is_told_with_the_permission(publish: ModuleType, hub: GitHub) -> None:
    hub.answer(LISTED, refs("kickoff-v1.0.0"))
    hub.refuse(f"POST {REFS}/refs", 403, "Resource not accessible by integration")
    with pytest.raises(KickoffError) as caught:
        publish.move("kickoff-v1.0.0")
    assert "contents: write" in caught.value.hint


def test_the_snippets_of_the_actions_name_the_tag_that_moves() -> None:
    moving = f"kickoff-v{__version__.partition('.')[0]}"
    named = {
        (path.parent.name, ref)
        for path in (ROOT / "actions").glob("*/README.md")
        for ref in re.findall(r"uses: owner/kickoff/actions/[\w-]+@(\S+)", path.read_text(encoding="utf-8"))
    }
    assert {ref for _, ref in named} == {moving}, sorted(one for one in named if one[1] != moving)
    assert len({name for name, _ in named}) == len(list((ROOT / "actions").glob("*/action.yml")))
