"""The judging rules that a commit demands by its own files, whatever lies about in the working tree."""

import tempfile
from pathlib import Path

from kickoff import judging
from kickoff import service as services
from kickoff.artifact import source
from kickoff.artifact.promotion import Decision, Standing
from kickoff.artifact.proof import Proof
from kickoff.environment.schema import FOLDER
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import ExitCode, KickoffError
from kickoff.judging import Difference, Rules
from kickoff.service import CONFIG, FORMER


def rules(root: Path, commit: str, environment: str) -> Rules:
    """Return the rules that a release of ``commit`` to an environment is judged by, as git has its files.

    Raises:
        KickoffError: The commit is not in this repository or its files are wrong (exit 2), or an object of it
            is missing (4).
    """
    with tempfile.TemporaryDirectory(prefix="kickoff-rules-") as scratch:
        folder = Path(scratch)
        source.checkout(root, commit, folder, (str(CONFIG), str(FORMER), str(FOLDER)))
        service = services.load(folder)
        further = [path for path in (service.scenarios, service.locustfile) if path]
        source.checkout(root, commit, folder, further)
        return judging.of_project(folder, environment)


def require(root: Path, proof: Proof, into: DeclaredEnvironment) -> None:
    """Refuse a proof that was made by less than is demanded, by the commit or by what is checked out here.

    Both are what git has of them: an older commit is shipped by the files of a later one, and what was
    changed and not committed demands nothing. Without recorded rules an older version made the proof, and
    it counts as it did.

    Raises:
        KickoffError: Something was judged otherwise, and not more strictly (exit 1), or nobody can tell
            (exit 2 or 4).
    """
    lacking: tuple[Difference, ...] = ()
    doubts = []
    for commit in (proof.commit, "HEAD") if proof.rules is not None else ():
        try:
            found = judging.shortfall(rules(root, commit, proof.environment), proof.rules or {})
        except KickoffError as error:
            doubts.append(error)
            continue
        if not found:
            return
        lacking = lacking or found
    if lacking:
        told = [f"{one.rule} was {one.new} instead of {one.old}" for one in lacking]
        raise KickoffError(
            f"{into.after} proved {proof.commit[:7]} by other rules than the commit demands: {told[0]}",
            code=ExitCode.REJECTED,
            at=proof.source,
            causes=[*told[1:], "files that were not committed judged it there: commit or stash them first"],
            hint=f"ship it to {into.after} again",
        )
    if doubts:
        raise doubts[0]


def weigh(root: Path, decision: Decision, into: DeclaredEnvironment, reason: str) -> Decision:
    """Return a decision in which such a proof does not count; with a person's reason it goes on without one.

    Raises:
        KickoffError: See :func:`require`; nobody gave a reason.
    """
    try:
        if decision.proof is not None:
            require(root, decision.proof, into)
    except KickoffError as error:
        if not reason:
            raise
        return Decision(Standing.BYPASSED, reason=reason, doubts=(str(error), *error.causes))
    return decision
