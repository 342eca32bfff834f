"""The rules a release is judged by: in the journal while it is tried, in its folder once it was live.

An environment's next release is compared with what the one that serves was promoted by.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from kickoff import judging
from kickoff.errors import KickoffError
from kickoff.evidence import write_atomic
from kickoff.judging import Comparison, Rules
from kickoff.release.attempt import Attempt, Rejected
from kickoff.release.folder import read_object
from kickoff.release.progress import Progress
from kickoff.release.session import Session

FILE = "judged.json"


def by(session: Session, root: Path) -> Rules:
    """Return the rules that the files of the project demand now.

    Raises:
        KickoffError: The load test is demanded, and its scenarios are wrong (exit 2).
    """
    environment = session.environment
    return judging.collect(environment.values, session.service, environment.name, root)


def of(folder: Path) -> Rules | None:
    """Return the rules that a release was promoted by; ``None`` where none is to be read."""
    with suppress(KickoffError):  # a damaged record must not stand in the way of its release's replacement
        return judging.recorded(read_object(folder / FILE))
    return None


def keep(attempt: Attempt, progress: Progress) -> None:
    """Keep in the folder of a candidate that passed by which rules it did."""
    if progress.judged_by:
        folder = attempt.store.release_folder(progress.release)
        with attempt.fenced() as transaction:
            write_atomic(folder / FILE, json.dumps(progress.judged_by, indent=1))
            transaction.keep_release(folder)


def by_less(folder: Path, rules: Rules) -> bool:
    """Return whether a release was promoted by less than these rules, as far as that is recorded."""
    known = of(folder)
    return known is not None and bool(judging.shortfall(rules, known))


def beside_live(session: Session, rules: Rules) -> Comparison:
    """Compare rules with those that the live release was promoted by."""
    store = session.store
    state = store.state()
    live = state.release_of(state.live)
    return Comparison.of(live, of(store.release_folder(live)) if live else None, rules)


def fact(session: Session, rules: Rules | None) -> dict[str, Any]:
    """Return what the evidence says of a release's rules; nothing where an older version kept none."""
    return {} if rules is None else judging.record(rules) | beside_live(session, rules).to_document()


def require_same(session: Session, root: Path, progress: Progress) -> None:
    """Refuse to judge a candidate by less than it was staged for: what is recorded must be what judges.

    Raises:
        Rejected: The files of the project demand something else by now, and not only more.
    """
    staged = judging.recorded(progress.judged_by)
    lacking = judging.shortfall(staged, by(session, root)) if staged is not None else ()
    found = [str(one) for one in lacking]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise Rejected(
            f"not promoted: it was staged to be judged by other rules: {found[0]}{more}",
            hint="stage it again; leave kickoff.yml, the environment's file and the scenarios as they are",
        )
