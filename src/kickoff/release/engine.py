"""The release engine's commands on one environment.

``stage`` → checks → ``promote`` are segments of one journalled attempt, which owns the lock from the first to
the last. Every step is journalled before and after and safe to repeat, so that an attempt which died at any
instruction is finished or undone by the next command. Each segment is a module over the handle of the attempt
(:mod:`kickoff.release.attempt`): ``stage``, ``promote``, ``rollback``, ``recovery``, ``watch``, and ``undo``,
the way back that they share.
"""

from collections.abc import Callable
from pathlib import Path

from kickoff.errors import KickoffError
from kickoff.evidence import Evidence
from kickoff.release import outcome, promote, recovery, rollback, stage, watch
from kickoff.release.attempt import Run
from kickoff.release.model import State
from kickoff.release.preview import Preview
from kickoff.release.rollback import Request
from kickoff.release.session import Session
from kickoff.release.stage import Candidate


class Engine:
    """Release commands on one environment; each is explained where it is done.

    Args:
        session: The environment.
        root: The project whose configuration is read.
        tell: Called with what people should know while a command waits.
    """

    def __init__(self, session: Session, root: Path, tell: Callable[[str], object] = lambda _: None) -> None:
        self.session, self.root = session, root
        self._run = Run(session, root, tell)

    def stage(
        self,
        digest: str,
        directory: Path,
        commit: str,
        *,
        wait: float,
        force: bool,
        unproven_reason: str = "",
        freeze_reason: str = "",
        perf_allow_once: str = "",
    ) -> Evidence:
        """Bring a candidate up on the idle colour, without public traffic (:func:`stage.stage`)."""
        candidate = Candidate(
            digest, directory, commit, force, unproven_reason, freeze_reason, perf_allow_once
        )
        return stage.stage(self._run, candidate, wait)

    def preview(self, digest: str, directory: Path, commit: str) -> Preview:
        """Return what a release would change; changes nothing that runs (:func:`stage.preview`)."""
        return stage.preview(self._run, Candidate(digest, directory, commit))

    def promote(self, identity: str) -> Evidence | None:
        """Move public traffic to the candidate, judged, then bake (:func:`promote.promote`)."""
        return promote.promote(self._run, identity)

    def watch(self, release: str) -> Evidence:
        """Judge the live release for ``WATCH_TIME`` (:func:`watch.watch`)."""
        return watch.watch(self._run, release)

    def abort(self, identity: str, reason: str) -> Evidence | None:
        """Undo the open attempt (:func:`rollback.abort`)."""
        return rollback.abort(self._run, identity, reason)

    def rollback(self, request: Request, wait: float) -> Evidence:
        """Serve an earlier release again (:func:`rollback.rollback`)."""
        return rollback.rollback(self._run, request, wait)

    def resume(self) -> Evidence | None:
        """Finish or undo what a dead run left, and see that live serves (:func:`recovery.resume`)."""
        return recovery.resume(self._run)

    def converge(self) -> Evidence | None:
        """Finish or undo what a dead run left (:func:`recovery.converge`)."""
        return recovery.converge(self._run)

    def start(self, wait: float) -> Evidence:
        """Bring up what is recorded as live (:func:`recovery.start`)."""
        return recovery.start(self._run, wait)

    def stop(self) -> str:
        """Stop both colours and the proxy (:func:`recovery.stop`)."""
        return recovery.stop(self._run)

    def unlock(self) -> str:
        """Free the lock by force (:func:`recovery.unlock`)."""
        return recovery.unlock(self._run)

    def rebuild_state(self) -> State:
        """Derive a lost state again (:func:`recovery.rebuild_state`)."""
        return recovery.rebuild_state(self._run)

    def refusal(self, command: str, started: str, error: KickoffError) -> Evidence:
        """Return the evidence of a command that left none of its own (:func:`outcome.refusal`)."""
        return outcome.refusal(self._run, command, started, error)
