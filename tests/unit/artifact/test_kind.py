"""Bundle or image: the target of the environments decides, and doubt is refused."""

import json
import shutil
from pathlib import Path

import pytest

from kickoff.artifact import kind
from kickoff.artifact.kind import Kind
from kickoff.errors import KickoffError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ({}, Kind.BUNDLE),
        ({"staging": "local"}, Kind.BUNDLE),
        ({"staging": "compose"}, Kind.IMAGE),
        ({"staging": "compose", "production": "compose"}, Kind.IMAGE),
    ],
)
def test_the_target_decides(targets: dict[str, str], expected: Kind) -> None:
    assert kind.needed(targets) is expected


def test_two_kinds_in_one_run_are_refused() -> None:
    with pytest.raises(KickoffError, match="production and staging take different artefacts"):
        kind.needed({"staging": "compose", "production": "local"})


def test_an_unknown_target_is_refused_with_its_file() -> None:
    with pytest.raises(KickoffError, match="DEPLOY_TARGET is 'swarm'") as caught:
        kind.needed({"staging": "swarm"})
    assert caught.value.at == "configs/environments/staging.env"


def test_the_target_stands_in_the_environment_s_file(tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "environments"
    shutil.copytree(ROOT / "configs" / "environments", folder)
    text = (folder / "staging.env").read_text()
    assert kind.targets(tmp_path, ["staging"]) == {"staging": "compose"}
    (folder / "staging.env").write_text(text + "DEPLOY_TARGET=local\n")
    assert kind.targets(tmp_path, ["staging", "production"]) == {"staging": "local", "production": "compose"}
    with pytest.raises(KickoffError, match="there is no environment"):
        kind.targets(tmp_path, ["nowhere"])


@pytest.mark.parametrize("text", ["staging", "{}", "[1]", '"staging"', "[", "null"])
def test_deployments_are_a_json_list(text: str) -> None:
    assert kind.parse(json.dumps(["staging"])) == ["staging"]
    with pytest.raises(KickoffError, match="is no list of environments"):
        kind.parse(text)
