#!/usr/bin/env python3
"""Protect staging and production on GitHub: who approves, how long they wait, which refs may deploy."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
from kickoff import bootstrap

bootstrap.ensure("pipeline")

import argparse
import json

from kickoff import gh
from kickoff.environment.github import protection
from kickoff.environment.github.protection import Call, Protection
from kickoff.errors import ExitCode, KickoffError, run

ENVIRONMENTS = ("staging", "production")


def main() -> int:
    """Make the environments as they are wanted, then read them back; return 0 when they are."""
    arguments = _parser().parse_args()
    if len(arguments.reviewer) > protection.MOST_REVIEWERS:
        raise KickoffError(
            f"{len(arguments.reviewer)} reviewers are too many",
            hint=f"GitHub takes {protection.MOST_REVIEWERS}; name a team",
        )
    repository = _repository(arguments.repository)
    branch = str(repository["default_branch"])
    reviewers = [protection.look_up(name) for name in arguments.reviewer]
    print(f"{repository['full_name']} ({repository['visibility']}, default branch {branch})")
    wrong = []
    for name in ENVIRONMENTS:
        wanted = protection.default(name, branch, reviewers, arguments.wait_minutes)
        path = f"repos/{repository['full_name']}/environments/{name}"
        calls = protection.plan(path, protection.read(path), wanted)
        print(f"{name}: {'as it should be' if not calls else ''}".rstrip())
        for call in calls:
            print(f"  {_shown(call)}")
            if not arguments.dry_run:
                protection.perform(call)
        print("\n".join(f"    {line}" for line in protection.lines(wanted)))
        if not arguments.dry_run:
            wrong += [f"{name}: {problem}" for problem in _read_back(path, wanted)]
    if arguments.dry_run:
        print("nothing was changed: these are the calls that would be made")
    if wrong:
        raise KickoffError(
            "GitHub took the calls, but the environments are not as they should be",
            code=ExitCode.REJECTED,
            causes=wrong,
            hint="run this again; if it stays so, look at Settings → Environments",
        )
    if not reviewers:
        print("note: nobody has to approve production; name somebody with --reviewer")
    return 0


def _repository(name: str) -> dict[str, object]:
    try:
        # Without a name gh fills in the repository of the folder.
        found = gh.api("GET", f"repos/{name or '{owner}/{repo}'}", hint="name it: --repository OWNER/NAME")
    except gh.GitHubError as error:
        raise (protection.explained(error) if error.status == 401 else error) from None
    if not (found.get("permissions") or {}).get("admin"):
        raise KickoffError(
            f"you are no administrator of {found['full_name']}",
            code=ExitCode.UNREACHABLE,
            hint="let an administrator run this, or switch with `gh auth switch`",
        )
    return dict(found)


def _read_back(path: str, wanted: Protection) -> list[str]:
    found = protection.read(path)
    return protection.differences(found.protection, wanted) if found else ["it is not there"]


def _shown(call: Call) -> str:
    return f"{call.method} {call.path} {json.dumps(call.document) if call.document else ''}".rstrip()


def _minutes(text: str) -> int:
    value = int(text)
    if not 0 <= value <= protection.MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"give 0 to {protection.MOST_MINUTES} minutes (30 days)")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", default="", help="OWNER/NAME (default: that of this folder)")
    parser.add_argument(
        "--reviewer",
        action="append",
        default=[],
        metavar="LOGIN|ORG/TEAM",
        help=f"may approve production; repeat it, at most {protection.MOST_REVIEWERS}",
    )
    parser.add_argument(
        "--wait-minutes", type=_minutes, default=0, help="how long production waits (default: 0)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print each call and change nothing")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
