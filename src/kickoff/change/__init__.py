"""The change between two commits: what it would do to each environment. Git's objects alone are read."""

from kickoff.change.comparison import commits, compare
from kickoff.change.model import Artifact, Change, Delta, Gates, Keys, Migration, Part, Reached, Verdict

__all__ = [
    "Artifact",
    "Change",
    "Delta",
    "Gates",
    "Keys",
    "Migration",
    "Part",
    "Reached",
    "Verdict",
    "commits",
    "compare",
]
