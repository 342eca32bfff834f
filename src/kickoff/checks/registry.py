"""All checks by the name of their command; a new one is a module and a line here.

The modules are imported when they are asked for: the load test needs libraries that the others do without.
"""

from importlib import import_module

from kickoff.checks.check import Check

CHECKS = {
    "check": ("kickoff.checks.quality",),
    "audit": ("kickoff.checks.dependency_audit", "kickoff.checks.secret_scan"),
    "smoke": ("kickoff.checks.smoke",),
    "functional": ("kickoff.checks.functional", "kickoff.checks.own"),
    "perf": ("kickoff.checks.performance",),
}
"""Command -> the modules whose ``CHECK`` it runs; the first one's arguments are those of the command."""


def load(name: str) -> list[Check]:
    """Return the checks that a command runs, in order."""
    return [import_module(module).CHECK for module in CHECKS[name]]
