"""Kickoff: build, prove, release and, when the proof fails, take back a service."""
