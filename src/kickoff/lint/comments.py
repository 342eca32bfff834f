"""Rules about checks that were switched off: commented out, or behind a condition that is false."""

import re
from collections.abc import Iterator

from kickoff.lint import vocabulary
from kickoff.lint.found import Found
from kickoff.lint.workflow import Workflow

_COMMENT = re.compile(r"^\s*#+\s*(?:-\s+)?(?:run:\s*)?(?P<command>[\w./-]+(?:\s.*)?)$")
_USES = re.compile(r"^\s*#+\s*(?:-\s+)?uses:\s*[\"']?(?P<action>[\w./-]+@[\w.-]+)")
_DIRECTIVE = re.compile(r"shellcheck \w+=")
_OFF = re.compile(r"(\$\{\{\s*)?false(\s*\}\})?")


def commented_out(lines: list[str]) -> Iterator[Found]:
    """Yield comments that are a check: a command, or a step that calls an action."""
    for number, line in enumerate(lines, 1):
        used, comment = _USES.match(line), _COMMENT.match(line)
        if used and vocabulary.action_is(used["action"], "checks"):
            yield Found(number, f"the check `{used['action'].partition('@')[0]}` is commented out")
        elif comment and _is_check(comment["command"]):
            yield Found(number, f"the check `{comment['command'].strip()[:60]}` is commented out")


def disabled(workflow: Workflow) -> Iterator[Found]:
    """Yield checks whose ``if`` is false."""
    for job in workflow.jobs.values():
        if _OFF.fullmatch(job.condition) and job.does("checks", "probes"):
            yield Found(job.at("if"), f"the checks of {job.id} are switched off by `if: false`", job.id)
        for index, step in enumerate(job.steps):
            if _OFF.fullmatch(step.condition) and step.does("checks", "probes"):
                message = f"the check {step.name or index + 1!r} is switched off by `if: false`"
                yield Found(job.at("steps", index, "if"), message, job.id)


def _is_check(command: str) -> bool:
    """Return whether a comment is a command and not a sentence about one."""
    words = vocabulary.unwrapped(command.split())
    prose = [word for word in words[2:] if re.fullmatch(r"[A-Za-z]+[,.;:]?|[^\w\s]+|\(.*", word)]
    sentence = len(prose) > 1 or command.rstrip().endswith((".", ":", ",", ";", ")"))
    sentence = sentence or _DIRECTIVE.match(command) is not None
    return not sentence and len(words) > 1 and "checks" in vocabulary.kinds(tuple(words))
