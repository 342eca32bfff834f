"""Real runs of Locust against loopback services."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from socket import socket

import pytest

from kickoff import evidence
from kickoff.description import LoadRequest
from kickoff.errors import KickoffError
from kickoff.evidence import Verdict, combine
from kickoff.performance import check, load, rules, samples
from kickoff.performance import document as documents
from kickoff.performance.fleet import Progress
from kickoff.performance.load import Arm
from kickoff.performance.metrics import pair_up
from kickoff.performance.scenarios import Catalogue, Scenario
from tests.unit.performance.toy import Toy

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts/performance/run_performance_tests.py"


def verdict(result: load.LoadResult) -> Verdict:
    return combine(rule.verdict for rule in rules.evaluate(result))


def test_a_run_paces_validates_and_marks_its_requests(
    candidate: Toy, smoke: Scenario, locustfile: Path
) -> None:
    seen: list[Progress] = []
    arm = Arm("candidate", candidate.url, {"X-Probe": "1"}, "new")
    result = load.run(smoke, [arm], locustfile=locustfile, rate=20.0, on_progress=seen.append)
    assert {sample.endpoint for sample in result.samples} == {
        "GET /health",
        "GET /predictions",
        "POST /predictions",
        "POST /predictions/batch",
    }
    assert all(sample.ok and sample.release == "new" and sample.ms > 0 for sample in result.samples)
    # Pacing: never faster than planned (one second's backlog may be caught up on a busy machine).
    assert 1 <= len(result.samples) <= 20 * 2 + 21
    assert candidate.markers == {"performance"}
    assert seen
    assert seen[-1].users == 1
    assert not result.partial
    assert result.errors == []


def test_the_wrong_release_fails(candidate: Toy, smoke: Scenario, locustfile: Path) -> None:
    candidate.release = "older"
    result = load.run(smoke, [Arm("candidate", candidate.url, {}, "new")], locustfile=locustfile, rate=20.0)
    assert result.samples
    assert {s.error for s in result.samples} == {"answered by release older, expected new"}
    assert verdict(result) is Verdict.FAIL


def test_without_a_release_header_no_release_is_expected(
    candidate: Toy, smoke: Scenario, locustfile: Path
) -> None:
    arm = Arm("candidate", candidate.url, {}, "new")
    candidate.release = "older"
    result = load.run(smoke, [arm], locustfile=locustfile, rate=20.0, release_header="")
    assert result.samples
    assert {s.error for s in result.samples} == {""}


def test_a_wrong_body_and_a_wrong_status_fail(candidate: Toy, smoke: Scenario, locustfile: Path) -> None:
    candidate.probabilities = (0.9, 0.9, 0.9)
    arm = Arm("candidate", candidate.url, {}, "new")
    result = load.run(smoke, [arm], locustfile=locustfile, rate=20.0)
    wrong = {s.endpoint for s in result.samples if "do not sum to 1" in s.error}
    assert wrong == {"POST /predictions", "POST /predictions/batch"}
    assert verdict(result) is Verdict.FAIL
    candidate.status = 500
    result = load.run(smoke, [arm], locustfile=locustfile, rate=20.0)
    assert all("500" in s.error for s in result.samples)


def test_nobody_listening_is_never_a_pass(smoke: Scenario, locustfile: Path) -> None:
    with closing(socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = load.run(smoke, [Arm("candidate", url)], locustfile=locustfile, rate=20.0)
    assert not any(sample.ok for sample in result.samples)
    assert verdict(result) is not Verdict.PASS


def test_both_sides_get_the_same_requests_in_balanced_order(
    pair: tuple[Toy, Toy], smoke: Scenario, locustfile: Path
) -> None:
    new, old = pair
    arms = [Arm("candidate", new.url, {}, "new"), Arm("live", old.url, {}, "old")]
    result = load.run(smoke, arms, locustfile=locustfile, rate=50.0)
    assert all(sample.ok for sample in result.samples)
    assert new.matches
    shared = min(len(new.matches), len(old.matches))
    assert new.matches[:shared] == old.matches[:shared]
    pairs = pair_up(result.samples)
    assert {entry.endpoint for entry in pairs} == {sample.endpoint for sample in result.samples}
    firsts = sum(s.slot == 0 for s in result.samples if s.arm == "candidate")
    assert abs(firsts - sum(s.slot == 0 for s in result.samples if s.arm == "live")) <= 4


def test_the_shape_is_followed(candidate: Toy, catalogue: Catalogue, locustfile: Path) -> None:
    spike = replace(catalogue.get("spike"), users=20, duration=6.0)
    counts: list[int] = []
    load.run(
        spike,
        [Arm("candidate", candidate.url)],
        locustfile=locustfile,
        rate=40.0,
        on_progress=lambda p: counts.append(p.users),
    )
    assert counts[0] == 2
    assert max(counts) == 20


def test_several_generators_share_users_and_rate(
    pair: tuple[Toy, Toy], smoke: Scenario, locustfile: Path
) -> None:
    new, old = pair
    arms = [Arm("candidate", new.url, {}, "new"), Arm("live", old.url, {}, "old")]
    # The second one is started by a command, as one on another host would be.
    elsewhere = [sys.executable, "-m", "kickoff.performance.generator"]
    seen: list[int] = []
    result = load.run(
        replace(smoke, users=3),
        arms,
        locustfile=locustfile,
        rate=30.0,
        workers=[(), elsewhere],
        on_progress=lambda progress: seen.append(progress.users),
    )
    assert result.generators == 2
    assert max(seen) == 3
    assert all(sample.ok for sample in result.samples)
    assert {sample.pair.split(".")[0] for sample in result.samples} == {"0", "1"}
    times = [sample.time for sample in result.samples]
    assert times == sorted(times)
    for entry in pair_up(result.samples):
        asked = sum(s.endpoint == entry.endpoint and s.arm == "live" for s in result.samples)
        assert entry.count >= asked - 3  # what the end cut off
    # A user's pace does not depend on how many generators there are.
    assert len(result.samples) <= 2 * (30 * 2 + 31)


def test_more_generators_than_users_are_refused(candidate: Toy, smoke: Scenario, locustfile: Path) -> None:
    arms = [Arm("candidate", candidate.url)]
    with pytest.raises(KickoffError, match="2 workers are more than the users of"):
        load.run(smoke, arms, locustfile=locustfile, rate=5.0, workers=[(), ()])


def test_a_generator_that_dies_is_not_hidden_by_the_others(
    candidate: Toy, smoke: Scenario, locustfile: Path
) -> None:
    with pytest.raises(KickoffError, match="without a result"):
        load.run(
            replace(smoke, users=2, duration=1.0),
            [Arm("candidate", candidate.url)],
            locustfile=locustfile,
            rate=10.0,
            workers=[(), (sys.executable, "-c", "raise SystemExit('no')")],
        )


def test_a_rate_beyond_the_generators_ceiling_is_warned_about(
    candidate: Toy, smoke: Scenario, locustfile: Path
) -> None:
    result = load.run(smoke, [Arm("candidate", candidate.url)], locustfile=locustfile, rate=1_000_000.0)
    assert result.ceiling > 0
    assert "1000000 requests/s are planned" in result.near_ceiling
    assert "use --workers" in result.near_ceiling
    assert replace(result, rate=result.ceiling * 0.5).near_ceiling == ""
    assert replace(result, rate=result.ceiling, generators=2).near_ceiling == ""


def test_a_locustfile_of_the_users_own(candidate: Toy, smoke: Scenario, tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(
        "from locust import HttpUser, task\n"
        "class Mine(HttpUser):\n"
        "    @task\n"
        "    def ask(self):\n"
        "        print('this does not disturb the progress')\n"
        "        self.client.get('/health')\n"
        "        raise KeyError('broken')\n"
    )
    arm = Arm("candidate", candidate.url, {}, "new")
    result = load.run(replace(smoke, mix={"Mine": 1}), [arm], locustfile=own, rate=20.0)
    assert all(sample.ok for sample in result.samples)
    assert candidate.markers == {"performance"}
    assert "broken" in result.errors[0]
    assert verdict(result) is Verdict.INCONCLUSIVE


def test_without_a_locustfile_the_requests_of_the_description_are_sent(
    candidate: Toy, smoke: Scenario
) -> None:
    order = {"home_team": "A", "away_team": "B"}

    def sent(status: int) -> load.LoadResult:
        asked = [
            LoadRequest("/health?deep=1", status=status, weight=6),
            LoadRequest("/health/ready", status=status),
            LoadRequest("/orders", "POST", order, status + 1, 3),
        ]
        plan = {"requests": [asdict(request) for request in asked], "headers": {"X-Key": "k"}}
        arm = Arm("candidate", candidate.url, {}, "new")
        environ = {"KICKOFF_LOAD": json.dumps(plan)}
        return load.run(replace(smoke, mix={}), [arm], locustfile=None, rate=20.0, environ=environ)

    result = sent(200)
    counted = Counter(sample.endpoint for sample in result.samples)
    assert counted.keys() == {"GET /health", "GET /health/ready", "POST /orders"}
    assert counted["GET /health"] > counted["GET /health/ready"]
    assert candidate.matches[0] == "A-B"
    assert all(sample.ok for sample in result.samples)
    assert verdict(result) is Verdict.PASS
    assert not any(sample.ok for sample in sent(204).samples)


@pytest.mark.parametrize(
    ("text", "cause"),
    [("x = 1\n", "no user class SmokeUser"), ("import nowhere_to_be_found\n", "nowhere_to_be_found")],
)
def test_a_useless_locustfile_is_an_error_that_says_why(
    candidate: Toy, smoke: Scenario, tmp_path: Path, text: str, cause: str
) -> None:
    own = tmp_path / "mine.py"
    own.write_text(text)
    with pytest.raises(KickoffError) as caught:
        load.run(smoke, [Arm("candidate", candidate.url)], locustfile=own, rate=20.0)
    assert cause in caught.value.render()
    with pytest.raises(KickoffError, match="is missing"):
        load.run(smoke, [Arm("candidate", candidate.url)], locustfile=tmp_path / "none.py", rate=1.0)


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(SCRIPT), "--evidence", str(folder), *arguments]


def test_the_script_compares_and_leaves_evidence(pair: tuple[Toy, Toy], tmp_path: Path) -> None:
    new, old = pair
    given = ("--scenario", "smoke", "--host", new.url, "--against", old.url, "--release", "new")
    done = subprocess.run(
        command(tmp_path, *given, "--duration", "2s", "--env", "development", "--report"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # Two equal services on a busy machine: the comparison may be in doubt, never wrong.
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    found = evidence.read(tmp_path)[0]
    assert (found.stage, found.environment, found.service) == ("perf-baseline", "development", "football")
    assert found.verdict.exit_code == done.returncode
    assert len(found.facts["endpoints"]) == 4
    assert found.facts["comparison"]
    assert found.series["throughput"]
    assert found.series["latency_histogram"]
    kept = samples.read(tmp_path / found.facts["samples_file"])
    report = (tmp_path / "perf-baseline.development.md").read_text()
    assert f"## {'✓ pass' if done.returncode == 0 else '? inconclusive'}" in report
    assert "| POST /predictions | live |" in report
    page = (tmp_path / "perf-baseline.development.html").read_text()
    assert "Processor, share of one core" in page or "Processor that the service used" in page
    # Both services run in this process.
    assert {side["arm"] for side in found.facts["resources"]["sides"]} == {"candidate", "live"}
    assert found.facts["resources"]["unmeasured"] == ""
    assert found.facts["runner"]["class"]
    assert all(sample.size for sample in kept)
    assert len((tmp_path / "perf-baseline.development.csv").read_text().splitlines()) == 1 + 2 * 4
    assert sum(s.arm == "candidate" for s in kept) == sum(e["requests"] for e in found.facts["endpoints"])


def test_the_script_stores_a_baseline_and_judges_by_it(candidate: Toy, tmp_path: Path) -> None:
    root = tmp_path / "project"
    for name in (
        "kickoff.yml",
        "configs/performance/scenarios.yml",
        "tests/performance/locustfile.py",
    ):
        target = root / name
        target.parent.mkdir(parents=True)
        target.write_text((ROOT / name).read_text().replace("duration: 5s", "duration: 2s"))

    def measure(*more: str) -> subprocess.CompletedProcess[str]:
        given = ("--host", candidate.url, "--env", "development", "--release", "abc1234-00000000", *more)
        candidate.release = "abc1234-00000000"
        return subprocess.run(
            command(tmp_path / "evidence", *given),
            cwd=root,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    absent = measure("--baseline")
    assert absent.returncode == 3, absent.stdout + absent.stderr
    assert "measure it with --update-baseline" in absent.stdout
    stored = measure("--update-baseline")
    assert stored.returncode == 0, stored.stdout + stored.stderr
    (path,) = (root / "configs/performance/baselines/development").glob("smoke.*.json")
    document = json.loads(path.read_text())
    assert document["commit"] == "abc1234"
    assert len(document["endpoints"]) == 4
    # One run does not tell how much the next may differ, so it is no yardstick yet.
    again = measure("--baseline", "--update-baseline")
    assert again.returncode == 3
    assert "1 of 5 runs" in again.stdout
    assert len(json.loads(path.read_text())["runs"]) == 2
    candidate.probabilities = (0.9, 0.9, 0.9)
    refused = measure("--update-baseline")
    assert refused.returncode == 1
    assert "baseline not updated" in refused.stderr
    assert len(json.loads(path.read_text())["runs"]) == 2


def test_ctrl_c_keeps_partial_results(candidate: Toy, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, "--scenario", "light", "--host", candidate.url),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = threading.Timer(60, process.kill)
    deadline.start()
    try:
        while not candidate.matches and process.poll() is None:
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    finally:
        deadline.cancel()
    assert process.returncode == 130, output + errors
    assert "Traceback" not in errors
    found = evidence.read(tmp_path)[0]
    assert found.facts["exit_code"] == 130
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "partial" in found.summary
    assert sum(entry["requests"] for entry in found.facts["endpoints"]) > 0


def test_the_generator_does_not_outlive_its_parent(candidate: Toy, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, "--scenario", "light", "--host", candidate.url),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not candidate.matches and process.poll() is None:
            threading.Event().wait(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    finally:
        process.kill()
        process.wait()
    assert len(children) == 1
    for _ in range(200):
        if not Path(f"/proc/{children[0]}").exists():
            break
        threading.Event().wait(0.1)
    assert not Path(f"/proc/{children[0]}").exists()


def test_where_nothing_serves_the_way_to_start_it_is_shown(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "--scenario", "smoke"),
        cwd=ROOT,
        env=os.environ | {"KICKOFF_STATE_ROOT": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "no address was given, and development does not serve" in done.stderr
    assert "deploy --env development`" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "smoky", "--host", "http://127.0.0.1:1"], "no scenario named `smoky`"),
        (["--host", "127.0.0.1:1"], "is not an address"),
        (["--host", "http://127.0.0.1:1", "--duration", "10"], "is no duration"),
        (["--host", "http://127.0.0.1:1", "--header", "no"], "is not a header"),
        (["--candidate", "--env", "development"], "--attempt"),
        (["--candidate", "--env", "development", "--attempt", "1", "--duration", "2s"], "by PERF_SCENARIO"),
        (["--candidate", "--env", "development", "--attempt", "1", "--max-rps", "1"], "by PERF_SCENARIO"),
        (["--host", "http://127.0.0.1:1", "--workers", "0"], "at least 1"),
        (["--host", "http://127.0.0.1:1", "--against", "http://127.0.0.1:2", "--baseline"], "--against"),
        (["--host", "http://127.0.0.1:1", "--update-baseline", "--duration", "5s"], "whole scenario"),
    ],
)
def test_bad_input_is_one_clear_message(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_where_nobody_listens_is_unreachable(tmp_path: Path) -> None:
    with closing(socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = subprocess.run(
            command(tmp_path, "--scenario", "heavy", "--host", url),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 4
    assert f"nobody answers at {url}" in done.stderr


def test_list_names_every_scenario(tmp_path: Path, catalogue: Catalogue) -> None:
    done = subprocess.run(
        command(tmp_path, "--list"), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == list(catalogue.scenarios)


def test_evidence_of_a_first_release_says_what_does_not_apply(
    candidate: Toy, smoke: Scenario, locustfile: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    setup = check.Setup(Arm("candidate", candidate.url, {}, "new"), None, locustfile)
    outcome = check.run(smoke, setup, catalogue)
    document = documents.to_evidence(
        [outcome],
        environment="staging",
        service="football",
        release="new",
        attempt="7",
        started=evidence.now(),
        inputs={},
        compared=False,
        not_compared="nothing is live yet",
    )
    path = document.write(tmp_path)
    assert path.name == "perf-baseline.staging.json"
    last = json.loads(path.read_text())["rules"][-1]
    assert (last["verdict"], last["reason"]) == ("not-applicable", "nothing is live yet")
    assert os.fspath(path)
