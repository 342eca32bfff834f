"""The verb ``kickoff release``: which verbs run, in which order, and what each failure leads back to."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kickoff import github
from kickoff.cli import main
from kickoff.cli.run.whole_release import Chain, Stopped, exit_code
from tests.actions.foreign import Foreign

STAND_IN = '''"""Records the verb, and does what it is told by a table."""
import json, os, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
verb, *words = sys.argv[1:]
phase = next((word.removeprefix("--phase=") for word in words if word.startswith("--phase=")), "")
second = words[0] if words and not words[0].startswith("-") else phase
name = f"{verb} {second}".strip()
told = json.load(open(f"{folder}/told.json")).get(name, {})
with open(f"{folder}/calls.jsonl", "a") as stream:
    stream.write(json.dumps([name, *words]) + "\\n")
time.sleep(told.get("sleep", 0))
for key, value in told.get("outputs", {}).items():
    open(os.environ["GITHUB_OUTPUT"], "a").write(f"{key}<<end\\n{value}\\nend\\n")
sys.exit(told.get("exit", 0))
'''
OUTPUTS = {
    "build": {"digest": "sha256:1", "commit": "abc", "repository": ""},
    "stage": {"attempt": "7-ab", "changed": "true", "release": "r-1"},
    "promote": {"release": "r-1", "url": "http://127.0.0.1:1"},
    "smoke live": {"verdict": "pass"},
    "prove": {"proof": "p.json", "proof-name": "proof-staging-abc"},
}
BEFORE = ["env validate", "check", "audit", "build", "stack prepare", "env validate", "stage"]
RELEASED = [
    *BEFORE, "smoke candidate", "functional", "promote", "smoke live", "watch", "prove", "report",
]  # fmt: skip


class Scene:
    """A foreign repository, and a stand-in for every verb that ``release`` calls."""

    def __init__(self, folder: Path) -> None:
        self.repository = Foreign(folder)
        self.repository.commit()
        self.package = folder / "stand-in"
        self.package.mkdir()
        (self.package / "__main__.py").write_text(STAND_IN, encoding="utf-8")
        self.tell()

    def tell(self, **told: dict[str, Any]) -> None:
        """Say what verbs do besides: ``exit``, ``sleep``, or other ``outputs``."""
        table = {name: {"outputs": outputs} for name, outputs in OUTPUTS.items()}
        for name, more in told.items():
            key = name.replace("_", " ")
            table[key] = {**table.get(key, {}), **more}
        (self.package / "told.json").write_text(json.dumps(table), encoding="utf-8")

    def calls(self) -> list[list[str]]:
        path = self.package / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def names(self) -> list[str]:
        return [call[0] for call in self.calls()]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(tmp_path)
    monkeypatch.chdir(made.repository.root)
    monkeypatch.setattr("kickoff.bootstrap.PACKAGE", str(made.package))
    monkeypatch.delenv("KICKOFF_EVIDENCE_DIR", raising=False)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    return made


def github_output(tmp_path: Path) -> dict[str, str]:
    return github.outputs(tmp_path / "outputs")


def release(*more: str) -> int:
    return main.main(["release", "--env=staging", *more])


def test_every_phase_runs_in_the_order_of_the_workflow(scene: Scene, tmp_path: Path) -> None:
    assert release() == 0
    assert scene.names() == RELEASED
    given = {call[0]: call[1:] for call in scene.calls()}
    assert {"--artifact-digest=sha256:1", "--env=staging", "--wait=0.0"} <= set(given["stage"])
    assert given["promote"] == ["--env=staging", "--attempt=7-ab"]
    assert given["watch"] == ["--env=staging", "--release=r-1"]
    found = github_output(tmp_path)
    assert (found["began"], found["verdict"]) == ("true", "pass")
    assert (found["proof-name"], found["release"]) == ("proof-staging-abc", "r-1")


def test_the_report_is_told_what_was_meant_and_how_each_step_ended(scene: Scene) -> None:
    scene.tell(build={"exit": 2})
    assert release() == 2
    words = dict(word.removeprefix("--").partition("=")[::2] for word in scene.calls()[-1][1:])
    planned = json.loads((Path(words["evidence"]) / "plan.json").read_text())
    assert planned["jobs"] == {
        "validate": "success",
        "check": "success",
        "audit": "success",
        "build": "failure",
    }
    assert (planned["deployments"], planned["service"]) == (["staging"], "things")


def test_a_build_that_cannot_begin_is_invalid_in_the_report(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KICKOFF_EVIDENCE_DIR", str(tmp_path / "evidence"))
    monkeypatch.delenv("IMAGE_REPOSITORY", raising=False)
    assert main.main(["build", "--kind=image"]) == 2
    assert main.main(["report", f"--output={tmp_path}"]) == 2
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert (outcome["verdict"], outcome["exit_code"]) == ("invalid", 2)
    assert outcome["why"] == "nothing says where the image is pushed"
    assert "set IMAGE_REPOSITORY" in outcome["fix"]


def test_the_load_test_runs_where_it_is_demanded(scene: Scene) -> None:
    text = (scene.repository.root / "kickoff.yml").read_text()
    scene.repository.write("kickoff.yml", text.replace("[smoke-candidate]", "[perf-baseline]"))
    assert release() == 0
    assert scene.names()[8:11] == ["functional", "perf", "promote"]


def test_an_environment_that_takes_only_what_was_proved_asks_first(scene: Scene) -> None:
    scene.tell(proof_find={"exit": 1})
    assert main.main(["release", "--env=production", "--unproven-reason=none"]) == 1
    assert scene.names() == ["env validate", "proof find", "report"]


@pytest.mark.parametrize(
    ("told", "calls", "code"),
    [
        ({"env_validate": {"exit": 2}}, ["env validate", "report"], 2),
        ({"check": {"exit": 1}}, ["env validate", "check", "report"], 1),
        ({"audit": {"exit": 3}}, [*BEFORE[:3], "report"], 3),
        ({"stage": {"exit": 75, "outputs": {}}}, [*BEFORE, "resume", "report"], 75),
        ({"stage": {"exit": 1}}, [*BEFORE, "abort", "report"], 1),
        ({"smoke_candidate": {"exit": 3}}, [*BEFORE, "smoke candidate", "abort", "report"], 3),
        ({"promote": {"exit": 5}}, [*RELEASED[:10], "abort", "report"], 5),
        ({"smoke_live": {"exit": 1, "outputs": {}}, "report": {"exit": 5}}, [*RELEASED[:11], "rollback", "report"], 5),
        ({"smoke_live": {"exit": 1, "outputs": {}}, "rollback": {"exit": 6}}, [*RELEASED[:11], "rollback", "report"], 6),
        ({"watch": {"exit": 5}}, [*RELEASED[:12], "report"], 5),
        ({"prove": {"exit": 1}}, RELEASED, 1),
        ({"report": {"exit": 3}}, RELEASED, 3),
    ],
)  # fmt: skip
def test_a_failure_leads_back_by_the_conditions_of_the_workflow(
    scene: Scene, tmp_path: Path, told: dict[str, dict[str, Any]], calls: list[str], code: int
) -> None:
    scene.tell(**told)
    assert release() == code
    assert scene.names() == calls
    assert github_output(tmp_path)["verdict"] == ("inconclusive" if code == 3 else "fail")
    assert ("began" in github_output(tmp_path)) is ("stage" in calls)


def test_what_is_live_already_is_neither_aborted_nor_watched(scene: Scene) -> None:
    unchanged = {"attempt": "7-ab", "changed": "false", "release": "r-1"}
    scene.tell(stage={"outputs": unchanged}, promote={"outputs": {"changed": "false"}})
    assert release() == 0
    assert [name for name in RELEASED if name not in scene.names()] == ["watch"]
    scene.tell(
        stage={"outputs": unchanged}, promote={"outputs": {"changed": "false"}}, smoke_live={"exit": 1}
    )
    assert release() == 1
    assert scene.names()[-2:] == ["smoke live", "report"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("at", "back"),
    [
        ("build", []),
        ("stage", ["resume"]),
        ("smoke candidate", ["abort"]),
        ("promote", ["abort"]),
        ("smoke live", ["rollback"]),
        ("watch", []),
    ],
)
def test_a_wish_to_stop_ends_in_the_way_back_and_a_report(
    scene: Scene, number: signal.Signals, at: str, back: list[str]
) -> None:
    scene.tell(**{at.replace(" ", "_"): {"sleep": 60}})
    program = (
        "import sys; from kickoff import bootstrap; bootstrap.PACKAGE = sys.argv[1]; "
        "from kickoff.cli.main import main; sys.exit(main(['release', '--env=staging']))"
    )
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(scene.package)],
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while scene.names()[-1:] != [at]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    assert scene.names() == [*RELEASED[: RELEASED.index(at) + 1], *back, "report"]


def test_a_wish_to_stop_within_the_start_of_a_step_reaches_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, real = Chain({}), subprocess.Popen

    def popen(*_: Any, **__: Any) -> subprocess.Popen[bytes]:
        process = real([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        os.kill(os.getpid(), signal.SIGTERM)  # before the chain knows of the process
        return process

    monkeypatch.setattr(subprocess, "Popen", popen)
    began = time.monotonic()
    with chain.stoppable(), pytest.raises(Stopped):
        chain.demand("stage", "stage")
    assert time.monotonic() - began < 30, "the step was not told"
    assert chain.interrupted["during"] == "stage"


@pytest.mark.parametrize(
    ("codes", "interrupted", "expected"),
    [
        ({"stage": 0, "report": 0}, False, 0),
        ({"smoke": 3, "abort": 0, "report": 1}, False, 3),
        ({"live": 1, "rollback": 0, "report": 5}, True, 5),
        ({"live": 1, "rollback": 6, "report": 5}, False, 6),
        ({"build": 1, "report": 1}, True, 130),
        ({"stage": 0, "report": 1}, False, 1),
    ],
)
def test_nothing_that_went_wrong_is_a_pass(codes: dict[str, int], interrupted: bool, expected: int) -> None:
    assert exit_code(codes, interrupted=interrupted) == expected
