"""What may have happened before a command: a reboot, a lost route or state, a release that was taken back."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from kickoff.release.targets.local.target import LocalTarget
from tests.e2e.disturbances import _edited, _ship, _with_line
from tests.e2e.scene import Disturbance, Scene


@contextmanager
def stopped(scene: Scene) -> Iterator[None]:
    """Stop the service on request."""
    done = scene.project.command("stop")
    assert done.returncode == 0, done.stderr
    yield


@contextmanager
def rebooted(scene: Scene) -> Iterator[None]:
    """Kill every process of the environment at once."""
    scene.project.kill_everything()
    yield


@contextmanager
def rebooted_and_live_broken(scene: Scene) -> Iterator[None]:
    """Kill every process, and break the live release on disk: it cannot come back."""
    _break(scene, scene.live)
    scene.project.kill_everything()
    yield


@contextmanager
def live_killed_in_the_bake(scene: Scene) -> Iterator[None]:
    """Break the release before on disk and kill it, while the candidate bakes."""

    def lose() -> None:
        _break(scene, scene.live)
        state = scene.project.store.state()
        assert state.live is not None
        scene.target.supervisor._call("supervisor.stopProcess", str(state.live))

    scene.at("intent", "bake", lose)
    yield


def _break(scene: Scene, release: str) -> None:
    bundle = scene.project.store.root / "releases" / release / "bundle"
    (bundle / "fixture" / "faults.json").write_text('{"crash_at_start": true}')


@contextmanager
def route_lost(scene: Scene) -> Iterator[None]:
    """Remove the route's file."""
    _route(scene).unlink()
    yield


@contextmanager
def route_emptied(scene: Scene) -> Iterator[None]:
    """Empty the route's file."""
    _route(scene).write_text("")
    yield


def _route(scene: Scene) -> Path:
    return scene.project.store.root / "traefik" / "dynamic" / "route.yml"


@contextmanager
def another_release_answers(scene: Scene) -> Iterator[None]:
    """Let the warm colour answer users behind the record's back, as it does when the live one died."""
    _ship(scene)
    route, state = _route(scene), scene.project.store.state()
    assert state.live is not None
    text = route.read_text(encoding="utf-8")
    url = f"http://127.0.0.1:{state.slots[state.live].port}"
    warm = f"http://127.0.0.1:{state.slots[state.live.other].port}"
    route.write_text(text.replace(url, warm), encoding="utf-8")
    time.sleep(0.5)
    yield
    route.write_text(text, encoding="utf-8")
    time.sleep(0.5)


def state_is(text: str | None) -> Disturbance:
    """Put ``text`` in the place of the state; ``None`` removes the file."""

    @contextmanager
    def damaged(scene: Scene) -> Iterator[None]:
        path = scene.project.store.root / "state.json"
        before = path.read_text(encoding="utf-8")
        path.unlink() if text is None else path.write_text(text, encoding="utf-8")
        yield
        path.write_text(before, encoding="utf-8")

    return damaged


@contextmanager
def state_lost_for_good(scene: Scene) -> Iterator[None]:
    """Remove the state's file."""
    (scene.project.store.root / "state.json").unlink()
    yield


@contextmanager
def journal_line_is_a_number(scene: Scene) -> Iterator[None]:
    """Put a number in the place of a journal record."""
    with _edited(scene.project.store.journal.path, lambda text: _with_line(text, 1, "1")):
        yield


@contextmanager
def environment_file_broken(scene: Scene) -> Iterator[None]:
    """Merge a mistake into the environment file, after a release that was good."""
    older = scene.live
    _ship(scene)
    path = scene.project.root / "configs" / "environments" / "development.env"
    with _edited(path, lambda text: text.replace("BAKE_TIME=", "BAKE_TIME=soon #")):
        scene.live = older
        yield


@contextmanager
def service_description_broken(scene: Scene) -> Iterator[None]:
    """Merge a mistake into the service description, after a release that was good."""
    older = scene.live
    _ship(scene)
    path = scene.project.root / "kickoff.yml"
    with _edited(path, lambda text: text.replace("smoke:", "smoke: [")):
        scene.live = older
        yield


@contextmanager
def gone_back(scene: Scene) -> Iterator[None]:
    """Ship a release and go back from it."""
    older = scene.live
    _ship(scene, delay_ms=1)
    scene.values["left"] = scene.live
    done = scene.project.command("rollback")
    assert done.returncode == 0, done.stderr
    scene.live = older
    yield


@contextmanager
def taken_back_by_itself(scene: Scene) -> Iterator[None]:
    """Ship a release that the judge takes back."""
    _ship(scene, delay_ms=1)
    bad = scene.project.ship(error_share=0.5)
    assert bad.facts["outcome"] == "rolled-back", bad.summary
    scene.values["left"] = bad.release
    yield


@contextmanager
def refused_release(scene: Scene) -> Iterator[None]:
    """Let the gates refuse a release whose folder is still kept."""
    refused = scene.project.ship(error_share=0.5)
    assert refused.facts["outcome"] == "rolled-back", refused.summary
    scene.values["refused"] = refused.release
    assert (scene.project.store.root / "releases" / refused.release).is_dir()
    yield


@contextmanager
def crashes_in_a_row(scene: Scene) -> Iterator[None]:
    """Ship two good releases, then let more candidates crash than releases are kept."""
    scene.values["older"] = scene.live
    _ship(scene, delay_ms=1)
    _ship(scene, delay_ms=2)
    scene.project.set(KEEP_RELEASES="3")
    for number in range(4):
        crashed = scene.project.ship(crash_at_start=True, delay_ms=number)
        assert crashed.verdict == "fail", crashed.summary
    scene.live = scene.values["older"]
    yield


@contextmanager
def crash_between_good_ones(scene: Scene) -> Iterator[None]:
    """Let a candidate crash after three good releases, of which two are kept."""
    oldest = scene.live
    _ship(scene, delay_ms=1)
    _ship(scene, delay_ms=2)
    scene.project.set(KEEP_RELEASES="2")
    crashed = scene.project.ship(crash_at_start=True)
    assert crashed.verdict == "fail", crashed.summary
    yield
    kept = [folder.name for folder in (scene.project.store.root / "releases").iterdir()]
    assert oldest in kept, f"a good release gave way to a refused one: {kept}"
    assert crashed.release not in kept, f"a refused release is kept: {kept}"


@contextmanager
def another_deploy_bakes(scene: Scene) -> Iterator[None]:
    """Let another run have a candidate staged while a command with wrong arguments comes."""
    evidence = scene.project.root.parent / "another"
    own = {"KICKOFF_RUN_ID": "another", "KICKOFF_EVIDENCE_DIR": str(evidence)}
    arguments = scene.project.stage_arguments(scene.project.commit(delay_ms=1))
    staged = scene.project.command("stage", *arguments, **own)
    assert staged.returncode == 0, staged.stderr
    attempt = json.loads((evidence / "stage.development.json").read_text())["attempt"]
    yield
    done = scene.project.command("promote", "--attempt", attempt, **own)
    assert done.returncode == 0, f"the other run was harmed: {done.stderr}"
    scene.live = scene.project.live


def interrupted(number: signal.Signals) -> Disturbance:
    """Let the command get a signal while the candidate bakes."""

    @contextmanager
    def disturbed(scene: Scene) -> Iterator[None]:
        scene.at("intent", "bake", lambda: os.kill(os.getpid(), number))
        yield

    return disturbed


@contextmanager
def nothing_can_be_removed(scene: Scene) -> Iterator[None]:
    """Refuse to remove what only old releases need."""

    def refuse(_target: LocalTarget, folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    scene.project.set(KEEP_RELEASES="2")
    for _ in range(3):
        _ship(scene)
    with patch.object(LocalTarget, "discard", refuse):
        yield


@contextmanager
def shipped(scene: Scene) -> Iterator[None]:
    """Ship one more good release."""
    _ship(scene)
    yield


@contextmanager
def bad_release_went_live(scene: Scene) -> Iterator[None]:
    """Let a release fail its users only once it is live: the watch has to see it."""
    older = scene.live
    _ship(scene, error_share=0.5, error_after_seconds=8)
    time.sleep(7)
    scene.live = older
    yield
