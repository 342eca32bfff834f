"""Releases on the local target: what users see while good and bad releases come and go."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from kickoff.errors import ExitCode
from kickoff.evidence import Evidence, Verdict, now
from kickoff.paths import METRICS
from kickoff.release.stores.lease import TakenBack
from tests.e2e.project import RELEASE, REPOSITORY, Load, Project

pytestmark = pytest.mark.e2e


def test_a_new_release_takes_over_without_a_failed_request(project: Project) -> None:
    first = project.ship()
    assert first.verdict == "pass"
    with Load(project.address, 100) as load:
        time.sleep(0.5)
        second = project.ship(delay_ms=1)
        time.sleep(0.5)
    assert second.facts["outcome"] == "released"
    assert load.failed == []
    assert set(load.releases) == {first.release, second.release}
    assert second.facts["serving"] == {"release": second.release, "colour": "green", "answers": "yes"}
    project.assert_settled(second.release)


def test_a_candidate_whose_health_path_is_wrong_leaves_the_live_release_its_own(project: Project) -> None:
    good = project.ship().release
    description = project.root / "kickoff.yml"
    right = description.read_text(encoding="utf-8")
    description.write_text(right.replace("live: /health/live", "live: /not-there"), encoding="utf-8")
    with Load(project.address, 60) as load:
        refused = project.ship(delay_ms=1)
        assert refused.verdict == "fail"
        assert "404" in refused.summary
        time.sleep(4)  # the proxy's own health check goes on
    assert load.failed == []
    project.assert_settled(good)
    status = project.command("status")
    assert status.returncode == ExitCode.PASS, status.stdout


def test_the_same_release_is_not_shipped_twice(project: Project) -> None:
    first = project.ship()
    commit = project.root
    engine = project.engine()
    head = project._git("rev-parse", "HEAD").strip()
    again = engine.stage(project.build(head), commit.parent / "artifacts", head, wait=0, force=False)
    assert again.facts["changed"] is False
    assert again.release == first.release
    project.assert_settled(first.release)


def test_what_a_release_started_again_was_not_stopped_by_anybody_any_more(project: Project) -> None:
    first = project.ship().release
    shares = project.store.root / METRICS / "releases.prom"
    assert f'release="{first}",colour="blue"}} 1\n' in shares.read_text(encoding="utf-8")
    assert project.command("stop").returncode == ExitCode.PASS
    assert first not in shares.read_text(encoding="utf-8")
    head = project._git("rev-parse", "HEAD").strip()
    again = project.engine().stage(
        project.build(head), project.root.parent / "artifacts", head, wait=0, force=False
    )
    assert again.facts["live_down"]["started_again"] is True
    entries = [(entry.action, entry.release) for entry in project.store.history.newest_first()]
    assert entries == [("start", first), ("stop", first), ("release", first)]
    assert first in shares.read_text(encoding="utf-8")
    project.kill_everything()
    said = project.command("status")
    assert said.returncode == ExitCode.UNREACHABLE
    assert "stopped by" not in said.stdout + said.stderr


def test_the_reason_to_ship_without_a_proof_stays_in_the_history(project: Project) -> None:
    reason = "staging's host is being replaced"
    for last in ("abort", "promote"):
        staged = project.command(
            "stage", *project.stage_arguments(project.commit()), f"--unproven-reason={reason}"
        )
        assert staged.returncode == ExitCode.PASS, staged.stderr
        attempt = project.evidence("stage")["attempt"]
        done = project.command(last, f"--attempt={attempt}", KICKOFF_RUN_ID="another")
        assert done.returncode == ExitCode.PASS, done.stderr
    assert project.ship(delay_ms=1).facts["outcome"] == "released"
    entries = json.loads(project.command("history", "--json").stdout)["entries"]
    assert [entry["unproven_reason"] for entry in entries] == [reason, reason, ""]
    assert project.command("history").stdout.count(f"unproven: {reason}\n") == 2
    assert project.command("history", "--verify").returncode == ExitCode.PASS


def test_a_frozen_environment_takes_a_release_for_a_reason_alone_and_goes_back_without_one(
    project: Project,
) -> None:
    """Frozen before ``stage``, it begins nothing; frozen between ``stage`` and ``promote``, it is undone."""
    first, reason = project.ship().release, "payments are down"
    staged = project.command("stage", *project.stage_arguments(project.commit(delay_ms=1)))
    assert staged.returncode == ExitCode.PASS, staged.stderr
    described = project.root / "kickoff.yml"
    today = datetime.now(UTC)
    begin, end = (f"{today + timedelta(days=days):%Y-%m-%d} 00:00" for days in (-1, 2))
    window = f"{{from: {begin}, until: {end}, reason: year's end}}"
    declared = f"environments:\n  development:\n    freeze:\n      - {window}\n"
    described.write_text(described.read_text("utf-8") + declared, "utf-8")
    overtaken = project.command("promote", f"--attempt={project.evidence('stage')['attempt']}")
    assert overtaken.returncode == ExitCode.REJECTED
    assert "not promoted: development is frozen until" in overtaken.stdout + overtaken.stderr
    assert project.live == first
    journal = project.store.root / "journal.jsonl"
    before = journal.read_bytes()
    arguments = project.stage_arguments(project.commit(delay_ms=2))
    refused = project.command("stage", *arguments)
    assert refused.returncode == ExitCode.REJECTED
    assert "development is frozen until" in refused.stderr
    assert "year's end" in refused.stderr
    assert journal.read_bytes() == before, "nothing was begun"
    staged = project.command("stage", *arguments, f"--freeze-reason={reason}")
    assert staged.returncode == ExitCode.PASS, staged.stderr
    promoted = project.command("promote", f"--attempt={project.evidence('stage')['attempt']}")
    assert promoted.returncode == ExitCode.PASS, promoted.stderr
    assert project.command("history").stdout.count(f"in spite of a freeze: {reason}\n") == 1
    assert project.command("rollback").returncode == ExitCode.PASS
    assert project.live == first
    entries = json.loads(project.command("history", "--json").stdout)["entries"]
    assert [entry["freeze_reason"] for entry in entries if entry["freeze_reason"]] == [reason]


def test_the_history_tells_which_check_refused_a_release_and_who_was_at_it(project: Project) -> None:
    live = project.ship().release
    for verdict, given, reason in (
        (Verdict.FAIL, "", "smoke-candidate: GET /: 500 (200)"),
        (Verdict.PASS, "the run was interrupted", "the run was interrupted: it had passed smoke-candidate"),
    ):
        staged = project.stage(project.commit(delay_ms=1 + len(given)))
        assert staged.returncode == ExitCode.PASS, staged.stderr
        found = project.evidence("stage")
        checked = Evidence("smoke-candidate", "development", verdict, "", now(), release=found["release"])
        with project.entered():
            problem = "GET /: 500 (200)" if verdict is Verdict.FAIL else ""
            project.session().record_check(found["attempt"], checked, problem)
        done = project.command("abort", f"--attempt={found['attempt']}", f"--reason={given}", USER="ada")
        assert done.returncode == ExitCode.PASS, done.stderr
        entry = project.session().store.history.entries()[-1]
        assert (entry.release, entry.previous) == (found["release"], live)
        assert entry.data["reason"] == reason
        assert entry.data["checks"] == {"smoke-candidate": str(verdict)}
        assert entry.data["subject"] and entry.data["actor"]


def test_rollback_serves_the_previous_release_again(project: Project) -> None:
    first, second = project.ship(), project.ship(delay_ms=1)
    with Load(project.address, 100) as load:
        done = project.command("rollback")
    assert done.returncode == ExitCode.PASS, done.stderr
    assert load.failed == []
    assert project.serving() == first.release
    project.assert_settled(first.release)
    assert second.release != first.release


def test_rollback_to_a_release_that_no_longer_runs_starts_it_again(project: Project) -> None:
    first = project.ship()
    project.ship(delay_ms=1)
    project.ship(delay_ms=2)
    done = project.command("rollback", "--to", first.release)
    assert done.returncode == ExitCode.PASS, done.stderr
    project.assert_settled(first.release)


def test_rollback_without_an_earlier_release_says_so(project: Project) -> None:
    only = project.ship()
    done = project.command("rollback")
    assert done.returncode == ExitCode.BAD_INPUT
    assert "no earlier release" in done.stderr
    project.assert_settled(only.release)


def test_a_second_run_is_told_who_holds_the_lock(project: Project) -> None:
    first = project.stage(project.commit())
    assert first.returncode == 0, first.stderr
    second = project.stage(project.commit(delay_ms=1), KICKOFF_RUN_ID="another")
    assert second.returncode == ExitCode.LOCK_HELD
    assert "is releasing" in second.stderr
    evidence = project.evidence("stage")
    assert evidence["facts"]["exit_code"] == ExitCode.LOCK_HELD
    assert "is releasing" in evidence["summary"]
    assert "--wait" in evidence["facts"]["hint"]
    assert project.command("abort").returncode == 0
    assert project.stage(project.commit(delay_ms=1), KICKOFF_RUN_ID="another").returncode == 0


def test_of_two_runs_at_once_one_ships(project: Project) -> None:
    arguments = project.stage_arguments(project.commit())
    runs = [
        subprocess.Popen(
            [sys.executable, str(RELEASE), "stage", "--env", "development", *arguments],
            cwd=project.root,
            env=project.environ | {"KICKOFF_RUN_ID": f"run {number}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(2)
    ]
    assert sorted(run.wait(timeout=60) for run in runs) == [ExitCode.PASS, ExitCode.LOCK_HELD]


def test_a_plan_shows_what_would_change_and_changes_nothing(project: Project) -> None:
    first = project.ship()
    project.set(LOG_LEVEL="warning")
    commit = project.commit(delay_ms=1)
    before = sorted(path.name for path in (project.state / "fixture" / "development").rglob("*"))
    shown = project.command("plan")
    assert shown.returncode == 0, shown.stderr
    assert f"{first.release} → {commit[:7]}-" in shown.stdout
    assert "changed LOG_LEVEL" in shown.stdout
    assert "green 100%, watched for" in shown.stdout
    assert sorted(path.name for path in (project.state / "fixture" / "development").rglob("*")) == before
    project.assert_settled(first.release)
    assert project.ship(delay_ms=1).facts["outcome"] == "released"


def test_a_release_that_is_judged_by_less_than_the_last_says_so_everywhere(project: Project) -> None:
    first = project.ship().release
    project.set(ERROR_RATE_THRESHOLD="5%", PROBE_RATE="60")
    description = project.root / "kickoff.yml"
    strict = description.read_text(encoding="utf-8")
    echo = strict[strict.index("  - name: echo") : strict.index("probe:")]
    description.write_text(strict.replace(echo, ""), encoding="utf-8")
    project.commit(delay_ms=1)
    told = (
        f"judged by other rules than {first}",
        "ERROR_RATE_THRESHOLD: 1% → 5% (weaker)",
        'smoke echo: POST /echo {"text":"hello"}: 201 → none (weaker)',
    )
    planned = project.command("plan").stdout
    assert [one for one in (*told, "PROBE_RATE: 50 → 60 (stricter)") if one not in planned] == []
    released = project.command("release", "--commit=HEAD")
    assert released.returncode == ExitCode.PASS, released.stdout + released.stderr
    block = released.stdout[released.stdout.rindex("RELEASED") :]
    assert [one for one in told if one not in block] == []
    second = project.live
    known = project.evidence("stage")["facts"]["judged_by"]
    assert (known["before"], known["recorded"], known["rules"]["PROBE_RATE"]) == (first, True, "60")
    shown = project.command("show", second).stdout
    assert [one for one in told if one not in shown] == []
    # What an older version released has no record, and that is no sameness.
    (project.store.release_folder(second) / "judged.json").unlink()
    assert (
        f"not compared with those of {second}: not recorded"
        in project.command("plan", "--commit=HEAD~1").stdout
    )


def test_a_candidate_is_not_judged_by_less_than_it_was_staged_for(project: Project) -> None:
    good = project.ship().release
    assert project.stage(project.commit(delay_ms=1)).returncode == ExitCode.PASS
    project.set(ERROR_RATE_THRESHOLD="100%")
    refused = project.command("promote", f"--attempt={project.evidence('stage')['attempt']}")
    assert refused.returncode == ExitCode.REJECTED
    assert "staged to be judged by other rules: ERROR_RATE_THRESHOLD: 1% → 100% (weaker)" in refused.stderr
    project.assert_settled(good)


def test_the_history_tells_the_delivery_figures(project: Project) -> None:
    project.set(BAKE_TIME="3s")
    first = project.ship()
    bad = project.ship(error_share=0.5)
    assert bad.facts["outcome"] == "rolled-back"
    proof = bad.rules[-1]
    assert (proof.rule, proof.verdict, proof.measured) == (
        f"rolled back: the public address answers with {first.release}", "pass", "10 of 10",
    )  # fmt: skip
    shown = project.command("metrics", "--json")
    assert shown.returncode == 0, shown.stderr
    figures = json.loads(shown.stdout)
    assert (figures["deployments"], figures["failures"], figures["change_failure_rate"]) == (2, 1, 0.5)
    assert 0 < figures["lead_time_seconds"] < 600
    assert 0 < figures["recovery_seconds"] < 60


def test_streams_and_websockets_pass_the_proxy_while_a_fallback_stands_by(project: Project) -> None:
    from websockets.sync.client import connect

    project.ship()
    project.ship(delay_ms=1)
    began = time.monotonic()
    with httpx.stream("GET", f"{project.address}/stream", params={"seconds": 2}) as answer:
        arrivals = [(chunk, time.monotonic() - began) for chunk in answer.iter_text()]
    assert arrivals[0][0].startswith("0")
    assert arrivals[-1][1] - arrivals[0][1] > 1, "the answer came in one piece"
    with connect(project.address.replace("http", "ws") + "/ws", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(timeout=5) == "hello"


def test_a_release_that_dies_is_covered_by_the_warm_one_without_the_pipeline(project: Project) -> None:
    first = project.ship()
    second = project.ship(delay_ms=1)
    state = project.session().store.state()
    assert state.live is not None
    # It cannot come back either: the supervisor may be quicker than the proxy's health check.
    faults = project.store.release_folder(second.release) / "bundle" / "fixture" / "faults.json"
    with Load(project.address, 100) as load:
        time.sleep(0.3)
        faults.write_text('{"crash_at_start": true}')
        os.kill(project.session().target.state(state.live).pid, signal.SIGKILL)
        time.sleep(2)
    assert first.release in load.releases
    assert second.release in load.releases
    assert set(load.failed) <= {"HTTP 502"}, "only writes to the dead release, until its health check failed"
    assert len(load.failed) < load.requests / 4


def test_a_rollback_takes_a_release_back_from_the_run_that_is_at_it(project: Project) -> None:
    first = project.ship()
    project.set(RELEASE_STRATEGY="canary", CANARY_STEPS="50,100", CANARY_HOLD="60s")
    assert project.stage(project.commit(delay_ms=1), KICKOFF_RUN_ID="a deploy").returncode == 0
    attempt = project.evidence("stage")["attempt"]
    with (
        Load(project.address, 50) as load,
        subprocess.Popen(
            [sys.executable, str(RELEASE), "promote", "--env", "development", "--attempt", attempt],
            cwd=project.root,
            env=project.environ | {"KICKOFF_RUN_ID": "a deploy"},
            stderr=subprocess.PIPE,
            text=True,
        ) as deploy,
    ):
        deadline = time.monotonic() + 30
        while len(project.session().proxy.weights()) < 2:
            assert time.monotonic() < deadline, "the canary never began"
            time.sleep(0.05)
        time.sleep(0.5)
        done = project.command("rollback", KICKOFF_RUN_ID="a person")
        _, said = deploy.communicate(timeout=30)
    assert done.returncode == 0, done.stderr
    assert f"{first.release} serves again" in done.stderr
    assert deploy.returncode == ExitCode.LOCK_HELD, said
    assert re.search(r"@\S+ took \S+ over at \d\d:\d\d:\d\d UTC", said), said
    assert project.evidence("promote")["facts"]["taken_by"]
    assert load.failed == []
    project.assert_settled(first.release)
    undone = project.session().store.history.entries()[-1]
    assert (undone.outcome, undone.data["reason"].partition(" asked")[2]) == ("undone", " for a rollback")


def test_a_rollback_beside_a_candidate_nobody_met_goes_back_from_the_live_release(project: Project) -> None:
    first, second = project.ship(), project.ship(delay_ms=1)
    assert project.stage(project.commit(delay_ms=2), KICKOFF_RUN_ID="a deploy").returncode == 0
    begun = project.evidence("stage")
    attempt = begun["attempt"]
    done = project.command("rollback", KICKOFF_RUN_ID="a person")
    assert done.returncode == 0, done.stderr
    # A check that was under way meanwhile is told who took its candidate, not that a lock is held.
    check = Evidence("smoke-candidate", "development", Verdict.PASS, "late", now(), release=begun["release"])
    with pytest.raises(TakenBack):
        project.session().record_check(attempt, check)
    assert second.release != first.release
    project.assert_settled(first.release)
    late = project.command("promote", "--attempt", attempt, KICKOFF_RUN_ID="a deploy")
    assert late.returncode != 0
    project.assert_settled(first.release)


def test_after_a_first_release_is_taken_back_nothing_serves(project: Project) -> None:
    project.set(BAKE_TIME="60s")
    assert project.stage(project.commit(), KICKOFF_RUN_ID="a deploy").returncode == 0
    attempt = project.evidence("stage")["attempt"]
    with subprocess.Popen(
        [sys.executable, str(RELEASE), "promote", "--env", "development", "--attempt", attempt],
        cwd=project.root,
        env=project.environ | {"KICKOFF_RUN_ID": "a deploy"},
        stderr=subprocess.DEVNULL,
    ) as deploy:
        deadline = time.monotonic() + 30
        while not project.session().proxy.weights():
            assert time.monotonic() < deadline, "the bake never began"
            time.sleep(0.05)
        done = project.command("rollback", KICKOFF_RUN_ID="a person")
        assert deploy.wait(timeout=30) == ExitCode.LOCK_HELD
    assert done.returncode == ExitCode.ROLLED_BACK
    assert "nothing serves now" in done.stderr
    assert project.services_running() == []
    assert httpx.get(project.address, trust_env=False).status_code == 503


@pytest.mark.parametrize("reused", [True, False], ids=["kept connection", "new connection"])
def test_a_read_that_kills_its_process_does_not_kill_the_warm_one(project: Project, reused: bool) -> None:
    project.ship()
    live = project.ship(delay_ms=1).release
    warm = project.session().store.state().warm
    assert warm is not None
    before = project.session().target.state(warm).pid
    if reused:
        assert httpx.get(project.address, headers={"X-Kickoff-Check": "warm up"}).status_code == 200
    else:
        time.sleep(4)  # the proxy gives up idle connections after 3 s
    answer = httpx.get(f"{project.address}/poison", timeout=30)
    time.sleep(1)
    poisoned = project.read_data("poisoned").split()
    print(f"status {answer.status_code}, executed by {poisoned}")
    assert answer.status_code == 502
    assert set(poisoned) == {live}
    assert len(poisoned) <= 2, (
        "the proxy's transport may repeat a read on a connection that it had kept, once"
    )
    assert project.session().target.state(warm).pid == before


def test_the_candidate_is_checked_whatever_became_of_live(project: Project) -> None:
    project.ship()
    assert project.stage(project.commit(delay_ms=1)).returncode == 0
    live = project.session().store.state().live
    assert live is not None
    project.stop_colour(live)
    done = subprocess.run(
        [
            sys.executable,
            str(REPOSITORY / "scripts" / "smoke" / "run_smoke_tests.py"),
            "--env=development",
            "--phase=candidate",
            f"--attempt={project.evidence('stage')['attempt']}",
        ],
        cwd=project.root,
        env=project.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert project.evidence("smoke-candidate")["verdict"] == "pass"


def test_a_first_release_that_failed_after_it_went_live_is_taken_out_of_service(project: Project) -> None:
    first = project.ship()
    taken = project.command("rollback", f"--failed={first.release}", "--reason=its live smoke test failed")
    assert taken.returncode == ExitCode.ROLLED_BACK, taken.stderr
    assert "so nothing serves now" in taken.stderr
    assert project.services_running() == []
    assert httpx.get(project.address, trust_env=False).status_code == 503
    again = project.command("rollback", f"--failed={first.release}")
    assert again.returncode == ExitCode.PASS, again.stderr
    assert "nothing to take back" in again.stderr
    assert project.command("status").returncode == ExitCode.UNREACHABLE
    assert project.ship(delay_ms=1).facts["outcome"] == "released"


def test_a_failed_release_is_taken_back_once_whoever_asks(project: Project) -> None:
    first, second = project.ship(), project.ship(delay_ms=1)
    done = [project.command("rollback", f"--failed={second.release}") for _ in range(2)]
    assert [one.returncode for one in done] == [ExitCode.PASS, ExitCode.PASS], done[-1].stderr
    assert "nothing to take back" in done[1].stderr
    project.assert_settled(first.release)


def test_a_release_that_no_judge_passed_is_no_unchanged_one(project: Project) -> None:
    only = project.ship()
    path = project.store.history.path
    entry = json.loads(path.read_text(encoding="utf-8"))
    del entry["data"]["baked_at"]
    path.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    journal = project.store.journal.path
    kept = [line for line in journal.read_text("utf-8").splitlines() if '"step":"bake"' not in line]
    journal.write_text("\n".join(kept) + "\n", encoding="utf-8")
    head = project._git("rev-parse", "HEAD").strip()
    folder = project.root.parent / "artifacts"
    again = project.engine().stage(project.build(head), folder, head, wait=0, force=False)
    assert (again.release, again.facts["changed"]) == (only.release, True)
    promoted = project.engine().promote(again.attempt)
    assert promoted is not None and promoted.facts["outcome"] == "released"
    unchanged = project.engine().stage(project.build(head), folder, head, wait=0, force=False)
    assert unchanged.facts["promoted"]["verdict"] == "pass"
    assert project.engine().promote(unchanged.attempt) is None


def test_a_cost_is_allowed_for_one_release_and_stands_in_the_history(project: Project) -> None:
    project.ship()
    arguments = project.stage_arguments(project.commit(delay_ms=1))
    journal = project.store.root / "journal.jsonl"
    before = journal.read_bytes()
    refused = project.command("stage", *arguments, "--perf-allow-once=because I say so")
    assert refused.returncode == ExitCode.BAD_INPUT
    assert "a reason and a percentage" in refused.stderr
    assert journal.read_bytes() == before, "nothing was begun"
    cost = "tracing costs 15 %"
    for given in (cost, ""):
        staged = project.command("stage", *arguments, f"--perf-allow-once={given}")
        assert staged.returncode == ExitCode.PASS, staged.stderr
        attempt = project.evidence("stage")["attempt"]
        assert project.store.attempt(attempt).perf_allow_once == given, "and of this attempt alone"
        assert project.command("promote", f"--attempt={attempt}").returncode == ExitCode.PASS
        arguments = project.stage_arguments(project.commit(delay_ms=2))
    assert project.command("history").stdout.count(f"allowed once: {cost}\n") == 1
    entries = json.loads(project.command("history", "--json").stdout)["entries"]
    assert [entry["perf_allow_once"] for entry in entries if entry["perf_allow_once"]] == [cost]
