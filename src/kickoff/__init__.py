"""Kickoff: build, prove, release and, when the proof fails, take back a service."""

__version__ = "0.1.0"
