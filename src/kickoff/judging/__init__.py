"""Judging rules: what a release is judged by, collected in one place and compared with those of another."""

from kickoff.judging.collection import Rules, collect, of_project, record, recorded
from kickoff.judging.comparison import Change, Comparison, Difference, compare, shortfall

__all__ = [
    "Change",
    "Comparison",
    "Difference",
    "Rules",
    "collect",
    "compare",
    "of_project",
    "record",
    "recorded",
    "shortfall",
]
