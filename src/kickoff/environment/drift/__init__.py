"""Drift: what runs on a target compared with the environment's file, and the issue about it."""

from kickoff.environment.drift.comparison import Reader, Running, compare, fingerprints

__all__ = ["Reader", "Running", "compare", "fingerprints"]
