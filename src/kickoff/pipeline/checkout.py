"""The checkout of a job under act: the files of the run's repository by hard links, not copied each time."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kickoff import git
from kickoff.pipeline import repository

_ACTION = "actions/checkout@"
_ELSEWHERE = frozenset({"path", "ref", "repository"})
"""Inputs with which the action takes something else than the run's commit, or puts it elsewhere."""
_STAND_IN = """name: Check out
description: Puts the files of this run's repository into the job's folder.
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        # A file that an earlier job changed in place has the commit's content again.
        git -C {copy} diff-files --quiet || flock {copy} git -C {copy} checkout --quiet --force HEAD
        # Only the files are shared: what git writes is each job's own.
        rm -rf .git
        cp -R --preserve=all {git} .git
        rm .git/{attributes}
        find {copy} -mindepth 1 -maxdepth 1 -not -name .git -exec cp -R --link -f --preserve=all -t . {{}} +
"""


def options(copy: Path, workflow: str, work: Path) -> list[str]:
    """Return act's options that let every job share the files of a run's repository.

    act copies them for each job: seven times for a pipeline of seven jobs. A file that a step writes anew is
    its job's own; one that it changes in place is so in jobs that run at the same time, too.

    Args:
        copy: The run's own copy of the repository, with the commit checked out.
        workflow: Path of the workflow in it.
        work: A folder for this run, on the same file system.

    Returns:
        No options, and act copies, where a checkout takes anything but the commit, or nothing can be linked.
    """
    names = _names(copy, workflow)
    if not names or not _links(copy, work):
        return []
    place = work / "checkout"
    place.mkdir()
    quoted = {"copy": shlex.quote(str(copy)), "git": shlex.quote(f"{copy}/.git")}
    quoted["attributes"] = repository.ATTRIBUTES
    (place / "action.yml").write_text(_STAND_IN.format(**quoted), encoding="utf-8")
    return [
        "--no-skip-checkout",
        *(word for name in sorted(names) for word in ("--local-repository", f"{name}={place}")),
    ]


def _links(copy: Path, work: Path) -> bool:
    """Return whether a file of the copy can be linked."""
    try:
        os.link(copy / ".git" / "HEAD", work / "linked")
    except OSError:
        return False
    return True


def _names(copy: Path, workflow: str) -> set[str]:
    """Return the checkouts that a run may come upon, as ``actions/checkout@REF``; empty if one is special."""
    listed = git.run(
        copy, "ls-files", "-z", "--", workflow, ".github/workflows", "*action.yml", "*action.yaml"
    ).stdout
    names = set()
    for path in filter(None, git.shown(listed).split("\0")):
        text = (copy / path).read_text(encoding="utf-8", errors="replace")
        called = path == workflow or Path(path).stem == "action" or "workflow_call" in text
        if not called or _ACTION not in text:
            continue
        try:
            steps = list(_checkouts(yaml.safe_load(text)))
        except yaml.YAMLError:
            return set()
        if any(_ELSEWHERE & set(step.get("with") or {}) for step in steps):
            return set()
        names |= {step["uses"] for step in steps}
    return names


def _checkouts(node: object) -> Iterator[dict[str, Any]]:
    """Yield the steps below a node of a workflow or action that check out."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and str(node.get("uses", "")).startswith(_ACTION):
        yield node
    for child in children:
        yield from _checkouts(child)
