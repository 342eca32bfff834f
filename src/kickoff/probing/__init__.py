"""Requests that ask whether a release works: readiness, smoke requests and the steady probe."""
