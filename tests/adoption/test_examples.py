"""Each service of ``examples/``, in a repository of its own: from nothing to released, changed, broken, gone back."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.adoption.foreign import REPOSITORY, Foreign

pytestmark = pytest.mark.e2e
_RELEASE = 240.0


@dataclass(frozen=True)
class Example:
    """One service, and what is done to it.

    Attributes:
        name: Its folder in ``examples/``.
        path: What is asked of it, to see which version serves.
        first: Text in the answer of the first version.
        change: File, text in it, and what the text becomes in the second version; the answer holds that, too.
        fault: The same for a version that must be refused.
        refused: How the refusal begins.
        also: Lines that the team adds to kickoff.yml.
        needs: Program without which it cannot be shipped.
    """

    name: str
    path: str
    first: str
    change: tuple[str, str, str]
    fault: tuple[str, str, str]
    refused: str
    also: str = ""
    needs: str = "python3"


EXAMPLES = (
    Example(
        "static-site",
        "/",
        "nine to five",
        ("public/index.html", "nine to five", "ten to six"),
        ("kickoff.yml", "health: /", "health: /nothing"),
        "✗ REJECTED",
    ),
    Example(
        "node-build",
        "/",
        "Good morning",
        ("src/greeting.txt", "Good morning", "Good evening"),
        ("src/server.js", 'response.end("ok\\n")', "response.writeHead(500).end()"),
        "✗ REJECTED",
        needs="node",
    ),
    Example(
        "python-worker",
        "/jobs",
        '"jobs"',
        ("server.py", '"jobs": total', '"taken": total, "jobs": total'),
        ("worker.py", "database = connect()", "raise SystemExit(3)"),
        "ROLLED BACK",
        also="processes:\n  worker: {command: python3 worker.py}\nhooks: {pre_deploy: python3 store.py}\n",
    ),
)


@pytest.fixture(params=EXAMPLES, ids=lambda one: one.name)
def shipped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Foreign, Example]]:
    example: Example = request.param
    if shutil.which(example.needs) is None:
        pytest.skip(f"{example.needs} is not installed")
    made = Foreign(tmp_path, branch="trunk")
    (made.root / "server.py").unlink()
    shutil.copytree(REPOSITORY / "examples" / example.name, made.root, dirs_exist_ok=True)
    yield made, example
    if (made.root / "configs").exists():
        made.kickoff("stop", "--env", "development")


def edit(foreign: Foreign, change: tuple[str, str, str]) -> None:
    """Change a text of a file and commit it."""
    name, old, new = change
    text = (foreign.root / name).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} in {name}"
    foreign.write(name, text.replace(old, new))
    foreign.commit(f"Change {name}")


def test_an_example_is_released_changed_broken_and_rolled_back(shipped: tuple[Foreign, Example]) -> None:
    foreign, example = shipped
    foreign.kickoff("init", "--yes")
    text = (foreign.root / "kickoff.yml").read_text(encoding="utf-8") + example.also
    # Whether a release got slower is decided elsewhere, by longer measurements than a test of an example can wait for.
    foreign.write("kickoff.yml", f"{text}load: none\n")
    foreign.write("configs/environments/development.env", f"PUBLIC_PORT={foreign.port}\nBAKE_TIME=2s\n")
    foreign.commit("Ship with Kickoff")
    release = ("release", "--env", "development")

    def answer() -> str:
        found = httpx.get(foreign.address + example.path, timeout=5, trust_env=False)
        assert found.status_code == 200
        return found.text

    assert "✓ RELEASED" in foreign.kickoff(*release, limit=_RELEASE)
    assert example.first in answer()
    first = foreign.json("status", "--env", "development")["live"]["release"]
    edit(foreign, example.change)
    assert "✓ RELEASED" in foreign.kickoff(*release, limit=_RELEASE)
    second = example.change[2].partition(":")[0]
    assert second in answer()
    assert "UNCHANGED" in foreign.kickoff(*release, limit=_RELEASE)

    edit(foreign, example.fault)
    code = 5 if example.refused.endswith("BACK") else 1
    assert example.refused in foreign.kickoff(*release, code=code, limit=_RELEASE)
    assert second in answer(), "the release before serves on"

    foreign.kickoff("rollback", "--env", "development", "--to", first, limit=_RELEASE)
    assert second not in answer()
    assert example.first in answer()
