#!/usr/bin/env python3
"""Let a commit into production only when staging proved it, and only the very artefact that was proved."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import os
from datetime import UTC, datetime, timedelta

from kickoff import environment, github, plan, service
from kickoff.artifact import admission, promotion
from kickoff.artifact.promotion import Decision
from kickoff.errors import ExitCode, KickoffError, run
from kickoff.evidence import now

_INTERVAL, _INTERVAL_ON_GITHUB = 1.0, 15.0
"""Seconds between two looks; GitHub takes a thousand questions an hour."""
_HEARTBEAT = 15.0
"""Seconds after which the wait is told again."""


def main() -> int:
    """Run the command the arguments name."""
    arguments = _parser().parse_args()
    command = _compare if arguments.command == "compare" else _require
    return command(arguments)


def _require(arguments: argparse.Namespace) -> int:
    root, started, where = Path.cwd(), now(), github.context()
    name, commit = service.load(root).name, arguments.commit
    limit = environment.setting(arguments.environment, "PROMOTE_WAIT", root)
    on_github = where.active and not where.act
    command = promotion.proving_command(commit, on_github=on_github)
    try:
        decision = promotion.look_up(
            admission.ledgers(root, name, arguments.environment, commit),
            commit,
            reason=arguments.unproven_reason,
            limit=limit,
            interval=_INTERVAL_ON_GITHUB if on_github else _INTERVAL,
            say=_Narrator(commit).say,
        )
        promotion.require(decision, commit, limit)
    except KickoffError as error:
        if error.code is ExitCode.REJECTED:
            error.hint = f"prove it: {command}"
        promotion.look_up_evidence(error, started=started, service=name, commit=commit).write(
            _evidence_folder()
        )
        raise
    evidence = promotion.look_up_evidence(decision, started=started, service=name, commit=commit)
    evidence.write(_evidence_folder())
    proof = decision.proof
    github.set_output("proved-digest", proof.digest if proof else "")
    github.set_output("proved-repository", proof.repository if proof else "")
    github.set_output("unproven-reason", decision.reason)
    for doubt in decision.doubts:
        sys.stdout.write(f"  overruled: {doubt}\n")
    if proof is None:
        github.annotate("warning", evidence.summary)
    elif arguments.unproven_reason:
        sys.stdout.write("  the reason to do without a proof was not needed, and is not recorded\n")
    print(f"{'✓' if proof else '!'} {evidence.summary}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    started, name = now(), service.load(Path.cwd()).name
    refusal = None
    try:
        promotion.compare(arguments.built, arguments.proved)
    except KickoffError as error:
        refusal = error
    evidence = promotion.comparison_evidence(
        arguments.built, arguments.proved, refusal, started=started, service=name, commit=arguments.commit
    )
    evidence.write(_evidence_folder())
    if refusal is not None:
        raise refusal
    print(f"✓ {evidence.summary}")
    return 0


class _Narrator:
    """Tells what is waited for: at once when it changes, and now and then while it does not."""

    def __init__(self, commit: str) -> None:
        self._commit, self._last, self._left = commit, "", float("inf")

    def say(self, decision: Decision, left: float) -> None:
        """Say what is waited for, and how many seconds still."""
        what = "; ".join(str(one) for one in decision.running) or "nothing seen yet; a run may turn up"
        if what == self._last and self._left - left < _HEARTBEAT:
            return
        until = (datetime.now(UTC) + timedelta(seconds=left)).strftime("%H:%M:%S")
        text = f"waiting for staging's proof of {self._commit[:7]}, until {until} UTC at most: {what}"
        if what != self._last:
            github.annotate("notice", text)
        sys.stdout.write(f"  {text} ({left:.0f} s left)\n")
        sys.stdout.flush()
        self._last, self._left = what, left


def _evidence_folder() -> Path:
    return Path(os.environ.get("KICKOFF_EVIDENCE_DIR") or ".kickoff/evidence")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    require = commands.add_parser("require", help="find the proof of a commit, waiting for a run in progress")
    require.add_argument("--commit", required=True, help="40 hexadecimal digits")
    require.add_argument("--environment", default="production", choices=sorted(plan.PROVED_IN))
    require.add_argument("--unproven-reason", default="", help="why to do without a proof; recorded")
    compare = commands.add_parser("compare", help="refuse an artefact that is not the one that was proved")
    compare.add_argument("--built", required=True, help="digest of what was built")
    compare.add_argument("--commit", required=True, help="the commit it was built from")
    compare.add_argument("--proved", required=True, help="digest of what was proved")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
