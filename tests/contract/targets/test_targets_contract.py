"""The contract of a target: each registered one keeps every promise of the protocol."""

import dataclasses
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kickoff.environment import schema
from kickoff.errors import ExitCode, KickoffError
from kickoff.release import targets
from kickoff.release.folder import DESCRIPTION
from kickoff.release.model import Colour, Slot
from kickoff.release.routers import MetricsUnreadable
from kickoff.release.targets import ProcessState
from tests.contract.targets.ground import (
    SILENCED,
    Ground,
    full_disk,
    ground,
    missing,
    release_of,
    undisturbed,
)

# On a Swarm it may have to wait for a test that loses a node.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.fixture(scope="module", params=targets.TARGETS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    if why := missing(request.param):
        pytest.skip(f"{request.param}: {why}")
    with ground(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def given(shared: Ground) -> Iterator[Ground]:
    """The ground with both colours idle, whatever the test before did."""
    with undisturbed(shared.name):
        shared.target.prepare()
        for colour in Colour:
            shared.target.stop(colour)
        for folder in (shared.session.store.root / "releases").iterdir():
            shutil.rmtree(folder)
        yield shared


def until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait for a condition; return whether it came true."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return true


def proxy_answers(given: Ground) -> bool:
    """Whether the proxy tells what it counts."""
    try:
        given.session.proxy.metrics()
    except MetricsUnreadable:
        return False
    return True


def ask(given: Ground, where: str, path: str = "/") -> httpx.Response:
    """Ask the service through the proxy."""
    with given.target.reach(where) as endpoint:
        return httpx.get(endpoint.url + path, headers=dict(endpoint.headers), timeout=10, trust_env=False)


def answers(given: Ground, where: str, release: str) -> bool:
    try:
        return bool(ask(given, where).headers.get("X-Release") == release)
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_kind_says_what_it_takes_and_needs(name: str) -> None:
    kind = targets.kind_of(name)
    root = Path(__file__).resolve().parents[3]
    needs = kind.host_needs(root, "staging", {"PUBLIC_PORT": "8100"}, {})
    assert list(needs.ports) == [8100]
    assert kind.host_needs(root, "staging", {"PUBLIC_PORT": "not a port"}, {}).ports == []
    assert needs.docker or not needs.networks, "a network of Docker's needs Docker"
    assert kind.runs_on
    assert all((root / path).is_file() for path in kind.described_by(root, "staging"))
    assert not any(variable.startswith("KICKOFF_STATE") for variable in kind.variables(root, "staging"))
    assert name in schema.read(root).keys[targets.KEY].rules["enum"]


def test_preparing_again_changes_nothing(given: Ground) -> None:
    before = given.target.proxies()
    given.reopened().prepare()
    after = given.target.proxies()
    assert after == before
    assert until(lambda: proxy_answers(given))
    points = httpx.get(f"{after[0]}/api/entrypoints", timeout=5, trust_env=False).json()
    assert set(given.target.entry_points) <= {point["name"] for point in points}


def test_an_artefact_is_found_by_its_digest_or_refused(given: Ground, tmp_path: Path) -> None:
    folder, digest, _commit = given.artifact()
    found = given.target.find(folder, digest)
    assert found.is_file()
    with pytest.raises(KickoffError):
        given.target.find(folder, f"sha256:{'0' * 64}")
    shutil.copyfile(found, tmp_path / found.name)
    with (tmp_path / found.name).open("r+b") as damaged:
        damaged.write(b"damaged")
    with pytest.raises(KickoffError):
        given.target.find(tmp_path, digest)


def test_a_hook_runs_under_the_release_s_environment(given: Ground) -> None:
    folder = given.release()
    program = "import os; print(os.environ['KICKOFF_RELEASE'], os.path.isdir('fixture'))"
    output = given.target.run_hook(folder, ("python", "-c", program), 60)
    assert output.split() == [release_of(folder), "True"]


def test_a_hook_that_fails_or_hangs_is_a_rejection(given: Ground) -> None:
    folder = given.release()
    failing = ("python", "-c", "import sys; print('out'); sys.exit('the column exists already')")
    with pytest.raises(KickoffError, match="failed") as caught:
        given.target.run_hook(folder, failing, 60)
    assert caught.value.code is ExitCode.REJECTED
    assert any("the column exists already" in cause for cause in caught.value.causes)
    with pytest.raises(KickoffError, match="did not end within 3 s") as caught:
        given.target.run_hook(folder, ("python", "-c", "import time; time.sleep(300)"), 3)
    assert caught.value.code is ExitCode.REJECTED
    assert "HOOK_TIMEOUT" in caught.value.hint
    assert given.project.services_running() == [], "what hung goes on"


def test_a_release_starts_serves_and_stops(given: Ground) -> None:
    folder = given.release()
    release = release_of(folder)
    given.target.install(folder)  # once more, as before each start
    slot = given.target.start(BLUE, folder)
    assert slot.release == release
    assert given.reopened().slot(BLUE) == slot, "another command is told the same"
    given.route({BLUE: slot}, BLUE)
    assert until(lambda: answers(given, "blue", release))
    assert until(lambda: answers(given, "live", release))

    state = given.target.state(BLUE)
    assert (state.running, state.pid > 0) == (True, True)
    assert state.memory_bytes > 1 << 20
    assert state.processors > 0
    assert until(lambda: given.target.state(BLUE).cpu_seconds > 0)
    assert given.target.logs("blue", 1000) != []
    assert len(given.target.logs("blue", 1)) == 1

    applied = given.target.applied(BLUE, folder)
    assert applied is not None
    record, *places = applied.places.values()
    assert places, "nothing but the record was read"
    for values in places:
        assert values["KICKOFF_RELEASE"] == release
        assert {key: record[key] for key in values.keys() & record.keys()}.items() <= values.items()

    given.target.stop(BLUE)
    assert not given.target.state(BLUE).running
    assert given.target.slot(BLUE) is None
    assert given.target.applied(BLUE, folder) is None
    assert given.target.connections(BLUE, slot) == 0
    assert given.project.services_running() == []


def test_a_process_is_told_where_to_listen_and_is_seen_to_listen_there(given: Ground) -> None:
    folder = given.release()
    slot = given.target.start(BLUE, folder)
    given.route({BLUE: slot}, BLUE)
    assert until(lambda: answers(given, "blue", release_of(folder)))
    applied = given.target.applied(BLUE, folder)
    assert applied is not None
    assert {"PORT", "HOST"} <= applied.added
    process = list(applied.places.values())[-1]
    assert process["PORT"] == str(slot.port)
    assert process["HOST"] in {"127.0.0.1", "0.0.0.0"}
    assert until(lambda: given.target.listening(BLUE) == frozenset({slot.port}))
    assert given.target.listening(GREEN) is None


def test_starting_replaces_what_runs(given: Ground) -> None:
    first, second = given.release("first"), given.release("second", delay_ms=1)
    given.target.start(BLUE, first)
    assert until(lambda: given.target.state(BLUE).running)
    before = given.target.state(BLUE).pid
    other = given.target.start(GREEN, first)
    slot = given.target.start(BLUE, second)
    assert until(lambda: given.target.state(BLUE).running)
    assert given.target.state(BLUE).pid != before
    assert given.target.slot(BLUE) == slot
    assert given.target.slot(GREEN) == other, "the other colour was touched"
    given.route({BLUE: slot, GREEN: other}, GREEN)
    assert until(lambda: answers(given, "blue", release_of(second)))
    assert until(lambda: answers(given, "green", release_of(first)))
    assert until(lambda: answers(given, "live", release_of(first)))


def test_a_request_under_way_is_a_connection(given: Ground) -> None:
    folder = given.release()
    slot = given.target.start(BLUE, folder)
    given.route({BLUE: slot}, BLUE)
    assert until(lambda: answers(given, "live", release_of(folder)))
    slow = threading.Thread(target=ask, args=(given, "live", "/slow?seconds=5"))
    slow.start()
    try:
        assert until(lambda: given.target.connections(BLUE, slot) > 0, 4)
    finally:
        slow.join()


def test_what_crashes_at_start_does_not_count_as_running(given: Ground) -> None:
    given.target.start(BLUE, given.release(crash_at_start=True))
    states: list[ProcessState] = []

    def down() -> bool:
        states.append(given.target.state(BLUE))
        return not states[-1].running and "STARTING" not in states[-1].detail

    restarts = until(lambda: down() or len({one.pid for one in states if one.running}) > 1)
    assert restarts, f"it counts as running: {states[-1]}"
    assert states[-1].detail
    assert until(lambda: given.target.last_end("blue") == "exited with code 3"), given.target.last_end("blue")
    assert given.target.last_end("blue-none") == ""
    given.target.stop(BLUE)
    assert given.target.slot(BLUE) is None


def test_workers_run_beside_their_colour_and_end_with_it(given: Ground) -> None:
    folder = given.release()
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    commands = {"ticker": ["python", "-m", "fixture.worker"], "lazy": ["sleep", "600"]}
    description["workers"] = {name: {"command": command, "health": []} for name, command in commands.items()}
    (folder / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    given.target.start(BLUE, folder)
    assert given.target.workers(BLUE) == {}, "they start when they are asked for"

    given.target.start_workers(BLUE, folder)
    assert given.reopened().workers(BLUE).keys() == commands.keys(), "another command is told the same"
    assert until(lambda: all(one.running and one.pid for one in given.target.workers(BLUE).values()))
    assert given.target.workers(GREEN) == {}

    first = given.target.workers(BLUE)["ticker"].pid
    given.target.start_workers(BLUE, folder)
    assert until(lambda: given.target.workers(BLUE)["ticker"].running)
    assert given.target.workers(BLUE)["ticker"].pid != first, "they were replaced"

    given.target.stop_workers(BLUE)
    given.target.stop_workers(BLUE)
    assert given.target.workers(BLUE) == {}
    assert given.target.state(BLUE).running, "the colour goes on without them"

    given.target.start_workers(BLUE, folder)
    given.target.stop(BLUE)
    assert given.target.workers(BLUE) == {}
    assert given.project.services_running() == []


def test_an_idle_colour_holds_nothing(given: Ground) -> None:
    given.target.stop(GREEN)
    given.target.stop(GREEN)
    state = given.target.state(GREEN)
    assert not state.running
    assert (state.memory_bytes, state.cpu_seconds) == (0, 0.0)
    assert state.detail
    assert given.target.slot(GREEN) is None
    assert given.target.applied(GREEN, given.session.store.release_folder("none")) is None
    assert given.target.connections(GREEN, Slot("none", 1)) == 0
    assert given.target.logs("nothing-of-that-name", 5) == []


def test_a_full_disk_is_refused_before_anything_begins(
    given: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.target.require_room()
    monkeypatch.setattr(shutil, "disk_usage", full_disk)
    with pytest.raises(KickoffError, match="0 MiB free") as caught:
        given.target.require_room()
    assert caught.value.code is ExitCode.UNREACHABLE
    assert caught.value.hint


def test_discarding_a_release_leaves_the_others_alone(given: Ground) -> None:
    kept, old = given.release("kept"), given.release("old", delay_ms=1)
    given.target.discard(old)
    shutil.rmtree(old)
    given.target.install(kept)
    slot = given.target.start(BLUE, kept)
    given.route({BLUE: slot}, None)
    assert until(lambda: answers(given, "blue", release_of(kept)))


def test_shutting_down_silences_everything_and_can_be_undone(given: Ground) -> None:
    folder = given.release()
    given.target.start(BLUE, folder)
    given.target.shut_down()
    given.target.shut_down()
    assert not given.target.state(BLUE).running
    assert given.project.services_running() == []
    with given.target.reach("live") as endpoint, pytest.raises(httpx.HTTPError):
        httpx.get(endpoint.url, timeout=2, trust_env=False)
    given.target.prepare()
    assert until(lambda: proxy_answers(given))
    slot = given.target.start(BLUE, folder)
    given.route({BLUE: slot}, BLUE)
    assert until(lambda: answers(given, "live", release_of(folder)))


def test_silence_is_an_error_and_never_taken_for_nothing(given: Ground) -> None:
    if given.name not in SILENCED:
        pytest.skip(f"{given.name} asks nobody")
    folder = given.release()
    given.target.start(BLUE, folder)
    assert until(lambda: given.target.state(BLUE).running)
    with SILENCED[given.name](given):
        target = given.reopened()
        for question in (
            lambda: target.state(BLUE),
            lambda: target.stop(BLUE),
            lambda: target.start(BLUE, folder),
            lambda: target.applied(BLUE, folder),
        ):
            with pytest.raises(KickoffError) as caught:
                question()
            assert caught.value.code is ExitCode.UNREACHABLE
            assert caught.value.hint
    assert given.target.state(BLUE).running


def test_every_field_of_what_a_host_needs_has_an_empty_default() -> None:
    assert not any(dataclasses.asdict(targets.HostNeeds()).values())
