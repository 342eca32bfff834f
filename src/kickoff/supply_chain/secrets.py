"""Secrets in the lines that a change adds, found by gitleaks; their values are never read."""

import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kickoff import foreign, git, packages, process_group
from kickoff.errors import KickoffError
from kickoff.process_group import Stop

SECONDS = 300
"""Time limit of one scan."""
_FOUND, _NONE = 10, 0
# Everything is text, whatever the change's .gitattributes say, and a merge is looked at from both sides: it
# may add what neither has. The user's configuration of git changes nothing.
_LOG = ("--text", "-m", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")


@dataclass(frozen=True, slots=True, order=True)
class Secret:
    """A place that holds a secret; what it is, nobody is told.

    Attributes:
        file: Path from the repository's top.
        line: Its line in the commit.
        rule: The scanner's name of the rule.
        commit: The first commit that added it, in full.
    """

    file: str
    line: int
    rule: str
    commit: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The result for a change.

    Attributes:
        commits: How many commits were looked at.
        found: The secrets, each place once.
        doubt: Why not everything was looked at; empty when it was.
    """

    commits: int
    found: tuple[Secret, ...] = ()
    doubt: str = ""


def scan(root: Path, base: str, head: str, stop: Stop) -> Scan:
    """Return the secrets in the lines that the commits after ``base`` up to ``head`` add.

    A secret that a later commit takes out again is found, too: it stays in the history.

    Args:
        root: A folder of the repository.
        base: The commit before the change; empty for all commits.
        head: Its last commit.
        stop: Ends it.

    Raises:
        KickoffError: gitleaks or git is not installed (exit 2).
    """
    change = f"{base}..{head}" if base else head
    commits = int(git.run(root, "rev-list", "--count", change).stdout)
    if not commits:
        return Scan(0)
    # Run in git's own folder: at the top, a file of the change could tell gitleaks what to leave out.
    repository = Path(git.run(root, "rev-parse", "--absolute-git-dir").stdout.strip())
    with tempfile.TemporaryDirectory(prefix="kickoff-secrets-") as name:
        report, said = Path(name) / "report.json", list[str]()
        line = [packages.tool("gitleaks"), "git", "--no-banner", "--no-color", "--redact"]
        line += ["--report-format", "json", "--report-path", str(report), "--exit-code", str(_FOUND)]
        line += ["--ignore-gitleaks-allow", "--gitleaks-ignore-path", name, "--platform", "none"]
        line += ["--log-opts", shlex.join([*_LOG, change]), str(repository)]
        environ = git.environment(foreign.environment()) | {"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
        status = process_group.run(line, repository, environ, seconds=SECONDS, write=said.append, stop=stop)
        if status not in (_FOUND, _NONE):
            return Scan(commits, doubt=_reason(status, said))
        try:
            listed = json.loads(report.read_text(encoding="utf-8"))
            found = [Secret(one["File"], one["StartLine"], one["RuleID"], one["Commit"]) for one in listed]
        except (KeyError, OSError, TypeError, ValueError):
            return Scan(commits, doubt="gitleaks wrote no report")
    if bool(found) != (status == _FOUND):
        return Scan(commits, doubt=f"gitleaks found {len(found)}, and ended with exit code {status}")
    places: dict[tuple[str, int, str], Secret] = {}
    for one in found:  # the newest commit comes first, and a merge twice
        places[one.file, one.line, one.rule] = one
    return Scan(commits, tuple(sorted(places.values())))


def start_of(root: Path, head: str, before: str = "") -> str:
    """Return the commit before a change.

    Args:
        root: A folder of the repository.
        head: The change's last commit.
        before: What the event says; where that is not here, as after a forced push, the parent counts.

    Returns:
        The commit; empty when ``head`` is the first one.

    Raises:
        KickoffError: The clone is shallow and ends at ``head`` (exit 2).
    """
    for revision in filter(None, (before, f"{head}^")):
        if commit := git.commit_of(root, revision):
            return commit
    if git.run(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        raise KickoffError(
            f"the commit before {head[:7]} is not in this shallow clone, so nobody can tell what was added",
            hint="git fetch --unshallow; in a workflow, check out with `fetch-depth: 0`",
        )
    return ""


def _reason(status: int | None, said: list[str]) -> str:
    if status is None:
        return f"gitleaks did not end within {SECONDS} s"
    lines = [line.strip() for line in said if line.strip()]
    return f"gitleaks ended with exit code {status}: {lines[-1][:200] if lines else 'it said nothing'}"
