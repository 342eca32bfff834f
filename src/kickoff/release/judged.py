"""The rules a release is judged by: recorded in its folder, and compared with those of the live one."""

from pathlib import Path
from typing import Any

from kickoff import judging
from kickoff.judging import Change, Comparison, Rules
from kickoff.release.attempt import Rejected
from kickoff.release.folder import describe
from kickoff.release.session import Session

KEY = "judged_by"
"""Its key in the description of a release folder."""


def by(session: Session, root: Path) -> Rules:
    """Return the rules that the files of the project demand now.

    Raises:
        KickoffError: The load test is demanded, and its scenarios are wrong (exit 2).
    """
    environment = session.environment
    return judging.collect(environment.values, session.service, environment.name, root)


def of(folder: Path) -> Rules | None:
    """Return the rules that a release folder records; ``None`` for one of an older version, or for none."""
    return judging.recorded(describe(folder).get(KEY))


def beside_live(session: Session, rules: Rules | None) -> Comparison:
    """Compare rules with those that the live release was judged by."""
    store = session.store
    state = store.state()
    live = state.release_of(state.live)
    old = of(store.release_folder(live)) if live and rules is not None else None
    return Comparison.of(live, old, rules or {})


def fact(session: Session, rules: Rules | None) -> dict[str, Any]:
    """Return what the evidence says of them; the rules themselves are left out where nobody recorded any."""
    known = judging.record(rules) if rules is not None else {}
    return known | beside_live(session, rules).to_document()


def require_same(session: Session, root: Path, release: str) -> None:
    """Refuse to judge a candidate by less than it was staged for: what is recorded must be what judges.

    Raises:
        Rejected: The files of the project demand something else by now, and not only more.
    """
    staged = of(session.store.release_folder(release))
    changes = judging.compare(staged, by(session, root)) if staged is not None else ()
    found = [str(one) for one in changes if one.change is not Change.STRICTER]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise Rejected(
            f"not promoted: it was staged to be judged by other rules: {found[0]}{more}",
            hint="stage it again; leave kickoff.yml, the environment's file and the scenarios as they are",
        )
