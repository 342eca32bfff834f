"""The workflow files of a project, rendered from its environments. Pure: nothing is read or written."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from kickoff import naming
from kickoff.environments import DeclaredEnvironment, resolve
from kickoff.errors import KickoffError
from kickoff.project.templating import fill

_ALWAYS = ("cd.yml", "rollback.yml")
_PROMOTION = "promote"
"""Where an environment comes after another one."""
_COMMANDS = "commands"
"""Where an environment takes deploys by comment."""
_ANYWHERE = ("attest", "attest-image", "carry", "remember")
"""Actions to which it is all the same where the project is; the others take ``working-directory``."""
_TOKEN = ("GHCR_TOKEN", "${{ !env.ACT && github.token || '' }}")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_FOLDER = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_SECRET = re.compile(r"[A-Z][A-Z0-9_]*")


def render(
    *,
    environments: Sequence[DeclaredEnvironment],
    default_branch: str,
    actions: str,
    version: str,
    secrets: Collection[str] = (),
    notify: Collection[str] = (),
    requirements: str = "",
    also: Collection[str] = (),
    folder: str = "",
    label: str = "",
) -> Mapping[str, str]:
    """Return the text of each workflow file by its path, as seen from the project's folder.

    Args:
        environments: The declared environments, in promotion order.
        default_branch: Name of the repository's default branch.
        actions: Where the actions are: ``./actions`` in their own repository, elsewhere
            ``OWNER/NAME/actions@<commit>``.
        version: Version of Kickoff that the files belong to; empty in its own repository.
        secrets: Names of the secrets that the deploy jobs hand on.
        notify: Names of the secrets with the addresses of those who are told what became of a run.
        requirements: Hash-locked Python packages of the checks; empty for none.
        also: Further files: ``ci.yml``, the quality gate for pull requests; ``drift.yml``, a daily look.
        folder: The project's folder below the repository's top; empty for the top itself.
        label: Tells its names from its neighbours', as :func:`kickoff.naming.label` does.

    Raises:
        KickoffError: A name, two environments of one push, or deploys by comment in a folder (exit 2).
    """
    parts = ((default_branch, _REF), *((secret, _SECRET) for secret in (*secrets, *notify)))
    _refuse_others(*parts, *([(folder, _FOLDER)] if folder else []))
    declared = resolve(environments, default_branch)
    use = _user(actions, version)
    values: dict[str, Any] = {
        "below": f"{folder}/" if folder else "",
        "branches": [one.branch for one in declared if one.branch],
        "callers": _callers(declared, folder),
        "group": _group(declared),
        "header": _header(version, folder),
        "named": partial(naming.named, label=label),
        "names": [one.name for one in declared],
        "notify": [f"{name}: ${{{{ secrets.{name} }}}}" for name in sorted(set(notify))],
        "paths": [f"{folder}/**"] if folder else [],
        "promoted": [(one.name, one.after) for one in declared if one.after],
        "requirements": requirements,
        "secrets": [f"{name}: {value}" for name, value in sorted(_secrets(secrets).items())],
        "tags": [one.tag for one in declared if one.tag],
        "triggers": _triggers(declared),
        "use": use,
        # Those that a push reaches; GitHub takes no empty list.
        "watched": [one.name for one in declared if one.branch or one.tag] or [declared[0].name],
    }
    files = {}
    for file in (*_ALWAYS, *(f"{kind}.yml" for kind in values["callers"]), *also):
        path = naming.from_project(naming.workflow(file.removesuffix(".yml"), label), folder)
        text = fill(f"{file}.j2", **values)
        files[path] = _placed(text, folder, use) if folder else text
    return files


def _callers(declared: Sequence[DeclaredEnvironment], folder: str) -> list[str]:
    """Return the kinds of workflow that call ``cd.yml``.

    Raises:
        KickoffError: A project in a folder takes deploys by comment: a comment does not say which it means.
    """
    commented = next((one for one in declared if one.comment_deploys), None)
    if commented is not None and folder:
        raise KickoffError(
            f"{commented.name} takes deploys by comment, and the project is in {folder}",
            at=commented.at,
            hint="leave `comment_deploys` out: a comment cannot say which project it means",
        )
    promoted = any(one.after for one in declared)
    return [*([_PROMOTION] if promoted else []), *([_COMMANDS] if commented else [])]


def _refuse_others(*parts: tuple[str, re.Pattern[str]]) -> None:
    """Refuse a name that is not of its form: in a workflow it could end an expression."""
    for name, allowed in parts:
        if not allowed.fullmatch(name):
            raise KickoffError(
                f"{name!r} cannot stand in a workflow", hint="use letters, digits and plain separators"
            )


def _placed(text: str, folder: str, use: Callable[[str], str]) -> str:
    """Return a workflow whose steps tell our actions the project's folder."""
    start, end = use("NAME").split("NAME")
    ours = re.compile(rf"^( +)uses: {re.escape(start)}([\w-]+){re.escape(end)}$")
    lines, placed = text.split("\n"), []
    for number, line in enumerate(lines):
        placed.append(line)
        found = ours.match(line)
        if found is None or found[2] in _ANYWHERE:
            continue
        given = f"{found[1]}with:"
        rest = lines[number + 1 :]
        step = rest[: next((at for at, one in enumerate(rest) if not one.startswith(found[1])), len(rest))]
        if given in step:
            at = number + 1 + step.index(given)
            lines[at] = f"{given}\n{found[1]}  working-directory: {folder}"
        else:
            placed.append(f"{given}\n{found[1]}  working-directory: {folder}")
    return "\n".join(placed)


def _header(version: str, folder: str) -> str:
    if not version:
        return (
            "# Generated by scripts/docs/workflows.py: change src/kickoff/project/templates, then run that."
        )
    place, project = (f"{folder}/", f" --project {folder}") if folder else ("", "")
    return (
        f"# Generated by kickoff {version} from {place}kickoff.yml: change that, "
        f"then run kickoff{project} upgrade."
    )


def _triggers(declared: Sequence[DeclaredEnvironment]) -> list[str]:
    """Return the table of what starts a deployment, one line an event."""
    rows = [(f"push to {one.branch}", _told(one)) for one in declared if one.branch]
    rows += [(f"tag {one.tag}", _told(one)) for one in declared if one.tag]
    rows.append(("workflow_dispatch", "the environment that was chosen"))
    width = max(len(event) for event, _ in rows)
    return [f"{event:{width}}  → {where}" for event, where in rows]


def _told(one: DeclaredEnvironment) -> str:
    return f"{one.name}, which gets only what {one.after} has proved" if one.after else one.name


def _group(declared: Sequence[DeclaredEnvironment]) -> str:
    """Return the expression that names the environment of an event, which is not known before a job runs."""
    parts = [f"(github.ref == 'refs/heads/{one.branch}' && '{one.name}')" for one in declared if one.branch]
    # The most exact pattern first: `*` matches no slash, and an expression cannot say so.
    for one in sorted(declared, key=lambda one: -len(one.tag)):
        if not one.tag:
            continue
        before, star, after = f"refs/tags/{one.tag}".partition("*")
        test = f"startsWith(github.ref, '{before}')" if star else f"github.ref == '{before}'"
        test += f" && endsWith(github.ref, '{after}')" if after else ""
        parts.append(f"({test} && '{one.name}')")
    return " || ".join(["inputs.environment", *parts, "'checks'"])


def _secrets(names: Collection[str]) -> dict[str, str]:
    return {name: f"${{{{ secrets.{name} }}}}" for name in names} | dict([_TOKEN])


def _user(actions: str, version: str) -> Callable[[str], str]:
    """Return what writes the reference to an action."""
    folder, _, ref = actions.partition("@")
    note = f" # {version}" if version else ""

    def use(name: str) -> str:
        return f"{folder}/{name}@{ref}{note}" if ref else f"{folder}/{name}"

    return use
