"""The table of all verbs: which module adds each, what it needs installed, and its line in the help.

Nothing but the standard library, and of that little: it is read before any environment exists.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Verb(NamedTuple):
    """One verb of the command.

    Attributes:
        group: The module of :mod:`kickoff.cli` that adds its arguments.
        text: One line about it.
        needs: The lock whose packages it needs; empty for the standard library alone.
    """

    group: str
    text: str
    needs: str = "pipeline"


class Section(NamedTuple):
    """Verbs that stand together in the help."""

    title: str
    verbs: dict[str, Verb]


SECTIONS = (
    Section(
        "project",
        {
            "demo": Verb("demo", "watch four releases of a small service, one of them bad"),
            "init": Verb("project", "describe the service of a repository, and write its workflows"),
            "validate": Verb("project", "find every mistake that can be seen without a run"),
            "upgrade": Verb("project", "bring what init wrote to this version, keeping your changes"),
        },
    ),
    Section(
        "release",
        {
            "deploy": Verb("deploy", "ship a commit through cd.yml on this machine", "dev"),
            "release": Verb("deploy", "release a commit by every phase, without a workflow"),
            "plan": Verb("release", "show what a release would change; change nothing"),
            "status": Verb("release", "show who serves, asked just now"),
            "logs": Verb("release", "show the log of a process or of a refused release"),
            "rollback": Verb("release", "serve an earlier good release again"),
            "start": Verb("release", "bring up what is recorded as live, after a stop or a reboot"),
            "stop": Verb("release", "stop both colours and the proxy; releases are kept"),
            "resume": Verb("release", "finish or undo what a run that died left behind"),
            "history": Verb("release", "list what was released, rolled back or refused"),
            "show": Verb("release", "show one release: its gates, its facts, what it changed"),
            "metrics": Verb("release", "show delivery figures: frequency, lead time, failures, recovery"),
            "unlock": Verb("release", "free the lock of a run that is gone for good"),
        },
    ),
    Section(
        "check",
        {
            "check": Verb("checks", "run the quality gate on a commit"),
            "audit": Verb("checks", "audit dependencies, and look for secrets in a change", "audit"),
            "smoke": Verb("checks", "send the service's smoke requests and judge the answers"),
            "functional": Verb("checks", "run the service's interface tests against the candidate"),
            "perf": Verb("load", "load a service with scenarios and judge it", "performance"),
            "lint": Verb("lint", "find checks, deploys and rollbacks that are only for show"),
            "trend": Verb("checks", "show how response times moved over past releases"),
            "probe": Verb("checks", "wait until an address is ready, then probe it"),
            "report": Verb("checks", "turn a run's evidence into its report"),
            "notify": Verb("notify", "tell people what became of a run"),
        },
    ),
    Section(
        "artefact",
        {
            "build": Verb("build", "build the bundle or the image of a commit"),
            "prove": Verb("build", "state that what was deployed passed every check"),
            "proof": Verb("build", "look a proof up, or compare an artefact with it"),
        },
    ),
    Section(
        "environment",
        {
            "env": Verb("environment", "validate, load, export, compare and explain environments"),
            "stack": Verb("stack", "prepare, plan or change the containers around the service"),
            "doctor": Verb("doctor", "examine this machine, or the host of an environment", ""),
            "explain": Verb("explain", "say what an exit code or a verdict means, and what to do", ""),
        },
    ),
    Section(
        "phases and steps of a pipeline",
        {
            "stage": Verb("release", "start a candidate on the idle colour, without public traffic"),
            "promote": Verb("release", "move public traffic to the candidate, judged"),
            "watch": Verb("release", "judge the live release for WATCH_TIME"),
            "abort": Verb("release", "undo the open attempt"),
            "workflow": Verb("workflow", "decide what an event deploys, and what a change would do"),
            "completion": Verb("completion", "print the completion script of a shell"),
        },
    ),
)
VERBS: dict[str, Verb] = {name: verb for section in SECTIONS for name, verb in section.verbs.items()}


PROJECT = "--project"
"""Option before the verb: the project's folder, in which everything then happens."""


def split(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the project's folder, if one is named before the verb, and the words that follow."""
    first, *rest = argv or ("",)
    if first == PROJECT and rest:
        return rest[0], rest[1:]
    if first.startswith(f"{PROJECT}="):
        return first.partition("=")[2], rest
    return None, list(argv)


def needs(argv: Sequence[str]) -> str:
    """Return the lock whose packages a command line needs; empty when the standard library is enough.

    Checks say themselves what they take, so even their help needs them; and a host is asked for its facts by
    more than the standard library, so ``doctor --env`` needs the pipeline's.
    """
    argv = split(argv)[1]
    verb = VERBS.get(argv[0]) if argv else None
    if verb is None or (verb.group not in ("checks", "load") and {"-h", "--help"} & set(argv)):
        return ""
    at_host = verb.group == "doctor" and any(part.startswith("--env") for part in argv)
    return verb.needs or ("pipeline" if at_host else "")
