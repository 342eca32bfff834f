"""Audit of a lock file of npm: ``npm audit``, with the advisories of the registry that the machine uses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kickoff.errors import KickoffError
from kickoff.foreign import program
from kickoff.process_group import Stop
from kickoff.supply_chain.audit import Audit, Tool, Vulnerability


def audit(project: Path, lock: str, environ: Mapping[str, str], stop: Stop) -> Audit:
    """Return what the registry knows of the packages that a lock installs without development.

    An ``.npmrc`` of the project is not read: a change could point it at a registry that knows nothing.

    Raises:
        KickoffError: npm is not on the PATH (exit 2).
    """
    npm = program("npm", project, environ)
    if npm is None:
        raise KickoffError("npm is not on the PATH", at=lock, hint="install it, or name it in `requirements`")
    tool = Tool(project, stop, lock, str(Path(lock).with_name("package.json")))
    status = tool.run([npm, "audit", "--json", "--package-lock-only", "--omit=dev"], environ)
    # Warnings are printed into the same stream, before and after the document.
    document = tool.printed[tool.printed.find("\n{") + 1 : tool.printed.rfind("}") + 1]
    try:
        report = json.loads(document)
        listed = report["metadata"]["dependencies"]["prod"]
        locked = json.loads((project / lock).read_text(encoding="utf-8")).get("packages", {})
        found = tuple(
            _vulnerability(entry, via, _version(locked, entry))
            for entry in report["vulnerabilities"].values()
            for via in entry["via"]
            if isinstance(via, Mapping)  # a name alone is the package that brings the vulnerability in
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return Audit(lock, doubt=f"npm audit told no findings: {_problem(document) or tool.reason(status)}")
    if status not in (0, 1) or (status == 1 and not found):
        return Audit(lock, listed, found, f"npm audit ended with exit code {status}")
    return Audit(lock, listed, found)


def _vulnerability(entry: Mapping[str, Any], via: Mapping[str, Any], version: str) -> Vulnerability:
    advisory = str(via.get("url", "")).rpartition("/")[2] or f"npm-{via['source']}"
    fix = entry.get("fixAvailable")
    fixed = (f"{fix['name']} {fix['version']}",) if isinstance(fix, Mapping) else ()
    return Vulnerability(str(entry["name"]), version, (advisory,), fixed)


def _version(locked: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Return the locked versions of a package: there may be several of it."""
    versions = {str(locked[node]["version"]) for node in entry.get("nodes", ()) if node in locked}
    return ", ".join(sorted(versions)) or str(entry.get("range", ""))


def _problem(document: str) -> str:
    """Return what npm says in its report of an error."""
    try:
        report = json.loads(document)
        error = report.get("error") or {}
        return str(report.get("message") or error.get("summary") or error.get("code") or "")[:300]
    except (AttributeError, ValueError):
        return ""
