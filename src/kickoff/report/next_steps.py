"""The commands that make sense after a run, by what stopped it. Pure functions."""

import shlex
from collections.abc import Mapping

from kickoff import naming
from kickoff.errors import ExitCode
from kickoff.evidence.stages import BEFORE_A_DEPLOYMENT, DEPLOYING
from kickoff.report.messages import line
from kickoff.report.run import Run

_AGAIN, _WAITING = "{again}", "{again_waiting}"
_START = "kickoff start --env {env}"
_STATUS, _HISTORY, _LOGS = (
    "kickoff status --env {env}",
    "kickoff history --env {env}",
    "kickoff logs --env {env} --process candidate",
)
_BY_CODE: Mapping[int, tuple[str, ...]] = {
    ExitCode.BAD_INPUT: ("kickoff validate", _AGAIN),
    ExitCode.UNREACHABLE: ("kickoff doctor --env {env}", _AGAIN),
    ExitCode.ROLLED_BACK: (_LOGS, _HISTORY),
    ExitCode.ROLLBACK_FAILED: (_STATUS, "kickoff resume --env {env}"),
    ExitCode.LOCK_HELD: (_WAITING,),  # when to free the lock by force, `fix` says
    ExitCode.INTERRUPTED: (_AGAIN,),
}
_BEGUN = ("kickoff resume --env {env}", _AGAIN)
"""After an interruption that may have left a candidate with users."""
_BY_STAGE = {
    "validate": ("kickoff env validate --env {env}", _AGAIN),
    "quality-gate": ("kickoff check", _AGAIN),
    "dependency-audit": ("kickoff audit", _AGAIN),
    "secret-scan": ("kickoff audit", _AGAIN),
    "perf-baseline": (_AGAIN, "kickoff trend"),
    "rollback": (_STATUS, _HISTORY),
    "abort": (_STATUS, _AGAIN),
    "preflight": (_STATUS,),  # a freeze: again, it would be refused again
}
_TAKEN_BACK = (_HISTORY, _STATUS)
_MAY_BE_UNDER_WAY = (ExitCode.ROLLBACK_FAILED, ExitCode.LOCK_HELD, ExitCode.INTERRUPTED)
"""With these a release is still open, which `resume` or its run ends: nothing else may be started."""


def commands(
    run: Run,
    environment: str,
    *,
    code: int,
    stage: str = "",
    taken_back: bool = False,
    of_environment: bool = False,
    down: bool = False,
    logged: bool = True,
) -> tuple[str, ...]:
    """Return what to do next; nothing where all is well.

    Args:
        run: What the run left behind.
        environment: Where it went; empty where nothing is deployed.
        code: The run's exit code.
        stage: The stage that stopped it; empty when none did.
        taken_back: Whether somebody else took the release back.
        of_environment: Whether what is wrong stands in a file of the environment.
        down: Whether what is recorded as live did not serve when it was asked last.
        logged: Whether there is a log of what stopped the run.
    """
    if code == ExitCode.PASS:
        return ()
    name = shlex.quote(line(environment, 60))
    again = waiting = "kickoff check"
    if run.run_url:
        again = waiting = f"gh run rerun {run.run_url.rstrip('/').rpartition('/')[2]}"
    elif environment:
        again = shipping(run, name)
        waiting = f"{again} --wait 600"
    found = _templates(code, "validate" if of_environment else stage, taken_back=taken_back)
    if stage == "promote" and not logged:
        found = tuple(text for text in found if text != _LOGS)  # not the candidate, but what it needs
    if down and not taken_back and code not in _MAY_BE_UNDER_WAY:
        found = _serving_again(found, code)
    if not environment:
        found = tuple(text for text in found if "{env}" not in text)
    texts = [text.format(env=name, again=again, again_waiting=waiting) for text in found]
    return tuple(dict.fromkeys(texts))


def shipping(run: Run, environment: str) -> str:
    """Return the command that ships to an environment, by the whole pipeline where there is its workflow."""
    verb = "deploy" if naming.file("cd", run.label) in run.workflows else "release"
    return f"kickoff {verb} --env {environment}"


def _serving_again(found: tuple[str, ...], code: int) -> tuple[str, ...]:
    """Return the templates with what brings live back: first, but after a look at what is out of reach."""
    first = 1 if code == ExitCode.UNREACHABLE else 0
    return (*found[:first], _START, *found[first:])


def _templates(code: int, stage: str, *, taken_back: bool) -> tuple[str, ...]:
    if taken_back:
        return _TAKEN_BACK
    if code == ExitCode.INTERRUPTED and stage in DEPLOYING:
        return _BEGUN
    if code in _BY_CODE and (code, stage) != (ExitCode.BAD_INPUT, "validate"):
        return _BY_CODE[code]
    if stage in _BY_STAGE:
        return _BY_STAGE[stage]
    if stage in BEFORE_A_DEPLOYMENT:
        return (_AGAIN,)
    return (_LOGS, _AGAIN) if stage else (_STATUS, _AGAIN)
