"""Audit of hash-locked Python requirements: pip-audit, with the vulnerabilities of OSV."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from kickoff import packages
from kickoff.process_group import Stop
from kickoff.supply_chain.audit import Audit, Tool, Vulnerability

URL = "KICKOFF_OSV_URL"
"""Variable with the address of another server that answers as OSV does, such as a mirror."""
_REPORT = "audit.json"
_UNREAD = re.compile(r"unsupported osv schema|missing 'affected'", re.IGNORECASE)
"""What pip-audit says of an entry that it leaves out."""
_UNDERSTOOD = (0, 1)
_UNREACHED = re.compile(r"host='(?P<host>[^']+)'.*\[Errno -?\d+\] (?P<why>[\w ]+)")


def audit(project: Path, lock: str, environ: Mapping[str, str], stop: Stop) -> Audit:
    """Return what OSV knows of the packages of a lock, by its API: https://google.github.io/osv.dev/api.

    Raises:
        KickoffError: pip-audit is not installed (exit 2).
    """
    tool = Tool(project, stop, lock)
    line = [packages.tool("pip-audit"), "--requirement", Path(lock).name, "--disable-pip", "--no-deps"]
    line += ["--vulnerability-service", "osv", "--timeout", "15", "--cache-dir", "cache"]
    line += ["--format", "json", "--output", _REPORT, "--progress-spinner", "off"]
    if url := os.environ.get(URL):
        line += ["--osv-url", url]
    status = tool.run(line, environ, _REPORT)
    try:
        listed = json.loads(tool.printed)["dependencies"]
        found = tuple(
            Vulnerability(
                one["name"],
                one["version"],
                (vulnerability["id"], *vulnerability["aliases"]),
                tuple(vulnerability["fix_versions"]),
            )
            for one in listed
            for vulnerability in one.get("vulns", ())
        )
    except (KeyError, TypeError, ValueError):
        return Audit(lock, doubt=_silence(tool.reason(status)))
    return Audit(lock, len(listed), found, _doubt(listed, status, "".join(tool.said), bool(found)))


def _silence(reason: str) -> str:
    if found := _UNREACHED.search(reason):
        return f"{found['host']} does not answer ({found['why'].lower()})"
    return f"pip-audit told no findings: {reason}"


def _doubt(listed: list[Mapping[str, str]], status: int | None, said: str, found: bool) -> str:
    skipped = [f"{one['name']} ({one['skip_reason']})" for one in listed if "skip_reason" in one]
    if skipped:
        return f"not audited: {', '.join(skipped)}"
    if not listed:
        return "the lock names no package"
    if status not in _UNDERSTOOD or (status == 1 and not found):
        return f"pip-audit ended with exit code {status}"
    return "pip-audit could not read an entry of the database" if _UNREAD.search(said) else ""
