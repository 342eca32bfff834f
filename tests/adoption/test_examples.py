"""Each service of ``examples/``, in a repository of its own: from nothing to released, changed, broken, gone back."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.adoption.foreign import REPOSITORY, Foreign
from tests.e2e.containers import engine_problem, registry, remove_project

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
        needs: Program without which it cannot be shipped from here.
        image: Base of its image.
    """

    name: str
    path: str
    first: str
    change: tuple[str, str, str]
    fault: tuple[str, str, str]
    refused: str
    also: str = ""
    needs: str = "python3"
    image: str = "python:3.13.7-alpine3.22"


EXAMPLES = (
    Example(
        "static-site",
        "/",
        "nine to five",
        ("public/index.html", "nine to five", "nine to four"),
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
        image="node:22.19-alpine3.22",
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


@dataclass(frozen=True)
class Shipped:
    """An example in its repository, and where it is shipped to.

    Attributes:
        foreign: The repository.
        example: What is in it.
        environment: ``development`` on the local target, ``staging`` in containers.
        init: Further arguments of ``kickoff init``.
    """

    foreign: Foreign
    example: Example
    environment: str
    init: tuple[str, ...] = ()


def repository(example: Example, folder: Path) -> Foreign:
    made = Foreign(folder, branch="trunk")
    (made.root / "server.py").unlink()
    shutil.copytree(REPOSITORY / "examples" / example.name, made.root, dirs_exist_ok=True)
    return made


def missing(example: Example, *, contained: bool = False) -> str:
    """Return what this machine lacks to ship ``example``; empty when nothing."""
    if not contained:
        return "" if shutil.which(example.needs) else f"{example.needs} is not installed"
    for command in (["image", "inspect"], ["pull"]):
        done = subprocess.run(
            ["docker", *command, example.image], capture_output=True, timeout=300, check=False
        )
        if done.returncode == 0:
            return ""
    return f"{example.image} is not here, and no registry gives it"


@pytest.fixture(params=EXAMPLES, ids=lambda one: one.name)
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shipped]:
    example: Example = request.param
    if problem := missing(example):
        pytest.skip(problem)
    made = repository(example, tmp_path)
    yield Shipped(made, example, "development")
    if (made.root / "configs").exists():
        made.kickoff("stop", "--env", "development")


@pytest.fixture(
    params=[
        pytest.param(one, id=one.name, marks=[] if one.also else [pytest.mark.nightly]) for one in EXAMPLES
    ]
)
def contained(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shipped]:
    if engine_problem():
        pytest.skip(engine_problem())
    example: Example = request.param
    if problem := missing(example, contained=True):
        pytest.skip(problem)
    made, name = repository(example, tmp_path), f"example-{secrets.token_hex(3)}"
    with ExitStack() as stack:
        stack.callback(remove_project, f"{name}-staging")
        made.variables["IMAGE_REPOSITORY"] = f"{stack.enter_context(registry())}/{name}"
        yield Shipped(made, example, "staging", ("--docker", f"--name={name}"))


def edit(foreign: Foreign, change: tuple[str, str, str]) -> None:
    """Change a text of a file and commit it."""
    name, old, new = change
    text = (foreign.root / name).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} in {name}"
    foreign.write(name, text.replace(old, new))
    foreign.commit(f"Change {name}")


def test_an_example_is_released_changed_broken_and_rolled_back(local: Shipped) -> None:
    walk(local)


def test_an_example_is_the_same_in_containers(contained: Shipped) -> None:
    walk(contained)


def walk(shipped: Shipped) -> None:
    """Release an example, change it, break it and go back."""
    foreign, example, environment = shipped.foreign, shipped.example, shipped.environment
    foreign.kickoff("init", "--yes", *shipped.init)
    text = (foreign.root / "kickoff.yml").read_text(encoding="utf-8") + example.also
    # Whether a release got slower is decided elsewhere, by longer measurements than a test of an example can wait for.
    foreign.write("kickoff.yml", f"{text}load: none\n")
    foreign.write(f"configs/environments/{environment}.env", f"PUBLIC_PORT={foreign.port}\nBAKE_TIME=2s\n")
    foreign.commit("Ship with Kickoff")
    release = ("release", "--env", environment)

    def answer() -> str:
        found = httpx.get(foreign.address + example.path, timeout=5, trust_env=False)
        assert found.status_code == 200
        return found.text

    assert "✓ RELEASED" in foreign.kickoff(*release, limit=_RELEASE)
    assert example.first in answer()
    first = foreign.json("status", "--env", environment)["live"]["release"]
    edit(foreign, example.change)
    assert "✓ RELEASED" in foreign.kickoff(*release, limit=_RELEASE)
    second = example.change[2].partition(":")[0]
    assert second in answer()
    assert "UNCHANGED" in foreign.kickoff(*release, limit=_RELEASE)

    edit(foreign, example.fault)
    code = 5 if example.refused.endswith("BACK") else 1
    assert example.refused in foreign.kickoff(*release, code=code, limit=_RELEASE)
    assert second in answer(), "the release before serves on"

    foreign.kickoff("rollback", "--env", environment, "--to", first, limit=_RELEASE)
    assert second not in answer()
    assert example.first in answer()
