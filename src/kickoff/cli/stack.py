"""The verbs of ``kickoff stack``: the containers around the service."""

import argparse

from kickoff.cli.parser import Verbs, add_group, add_verb
from kickoff.cli.verbs import VERBS

_TEXTS = {
    "prepare": "make the secrets and files that are missing; change nothing that is there",
    "plan": "show what applying would do to each service; change nothing",
    "apply": "make the stack what the project says; the service itself is not touched",
    "promote-replica": "make a replica of the database its primary, and the lost one the replica",
    "restore": "give the database the state of an earlier moment, out of its backups",
    "rotate": "replace a secret while both values are valid; doing it again goes on",
}
_ARGUMENTS = {
    "promote-replica": ["database-replica"],
    "restore": ["2026-01-31T14:05:00Z"],
    "rotate": ["database_password"],
}
"""Arguments of the examples."""


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    group = add_group(verbs, "stack", VERBS["stack"].text)
    for name, text in _TEXTS.items():
        more = ("stack apply --env staging --recreate postgres",) if name == "apply" else ()
        what = " ".join((name, *_ARGUMENTS.get(name, ())))
        examples = (f"stack {what} --env staging", *more)
        codes = (0, 1, 2, 4, 75)
        child = add_verb(group, name, text, _run, examples=examples, codes=codes, at_target=True)
        child.set_defaults(command=name)
        if name == "apply":
            child.add_argument(
                "--recreate",
                action="append",
                default=[],
                metavar="SERVICE",
                help="a service that holds data, or a network, and may be recreated all the same",
            )
        if name == "promote-replica":
            child.add_argument("service", metavar="SERVICE", help="the one that becomes the primary")
        if name == "restore":
            what = "a date and time, UTC unless it says otherwise, or `latest`: everything that was received"
            child.add_argument("moment", metavar="MOMENT", help=what)
            what = "the environment whose backups are taken, from where copies are kept (default: its own)"
            child.add_argument("--from", dest="source", default="", metavar="ENVIRONMENT", help=what)
        if name == "rotate":
            what = "the secret (default: say how each stands, and change nothing)"
            child.add_argument("secret", nargs="?", default="", metavar="SECRET", help=what)


def _run(arguments: argparse.Namespace) -> int:
    from kickoff.cli.run import stack

    return stack.run(arguments)
