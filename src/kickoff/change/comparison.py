"""Two commits compared: by reading their files, without a host, and without running a line of either."""

import json
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from kickoff import git, judging, openapi, stack
from kickoff.artifact import source
from kickoff.change import containers, dependencies, migrations
from kickoff.change.model import Artifact, Change, Gates, Keys, Part, Reached
from kickoff.change.sides import Side, opened
from kickoff.environment import loader
from kickoff.environment.schema import FOLDER
from kickoff.environment.sops import SUFFIX
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.release import targets

_ACTIONS = {"A": "added", "D": "removed"}
_GATES = (".github/workflows", ".github/actions", "CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS")
"""What decides on GitHub whether a commit may go on, from the repository's top."""
_OWNERS = _GATES[2:]


def commits(root: Path, base: str, head: str = "HEAD") -> tuple[str, str]:
    """Return the commit that two revisions have in common, and the newer of them, as full ids.

    Raises:
        KickoffError: There is no such revision, or they have nothing in common here (exit 2).
    """
    git.require_repository(root)
    found = []
    for revision in (base, head):
        done = git.run(
            root,
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            f"{revision}^{{commit}}",
            check=False,
        )
        if done.returncode:
            raise KickoffError(
                f"no commit is called {revision!r} here",
                hint=f"fetch it: git fetch origin {revision}; in a workflow check out with `fetch-depth: 0`",
            )
        found.append(done.stdout.strip())
    old, new = found
    common = git.run(root, "merge-base", old, new, check=False).stdout.strip()
    if not common:
        raise KickoffError(
            f"{base} and {head} have no commit in common here",
            hint="a shallow clone needs `git fetch --unshallow`, a checkout in a workflow `fetch-depth: 0`",
        )
    return common, new


def compare(root: Path, base: str, head: str) -> Change:
    """Return what lies between two commits.

    Args:
        root: The project.
        base: The older commit, its full id.
        head: The newer one.

    Raises:
        KickoffError: The description or an environment of the newer commit is wrong (exit 2), or this clone
            lacks an object (exit 4). What is wrong in the older commit alone is not compared, which is said.
    """
    with ExitStack() as opening:
        after = opening.enter_context(opened(root, head))
        if after.service is None:
            raise KickoffError(
                f"commit {head[:7]} has no kickoff.yml, so it is shipped nowhere",
                hint="describe the service there: `kickoff init` begins it",
            )
        doubt, before = "", None
        try:
            before = opening.enter_context(opened(root, base))
        except KickoffError as error:
            doubt = f"{base[:7]} cannot be compared: {error}"
        return _compared(before if before and before.service else None, after, base, doubt)


def _compared(before: Side | None, after: Side, base: str, doubt: str) -> Change:
    service = after.described
    for key, path in (("migrations", service.migrations), ("openapi", service.openapi)):
        if path and not after.holds(path):
            raise KickoffError(
                f"{key} is {path}, which commit {after.commit[:7]} does not hold",
                at=service.at(key),
                hint=f"commit it, or correct `{key}`",
            )
    paths = _paths(after.root, base, after.commit, ("--relative",))
    environments = _environments(before, after, paths, doubt)
    locks = dependencies.compare(before, after, tuple(paths))
    changes, doubtful = _interface(before, service.openapi, after)
    top = git.top(after.root)
    gates = _paths(top, base, after.commit, (), _GATES)
    owned = any(source.holds(top, base, path) for path in _OWNERS)
    return Change(
        project=service.name,
        base=base,
        head=after.commit,
        environments=environments,
        migrations=migrations.changed(before, after, service.migrations, paths),
        interface=service.openapi,
        interface_changes=changes,
        interface_doubt=doubtful,
        dependencies=locks.deltas,
        locks_read=locks.read,
        locks_unread=locks.unread,
        gates=Gates(tuple(sorted(gates)), any(one.rules for one in environments), owned),
        migrations_declared=bool(service.migrations),
    )


def _paths(
    folder: Path, base: str, head: str, options: Collection[str], below: Collection[str] = (".",)
) -> dict[str, str]:
    """Return what became of each file that differs: ``added``, ``changed`` or ``removed``."""
    command = ("diff-tree", "-r", "-z", "--no-renames", "--name-status", *options, base, head, "--", *below)
    parts = git.run(folder, *command).stdout.split("\0")[:-1]
    return {
        path: _ACTIONS.get(status, "changed") for status, path in zip(parts[::2], parts[1::2], strict=True)
    }


def _environments(
    before: Side | None, after: Side, paths: Mapping[str, str], doubt: str
) -> tuple[Reached, ...]:
    declared = _declared(after)
    former = _declared(before) if before else {}
    found = []
    for name, now in declared.items():
        kind = _facts(after, name)["kind"]
        plain = Reached(name, now.branch, now.tag, now.after, now.comment_deploys, kind=kind)
        if before is None or name not in former:
            # Nothing to compare with, so there is nothing to list.
            declared_as = "unchanged" if doubt else "added"
            found.append(replace(plain, declared=declared_as, artifact=Artifact.CHANGED, doubt=doubt))
        else:
            found.append(_reached(before, after, former[name], plain, paths))
    gone = [one for name, one in former.items() if name not in declared]
    removed = (Reached(one.name, one.branch, one.tag, one.after, declared="removed") for one in gone)
    return (*found, *removed)


def _declared(side: Side) -> dict[str, DeclaredEnvironment]:
    """Return the environments of a commit that have a file, without which nothing goes there."""
    known = loader.available(side.folder)
    return {one.name: one for one in side.described.environments if one.name in known}


def _reached(
    before: Side, after: Side, was: DeclaredEnvironment, now: Reached, paths: Mapping[str, str]
) -> Reached:
    same = all(
        getattr(was, key) == getattr(now, key) for key in ("branch", "tag", "after", "comment_deploys")
    )
    now = replace(now, declared="unchanged" if same else "changed")
    new = _facts(after, now.name)
    try:
        old = _facts(before, now.name)
    except KickoffError as error:
        doubt = f"{now.name} of {before.commit[:7]} cannot be compared: {error}"
        return replace(now, artifact=Artifact.CHANGED, doubt=doubt)
    return replace(
        now,
        artifact=_artifact(old, new),
        keys=_keys(old["values"], new["values"], sealed=f"{FOLDER}/{now.name}{SUFFIX}" in paths),
        described=old["described"] != new["described"],
        stack=_stack(before, after, now.name, paths),
        rules=judging.compare(old["rules"], new["rules"]),
    )


@lru_cache(maxsize=64)
def _facts(side: Side, name: str) -> dict[str, Any]:
    """Return what a release of a commit to an environment would be, as far as its files say it.

    Raises:
        KickoffError: A file of it is wrong (exit 2).
    """
    checked = loader.inspect(name, side.folder, side.schema, {}, with_secrets=False)
    kind = targets.chosen(side.folder, name, {}).artifact
    return {
        "kind": str(kind),
        "artifact": side.key(kind),
        # Of a secret the file has only where it comes from.
        "values": {key: checked.values.get(key, entry.text) for key, entry in checked.entries.items()},
        "described": targets.description_hash(side.folder, name, {}),
        "rules": judging.of_project(side.folder, name),
    }


def _artifact(old: Mapping[str, Any], new: Mapping[str, Any]) -> Artifact:
    if old["kind"] != new["kind"] or old["artifact"][0] != new["artifact"][0]:
        return Artifact.CHANGED
    return Artifact.UNCHANGED if old["artifact"] == new["artifact"] else Artifact.REBUILT


def _keys(old: Mapping[str, str], new: Mapping[str, str], *, sealed: bool) -> Keys:
    return Keys(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(key for key in new.keys() & old.keys() if new[key] != old[key])),
        removed=tuple(sorted(old.keys() - new.keys())),
        sealed=sealed,
    )


def _stack(before: Side, after: Side, name: str, paths: Mapping[str, str]) -> tuple[Part, ...]:
    """Return the parts of an environment's stack that differ; none where its target has no stack."""
    old, new = (
        stack.source_of(side.folder, name) if targets.chosen(side.folder, name, {}).has_stack else None
        for side in (before, after)
    )
    mounted = [path for path in paths if not path.startswith(f"{FOLDER}/")]
    return containers.compare(before.folder, after.folder, old, new, mounted)


def _interface(before: Side | None, path: str, after: Side) -> tuple[tuple[openapi.Change, ...], str]:
    """Return how the OpenAPI document differs, or why nobody can tell."""
    if not path or before is None:
        return (), ""
    old, new = before.text(path), after.text(path)
    if old == new:
        return (), ""
    if old is None or new is None:
        return (), f"{path} is in one of the two commits alone"
    try:
        return tuple(openapi.compare(json.loads(old), json.loads(new))), ""
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        return (), f"{path} cannot be compared: {type(error).__name__}"
