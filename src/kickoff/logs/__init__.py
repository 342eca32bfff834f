"""Logs of any language: what they say went wrong, rendered for people, and what may be left out. Pure."""

from kickoff.logs.excerpt import Excerpt, essence, excerpt, keep, of_command

__all__ = ["Excerpt", "essence", "excerpt", "keep", "of_command"]
