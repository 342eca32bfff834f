"""Requests that ask whether a release works: smoke checks, readiness and the steady probe."""

from kickoff.checks.http import CheckResult, open_client, perform

__all__ = ["CheckResult", "open_client", "perform"]
