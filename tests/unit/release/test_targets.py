"""The registry of targets: a name is a target, decides the artefact, and doubt is refused."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kickoff.artifact.artifact_type import Kind
from kickoff.errors import ExitCode, KickoffError
from kickoff.release import targets

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose staging is local, and whose production is what ``KICKOFF_TARGET`` says."""
    shutil.copytree(ROOT / "configs" / "environments", tmp_path / "configs" / "environments")
    file = tmp_path / "configs" / "environments" / "staging.env"
    file.write_text(f"{file.read_text('utf-8')}DEPLOY_TARGET=local\n", "utf-8")
    return tmp_path


def test_the_target_decides_the_artefact(project: Path) -> None:
    assert targets.artifact_for(project, []) is Kind.BUNDLE
    assert targets.artifact_for(project, ["staging", "development"]) is Kind.BUNDLE
    assert targets.artifact_for(project, ["production"]) is Kind.IMAGE


def test_two_kinds_of_artefact_in_one_run_are_refused(project: Path) -> None:
    with pytest.raises(KickoffError, match="production and staging take different artefacts"):
        targets.artifact_for(project, ["staging", "production"])


def test_an_environment_names_its_target_without_secrets(project: Path) -> None:
    assert targets.chosen(project, "staging") is targets.kind_of("local")
    assert targets.chosen(project, "production") is targets.kind_of("compose")
    assert targets.chosen(project, "production", {"KICKOFF_TARGET": "local"}) is targets.kind_of("local")
    with pytest.raises(KickoffError, match="there is no environment"):
        targets.chosen(project, "nowhere")


def test_an_unknown_target_is_refused_with_its_place() -> None:
    with pytest.raises(KickoffError, match="DEPLOY_TARGET is 'nomad', which is not a target") as caught:
        targets.kind_of("nomad", "configs/environments/staging.env")
    assert caught.value.code is ExitCode.BAD_INPUT
    assert caught.value.at == "configs/environments/staging.env"
    assert caught.value.hint == f"choose one of {', '.join(targets.TARGETS)}"


@pytest.mark.parametrize("name", targets.TARGETS)
def test_what_is_known_of_a_target_loads_nothing_heavy(name: str) -> None:
    program = (
        "import sys; from kickoff.release import targets; "
        f"targets.kind_of({name!r}); print(*sorted({{'docker', 'httpx', 'supervisor'}} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_nothing_outside_a_target_asks_which_one_it_is() -> None:
    found = []
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                found += [
                    path for side in sides if isinstance(side, ast.Constant) and side.value in targets.TARGETS
                ]
    assert found == []
