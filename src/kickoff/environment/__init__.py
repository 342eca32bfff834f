"""Environment files and their schema: validated, compared, loaded and exported without leaking a secret."""

from kickoff.environment.loader import load, setting
from kickoff.environment.model import Environment

__all__ = ["Environment", "load", "setting"]
