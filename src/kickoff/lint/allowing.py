"""Exceptions: comments that let a finding stand, with a reason."""

import re
from collections.abc import Iterable, Iterator

from kickoff.environment.findings import Finding
from kickoff.lint import rules
from kickoff.lint.found import Found

_COMMENT = re.compile(r"#\s*kickoff-lint:\s*allow\s+(?P<rule>[\w/-]+)(?P<reason>\s+because\s+\S.*)?")


def applied(found: Iterable[Finding], file: str, text: str) -> Iterator[Finding]:
    """Yield the findings of a file that no exception lets stand, and those about the exceptions themselves.

    An exception is about its own line, or about the next one when it has its line for itself.
    """
    lines = text.splitlines()
    allowed = {number: one for number, line in enumerate(lines, 1) if (one := _COMMENT.search(line))}
    used = set()
    for finding in found:
        above = allowed.get(finding.line - 1)
        beside = above if above and lines[finding.line - 2].lstrip().startswith("#") else None
        covers = [one for one in (allowed.get(finding.line), beside) if one and one["rule"] == finding.rule]
        used.update(covers)
        if not covers:
            yield finding
    for number, one in allowed.items():
        column = one.start() + 1
        if not one["reason"]:
            message = f"the exception for {one['rule']} gives no reason"
            yield finding_of("allow-without-reason", file, Found(number, message, column=column))
        elif one not in used:
            known = one["rule"] in rules.load()
            message = f"nothing breaks {one['rule']} here" if known else f"no rule is called {one['rule']}"
            yield finding_of("allow-unused", file, Found(number, message, column=column))


def finding_of(rule: str, file: str, found: Found) -> Finding:
    """Return the finding of a rule at a place in a file, with the rule's fix."""
    return Finding(file, found.line, found.column, rule, found.job, found.message, rules.load()[rule].fix)
