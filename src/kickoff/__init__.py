"""Kickoff: build, prove, release and, when the proof fails, take back a service."""

__version__ = "0.2.0.dev0"
"""The one place that says it: read by the build, compared with the tag of a release."""
