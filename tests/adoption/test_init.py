"""From an empty start to a release: ``kickoff init``, a commit, ``kickoff deploy``, outside this repository."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.adoption.foreign import SERVICE, Foreign

pytestmark = pytest.mark.e2e
_DEPLOY = 240.0


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Foreign]:
    made = Foreign(tmp_path, branch="master")
    yield made
    if (made.root / "configs").exists():
        made.kickoff("stop", "--env", "development")


def test_a_service_is_released_from_an_empty_start(foreign: Foreign) -> None:
    said = foreign.kickoff("init", "--yes")
    assert "next: git add" in said
    owned = sum(
        len((foreign.root / name).read_text(encoding="utf-8").splitlines())
        for name in (
            "kickoff.yml",
            *(f"configs/environments/{one}.env" for one in ("development", "staging")),
        )
    )
    assert owned <= 40
    foreign.commit("Ship with Kickoff")
    assert foreign.json("validate")["findings"] == []
    shipped = foreign.kickoff("deploy", "--plain", limit=_DEPLOY)
    assert "✓ RELEASED" in shipped
    assert httpx.get(foreign.address, timeout=5, trust_env=False).text == "one"

    # The first release was measured; what a busy machine makes of comparing two is not what is tested here.
    description = (foreign.root / "kickoff.yml").read_text(encoding="utf-8")
    foreign.write("kickoff.yml", f"{description}load: none\n")
    foreign.write("server.py", SERVICE.replace("TEXT", "two"))
    foreign.commit("Say two")
    assert "✓ RELEASED" in foreign.kickoff("deploy", "--plain", limit=_DEPLOY)
    assert httpx.get(foreign.address, timeout=5, trust_env=False).text == "two"

    foreign.kickoff("rollback", "--env", "development", limit=_DEPLOY)
    assert httpx.get(foreign.address, timeout=5, trust_env=False).text == "one"


def test_init_and_upgrade_again_leave_the_tree_clean(foreign: Foreign) -> None:
    foreign.kickoff("init", "--yes")
    foreign.commit("Ship with Kickoff")
    foreign.kickoff("init", "--yes")
    foreign.kickoff("upgrade")
    assert foreign.git("status", "--porcelain") == ""
