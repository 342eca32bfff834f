"""Protect the environments on GitHub: who approves, how long they wait, which refs may deploy."""

import argparse
import json
from pathlib import Path

from kickoff import environment, environments, gh, service
from kickoff.cli import output
from kickoff.environment import schema
from kickoff.environment.github import protection
from kickoff.environment.github.protection import Call, Protection
from kickoff.environment.loader import available
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import ExitCode, KickoffError
from kickoff.project import neighbours

_OPEN, _APPROVED = "development", "production"
"""Class of the environments that are left open, and of those that somebody has to approve."""


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
    classes = _classes(Path.cwd())
    repository = _repository(arguments.repository)
    branch = str(repository["default_branch"])
    reviewers = [protection.look_up(name) for name in arguments.reviewer]
    output.say(f"{repository['full_name']} ({repository['visibility']}, default branch {branch})")
    wrong, made = [], []
    for declared, kind in classes.items():
        name, approved = declared.name, kind == _APPROVED
        wanted = protection.default(
            declared,
            branch,
            reviewers if approved else (),
            arguments.wait_minutes if approved else 0,
            neighbours.environments(Path.cwd(), name),
        )
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
    if not reviewers and _APPROVED in classes.values():
        names = ", ".join(one.name for one, kind in classes.items() if kind == _APPROVED)
        output.say(f"note: nobody has to approve {names}; name somebody with --reviewer")
    output.result({"repository": repository["full_name"], "calls": made, "changed": not arguments.dry_run})
    return 0


def _classes(root: Path) -> dict[DeclaredEnvironment, str]:
    """Return the declared environments to protect, each with its class."""
    declared, files = service.load(root).environments, available(root)
    environments.require_files(declared, root, schema.FOLDER)
    kinds = {
        one: str(environment.setting(one.name, schema.CLASS_KEY, root))
        for one in declared
        if one.name in files
    }
    return {one: kind for one, kind in kinds.items() if kind != _OPEN}


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
