"""Findings as SARIF 2.1.0, which code scanning reads."""

import json
from collections.abc import Sequence

from kickoff import __version__
from kickoff.environment.findings import Finding
from kickoff.lint import rules


def render(findings: Sequence[Finding]) -> str:
    """Return findings as a SARIF document; those of other linters stand in it by their own names."""
    known = rules.load()
    names = sorted({finding.rule for finding in findings} | set(known))
    described = [
        {
            "id": name,
            "shortDescription": {"text": known[name].title},
            "fullDescription": {"text": known[name].why},
            "help": {"text": known[name].fix},
        }
        if name in known
        else {"id": name}
        for name in names
    ]
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": names.index(finding.rule),
            "level": "error",
            "message": {"text": f"{finding.message}. Fix: {finding.fix}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {
                            "uri": finding.file.replace("\\", "/"),
                            "uriBaseId": "%SRCROOT%",
                        },
                        "region": {"startLine": finding.line, "startColumn": finding.column},
                    }
                }
            ],
        }
        for finding in findings
    ]
    driver = {"name": "kickoff lint", "version": __version__, "rules": described}
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
