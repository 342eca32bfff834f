"""A host's facts judged: every check can fail, and what was not seen is never a pass."""

from typing import Any

import pytest

from kickoff.evidence import Verdict
from kickoff.host import checks
from kickoff.host.checks import Finding

GIB = 1024**3
STATE: dict[str, Any] = {
    "path": "/state",
    "there": True,
    "mode": 0o700,
    "owner": True,
    "writable": True,
    "free": 9 * GIB,
}
DOCKER: dict[str, Any] = {
    "engine": ("28.5.2", ""),
    "compose": ("v2.38.0", ""),
    "buildx": ("github.com/docker/buildx v0.29.1", ""),
    "root": STATE | {"path": "/docker"},
}


def verdicts(findings: list[Finding]) -> dict[str, Verdict]:
    for one in findings:
        assert one.detail
        assert one.verdict is not Verdict.FAIL or one.fix, f"{one.name} says what to do"
    return {one.name: one.verdict for one in findings}


def test_a_good_engine_passes() -> None:
    assert set(verdicts(checks.docker(DOCKER)).values()) == {Verdict.PASS}


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"engine": ("27.5.1", "")}, "docker engine", Verdict.FAIL),
        ({"engine": ("", "permission denied while trying to connect")}, "docker engine", Verdict.FAIL),
        ({"engine": ("dev", "")}, "docker engine", Verdict.FAIL),
        ({"compose": ("2.37.9", "")}, "docker compose", Verdict.FAIL),
        ({"compose": ("", "docker: 'compose' is not a docker command.")}, "docker compose", Verdict.FAIL),
        ({"buildx": ("", "unknown command")}, "docker buildx", Verdict.FAIL),
        ({"root": STATE | {"free": GIB}}, "docker disk", Verdict.FAIL),
        ({"root": {"path": "/elsewhere", "failure": ""}}, "docker disk", Verdict.INCONCLUSIVE),
    ],
)
def test_what_an_engine_may_lack(change: dict[str, Any], name: str, verdict: Verdict) -> None:
    found = verdicts(checks.docker(DOCKER | change))
    assert found.pop(name) is verdict
    assert set(found.values()) == {Verdict.PASS}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"writable": False}, "state folder"),
        ({"owner": False}, "state folder"),
        ({"mode": 0o755}, "state folder"),
        ({"mode": 0o710}, "state folder"),
        ({"free": GIB}, "state disk"),
    ],
)
def test_what_is_wrong_with_a_state_folder(change: dict[str, Any], name: str) -> None:
    found = verdicts(checks.state(STATE | change))
    assert found.pop(name) is Verdict.FAIL
    assert set(found.values()) == {Verdict.PASS}


def test_a_state_folder_may_still_be_missing() -> None:
    new = STATE | {"there": False, "mode": 0}
    assert set(verdicts(checks.state(new)).values()) == {Verdict.PASS}


@pytest.mark.parametrize(
    ("taken", "command", "containers", "verdict"),
    [
        (False, "", [], Verdict.PASS),
        (True, "", ["football-staging/traefik"], Verdict.PASS),
        (True, "/venv/bin/traefik --configFile=/state/traefik/traefik.yml", [], Verdict.PASS),
        (True, "/venv/bin/traefik --configFile=/state2/traefik/traefik.yml", [], Verdict.FAIL),
        (True, "nginx: master process /usr/sbin/nginx", [], Verdict.FAIL),
        (True, "", [], Verdict.FAIL),
        (True, "", ["other/web"], Verdict.FAIL),
        (True, "", ["/"], Verdict.FAIL),
    ],
)
def test_a_port_is_free_or_held_by_our_own_proxy(
    taken: bool, command: str, containers: list[str], verdict: Verdict
) -> None:
    port = {"taken": taken, "command": command}
    finding = checks.port(8100, port, "football-staging/traefik", containers, "/state")
    assert verdicts([finding]) == {"port 8100": verdict}


@pytest.mark.parametrize(
    ("offset", "doubt", "synchronised", "verdict"),
    [
        (0.4, 0.6, "", Verdict.PASS),
        (-4.9, 0.1, "", Verdict.PASS),
        (7.0, 0.5, "yes", Verdict.FAIL),
        (-7.0, 0.5, "", Verdict.FAIL),
        (7.0, 9.0, "", Verdict.INCONCLUSIVE),
        (None, 0.0, "yes", Verdict.PASS),
        (None, 0.0, "no", Verdict.FAIL),
        (None, 0.0, "", Verdict.INCONCLUSIVE),
    ],
)
def test_the_clock(offset: float | None, doubt: float, synchronised: str, verdict: Verdict) -> None:
    assert checks.clock(offset, doubt, "a server", synchronised).verdict is verdict


def test_the_rest() -> None:
    assert checks.python([3, 11, 0]).verdict is Verdict.PASS
    assert checks.python([3, 9, 2]).verdict is Verdict.FAIL
    assert checks.network("n", "bridge", "staging").verdict is Verdict.PASS
    assert "apply --env staging" in checks.network("n", "", "staging").fix
    assert verdicts(checks.names({"a.example": ["192.0.2.1"], "b.example": []})) == {
        "name a.example": Verdict.PASS,
        "name b.example": Verdict.FAIL,
    }
    assert checks.secrets([]).verdict is Verdict.PASS
    assert "API_KEY" in checks.secrets(["API_KEY"]).detail


def test_the_exit_code_is_that_of_the_worst_finding() -> None:
    good, bad, doubt = (
        checks.passed("a", "b"),
        checks.failed("a", "b", "c"),
        checks.unknown("a", "b"),
    )
    assert [checks.exit_code(found) for found in ([good], [good, doubt], [doubt, bad, good], [])] == [
        0,
        3,
        1,
        3,
    ]
