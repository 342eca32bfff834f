"""Let a commit on only when the environment before proved it, and only the very artefact that was proved."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kickoff import environment, github, naming, service
from kickoff.artifact import admission, demanded, promotion
from kickoff.artifact.promotion import Decision
from kickoff.cli import output
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import now
from kickoff.service import Service

_INTERVAL, _INTERVAL_ON_GITHUB = 1.0, 15.0
"""Seconds between two looks; GitHub takes a thousand questions an hour."""
_HEARTBEAT = 15.0
"""Seconds after which the wait is told again."""


def find(arguments: argparse.Namespace) -> int:
    """Find the proof of a commit, waiting for a run in progress; refuse the commit when there is none.

    Raises:
        KickoffError: It was never proved (exit 1), or the environment demands no proof (exit 2).
    """
    root, started, where = Path.cwd(), now(), github.context()
    described, commit = service.load(root), arguments.commit
    into = _demanding(arguments.env, described)
    limit = environment.setting(into.name, "PROMOTE_WAIT", root)
    on_github = where.active and not where.act
    label = naming.label(root, described.name)
    command = promotion.proving_command(commit, into.after, on_github=on_github, label=label)
    try:
        decision = promotion.look_up(
            admission.ledgers(root, described, into.name, commit),
            commit,
            reason=arguments.unproven_reason,
            limit=limit,
            interval=_INTERVAL_ON_GITHUB if on_github else _INTERVAL,
            say=_Narrator(commit, into.after).say,
        )
        promotion.require(decision, commit, limit, into)
        decision = demanded.weigh(root, decision, into, arguments.unproven_reason)
    except KickoffError as error:
        if error.code is ExitCode.REJECTED:
            error.hint = f"prove it: {command}"
        refusal = promotion.look_up_evidence(
            error, into=into, started=started, service=described.name, commit=commit
        )
        refusal.write(output.evidence_folder())
        raise
    evidence = promotion.look_up_evidence(
        decision, into=into, started=started, service=described.name, commit=commit
    )
    evidence.write(output.evidence_folder())
    proof = decision.proof
    github.set_output("proved-digest", proof.digest if proof else "")
    github.set_output("proved-repository", proof.repository if proof else "")
    github.set_output("unproven-reason", decision.reason)
    for doubt in decision.doubts:
        output.say(f"  overruled: {doubt}")
    if proof is None:
        github.annotate("warning", evidence.summary)
    elif arguments.unproven_reason:
        output.say("  the reason to do without a proof was not needed, and is not recorded")
    found: dict[str, Any] = {"commit": commit, "proved": proof is not None, "reason": decision.reason}
    found |= {"digest": proof.digest if proof else "", "repository": proof.repository if proof else ""}
    output.result(found, f"{'✓' if proof else '!'} {evidence.summary}")
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Refuse an artefact that is not the one that was proved.

    Raises:
        KickoffError: It is another one (exit 1).
    """
    started, described = now(), service.load(Path.cwd())
    into = _demanding(arguments.env, described)
    refusal = None
    try:
        promotion.compare(arguments.built, arguments.proved, into)
    except KickoffError as error:
        refusal = error
    evidence = promotion.comparison_evidence(
        arguments.built,
        arguments.proved,
        refusal,
        into=into,
        started=started,
        service=described.name,
        commit=arguments.commit,
    )
    evidence.write(output.evidence_folder())
    if refusal is not None:
        raise refusal
    output.result(
        {"built": arguments.built, "proved": arguments.proved, "same": True}, f"✓ {evidence.summary}"
    )
    return 0


def _demanding(name: str, described: Service) -> DeclaredEnvironment:
    """Return the environment ``name``, or the only one there is, if it demands a proof."""
    demanding = [one for one in described.environments if one.after]
    names = ", ".join(one.name for one in demanding) or "none"
    if not name and len(demanding) != 1:
        raise KickoffError("--env is missing", hint=f"these environments demand a proof: {names}")
    found = next((one for one in demanding if name in (one.name, "")), None)
    if found is None:
        raise KickoffError(f"{name} demands no proof", hint=f"these do: {names}")
    return found


class _Narrator:
    """Tells what is waited for: at once when it changes, and now and then while it does not."""

    def __init__(self, commit: str, environment: str) -> None:
        self._what = f"{environment}'s proof of {commit[:7]}"
        self._last, self._left = "", float("inf")

    def say(self, decision: Decision, left: float) -> None:
        """Say what is waited for, and how many seconds still."""
        what = "; ".join(str(one) for one in decision.running) or "nothing seen yet; a run may turn up"
        if what == self._last and self._left - left < _HEARTBEAT:
            return
        until = (datetime.now(UTC) + timedelta(seconds=left)).strftime("%H:%M:%S")
        text = f"waiting for {self._what}, until {until} UTC at most: {what}"
        if what != self._last:
            github.annotate("notice", text)
        output.say(f"  {text} ({left:.0f} s left)")
        self._last, self._left = what, left
