"""Each first mistake of a service is answered with its cause, its place and its fix."""

from dataclasses import dataclass, field

import pytest

from kickoff.probing.readiness import Readiness
from kickoff.release import diagnosis
from kickoff.service import parse

SERVICE = parse(
    "name: things\nrun: node server.js\nhealth:\n  live: /live\n  ready: /ready\nrelease_header: X-Release\n",
    "kickoff.yml",
)


@dataclass(frozen=True)
class Mistake:
    """One row: what was seen, and what is answered."""

    what: str
    at: str
    hint: str
    cause: str = ""
    ended: bool = False
    status: int = 0
    wrong: bool = False
    named: str = ""
    listening: frozenset[int] | None = field(default_factory=lambda: frozenset({4000}))
    log: tuple[str, ...] = ()


ENV = "configs/environments/development.env"
MISTAKES = (
    Mistake("PORT is not read", "kickoff.yml:2", "{port}", status=502, listening=frozenset({3000}),
            cause="nothing listens on port 4000; the process ignores PORT and listens on 3000"),
    Mistake("it starts slowly", ENV, "raise READY_TIMEOUT", status=502, listening=frozenset(),
            cause="still starting: it runs, and nothing listens on port 4000 yet"),
    Mistake("it listens and is not ready", ENV, "raise READY_TIMEOUT if /ready only", status=503),
    Mistake("it listens and breaks off", "kickoff.yml:5", "its log says why /ready fails; in", status=502),
    Mistake("it answers with an error", "kickoff.yml:5", "its log says why /ready fails; in", status=500),
    Mistake("its ports cannot be told", ENV, "raise READY_TIMEOUT", status=502, listening=None),
    Mistake("no release header", "kickoff.yml:6", "send the value of KICKOFF_RELEASE in X-Release, or write "
            "`release_header: none`", status=200, wrong=True),
    Mistake("a header of its own", "kickoff.yml:2", "must hold the value of KICKOFF_RELEASE", status=200,
            wrong=True, named="1.2.3"),
    Mistake("the health path is wrong", "kickoff.yml:5", "correct the path", status=404),
    Mistake("it crashes", "kickoff.yml:2", "its log says why", cause="Error: boom", ended=True,
            log=("Error: boom",)),
    Mistake("node's port is in use", "kickoff.yml:2", "PORT", cause="a port that is in use", ended=True,
            log=("Error: listen EADDRINUSE: address already in use :::3000",)),
    Mistake("python's port is in use", "kickoff.yml:2", "PORT", cause="a port that is in use", ended=True,
            log=("OSError: [Errno 98] Address already in use",)),
)  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_a_first_mistake_is_answered(mistake: Mistake) -> None:
    found = Readiness(
        False,
        "why",
        1.0,
        ended=mistake.ended,
        status=mistake.status,
        wrong=mistake.wrong,
        named=mistake.named,
    )
    seen = diagnosis.Symptoms(found, 4000, mistake.listening, mistake.log)
    answer = diagnosis.of(seen, SERVICE, "development")
    assert answer.at == mistake.at
    assert mistake.hint in answer.hint
    assert mistake.cause in answer.cause
    assert bool(answer.cause) == bool(mistake.cause)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "the proxy sends no key: let /live answer without one"),
        (404, "correct the path of the liveness check, or let the service answer it with 200"),
        (503, "the proxy asks /live all the time: let it answer with 200, and soon"),
        (0, "the proxy asks /live all the time: let it answer with 200, and soon"),
    ],
)
def test_what_the_proxy_would_find_ill_is_answered_by_what_it_answered(status: int, hint: str) -> None:
    found = diagnosis.of_live(Readiness(False, "why", 1.0, status=status), SERVICE)
    assert found == ("", "kickoff.yml:4", hint)
