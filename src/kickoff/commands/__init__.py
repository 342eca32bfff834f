"""Commands in comments on pull requests: their words, and the rules that let each through or not."""

from kickoff.commands.asking import candidate, permission, request
from kickoff.commands.rules import (
    Candidate,
    Refusal,
    Request,
    of_author,
    of_candidate,
    of_environment,
    of_request,
)
from kickoff.commands.words import MEANING, USAGE, Command, is_command, parse

__all__ = [
    "MEANING", "USAGE", "Candidate", "Command", "Refusal", "Request", "candidate", "is_command", "of_author",
    "of_candidate", "of_environment", "of_request", "parse", "permission", "request",
]  # fmt: skip
