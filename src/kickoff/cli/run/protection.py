"""Protect staging and production on GitHub: who approves, how long they wait, which refs may deploy."""

import argparse
import json

from kickoff import gh
from kickoff.cli import output
from kickoff.environment import protection
from kickoff.environment.protection import Call, Protection
from kickoff.errors import ExitCode, KickoffError

ENVIRONMENTS = ("staging", "production")


def run(arguments: argparse.Namespace) -> int:
    """Make the environments as they are wanted, then read them back; return 0 when they are.

    Raises:
        KickoffError: The arguments are wrong (exit 2), GitHub cannot be asked or does not do it (4), or the
            environments are not as they should be afterwards (1).
    """
    if not 0 <= arguments.wait_minutes <= protection.MOST_MINUTES:
        raise KickoffError(
            f"--wait-minutes {arguments.wait_minutes} is out of range",
            hint=f"give 0 to {protection.MOST_MINUTES} minutes (30 days)",
        )
    if len(arguments.reviewer) > protection.MOST_REVIEWERS:
        raise KickoffError(
            f"{len(arguments.reviewer)} reviewers are too many",
            hint=f"GitHub takes {protection.MOST_REVIEWERS}; name a team",
        )
    repository = _repository(arguments.repository)
    branch = str(repository["default_branch"])
    reviewers = [protection.look_up(name) for name in arguments.reviewer]
    output.say(f"{repository['full_name']} ({repository['visibility']}, default branch {branch})")
    wrong, made = [], []
    for name in ENVIRONMENTS:
        wanted = protection.default(name, branch, reviewers, arguments.wait_minutes)
        path = f"repos/{repository['full_name']}/environments/{name}"
        calls = protection.plan(path, protection.read(path), wanted)
        output.say(f"{name}: {'as it should be' if not calls else ''}".rstrip())
        for call in calls:
            output.say(f"  {_shown(call)}")
            made.append(_shown(call))
            if not arguments.dry_run:
                protection.perform(call)
        output.say("\n".join(f"    {line}" for line in protection.lines(wanted)))
        if not arguments.dry_run:
            wrong += [f"{name}: {problem}" for problem in _read_back(path, wanted)]
    if arguments.dry_run:
        output.say("nothing was changed: these are the calls that would be made")
    if wrong:
        raise KickoffError(
            "GitHub took the calls, but the environments are not as they should be",
            code=ExitCode.REJECTED,
            causes=wrong,
            hint="run this again; if it stays so, look at Settings → Environments",
        )
    if not reviewers:
        output.say("note: nobody has to approve production; name somebody with --reviewer")
    output.result({"repository": repository["full_name"], "calls": made, "changed": not arguments.dry_run})
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
