"""The lock files of a project, and what audits each."""

from collections.abc import Mapping
from pathlib import Path

from kickoff.supply_chain import npm, pip
from kickoff.supply_chain.audit import Auditor

KNOWN: Mapping[str, Auditor] = {"package-lock.json": npm.audit, "npm-shrinkwrap.json": npm.audit}
"""File at the top of the project -> its auditor."""
OTHERS: Mapping[str, str] = {
    "Cargo.lock": "cargo audit",
    "Gemfile.lock": "bundle-audit check --update",
    "bun.lock": "bun audit",
    "composer.lock": "composer audit",
    "go.sum": "govulncheck ./...",
    "pnpm-lock.yaml": "pnpm audit --prod",
    "poetry.lock": "pip-audit --locked .",
    "uv.lock": "uv audit",
    "yarn.lock": "yarn npm audit --recursive",
}
"""File at the top of the project -> a command that audits it, which the project has to declare."""


def files(requirements: str) -> list[str]:
    """Return the paths of all files that the two functions below and the auditors may look at."""
    return [*KNOWN, *OTHERS, "package.json", *([requirements] if requirements else [])]


def audited(project: Path, requirements: str) -> Mapping[str, Auditor]:
    """Return the auditors of a project's lock files, by path.

    Args:
        project: Its files.
        requirements: Path of the hash-locked Python packages that it ships with; empty for none.
    """
    found = {requirements: pip.audit} if requirements else {}
    return found | {name: auditor for name, auditor in KNOWN.items() if (project / name).is_file()}


def unaudited(project: Path) -> Mapping[str, str]:
    """Return the lock files that nothing audits by itself, each with a command that would."""
    return {name: command for name, command in OTHERS.items() if (project / name).is_file()}
