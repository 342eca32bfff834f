"""Rules about probes: loops that fall through, answers that nobody reads, any answer taken for a good one."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from kickoff.lint import shell
from kickoff.lint.found import Found, Unit
from kickoff.lint.shell import Command, Script, text_of
from kickoff.lint.workflow import Step

_FAILS = re.compile(r"^(-[a-zA-Z]*f[a-zA-Z]*|--fail(-with-body|-early)?)$")
_SUCCESS = re.compile(r"\b2\d\d\b|\[23")
_STATUS = re.compile(r"\$\{?\w*(code|status|http|resp)", re.IGNORECASE)
_ANY = re.compile(r"\[+\s*[\"']?\$\{?\w+\}?[\"']?\s*(!=|-ne)\s*[\"']?0+[\"']?\s*\]+")
_LOCAL = re.compile(r"localhost|127\.0\.0\.1")
_HEALTH = re.compile(r"health|ready|live|status|smoke|ping", re.IGNORECASE)
_CAPTURED = re.compile(r"(^| )-o (?!/dev/null)\S+|--output (?!/dev/null)\S+")
_INTO_FILE = re.compile(r"(?<!\d)>\s*[\"']?(?!/dev/null|&)[\w$]")
_LONG = 5
"""Seconds from which a sleep waits for something."""


def loop_falls_through(unit: Unit) -> Iterator[Found]:
    """Yield loops that probe a number of times, and go on when no try has passed."""
    if unit.runs_after_failure:
        return
    for node in shell.walk(unit.script.root):
        if node.type not in shell.LOOPS or _unbounded(node):
            continue
        inside = [Command(one) for one in shell.walk(node) if one.type in ("command", "test_command")]
        probes = [one for one in inside if one.is_a("probes")]
        good_end = any(
            one.words[:1] == ["break"] or one.words[:2] in (["exit", "0"], ["return", "0"]) for one in inside
        )
        if not probes or not good_end or any(map(_says_no, shell.walk(node))) or "GITHUB_" in text_of(node):
            continue
        if not any(_may_fail(one) for one in shell.following(node)):
            message = (
                f"when `{probes[0].text}` never passes, the loop ends and the script goes on as if it had"
            )
            yield unit.found(unit.script.line_of(node), message)


def never_tested(unit: Unit) -> Iterator[Found]:
    """Yield answers of probes that are only printed, or not even that."""
    decided = any(map(_says_no, shell.walk(unit.script.root)))  # by another answer
    if unit.runs_after_failure or decided or _deploys_later(unit.step):
        return
    for command in unit.script.commands:
        inside = shell.substitution(command.node)
        name = shell.assigned(inside) if inside is not None and command.is_a("probes") else ""
        exported = inside is not None and any(
            one.type == "declaration_command" for one in shell.parents(inside)
        )
        if inside is None or not name or exported:
            continue
        if not _is_used(unit.script, name) and not _fails_itself(command, inside):
            message = f"{name} takes the answer of `{command.text}`, and nothing tests it"
            yield unit.found(unit.script.line_of(command.node), message)


def any_status(unit: Unit) -> Iterator[Found]:
    """Yield probes that pass whatever the service answers."""
    if unit.runs_after_failure:
        return
    for command in unit.script.commands:
        if command.words[:1] == ["curl"] and command.is_a("probes") and _ignores_status(command):
            message = f"`{command.text}` passes with every status that the service answers, 500 included"
            yield unit.found(unit.script.line_of(command.node), message)
        elif command.words[:1] in (["["], ["[["], ["grep"]) and _takes_failures(command, unit.script):
            message = f"`{command.text}` takes an answer that is an error for a good one"
            yield unit.found(unit.script.line_of(command.node), message)


def sleep_for_probe(unit: Unit) -> Iterator[Found]:
    """Yield a sleep after a deploy that nothing asks how it went."""
    step, script = unit.step, unit.script
    if step is None or unit.runs_after_failure:
        return
    for command in script.commands:
        if not _waits(command) or any(one.type in shell.LOOPS for one in shell.parents(command.node)):
            continue
        before = [one for one in script.commands if one.node.end_byte <= command.node.start_byte]
        earlier = step.job.steps[: step.job.steps.index(step)]
        deployed = any(one.is_a("changes", "rollbacks") for one in before)
        deployed = deployed or any(one.does("changes") for one in earlier)
        after = [one for one in script.commands if one.node.start_byte > command.node.end_byte]
        if deployed and not any(map(_asks, after)) and not _asked_later(step):
            message = f"`{command.text}` waits for the deploy, and nothing asks afterwards whether it serves"
            yield unit.found(script.line_of(command.node), message)


def _unbounded(node: Node) -> bool:
    """Return whether a loop ends only by its condition or by a break: then it cannot fall through."""
    if node.type != "while_statement":
        return False
    parts = shell.condition(node)
    inside = [one for part in parts for one in shell.walk(part) if one.type == "command"]
    asks = any(Command(one).is_a("probes") for one in inside)
    condition = " ".join(map(text_of, parts))
    return asks or condition.strip("; ") in ("true", ":")


def _says_no(node: Node) -> bool:
    """Return whether a node ends the script with a failure."""
    return node.type == "command" and shell.says_no(Command(node).words)


def _may_fail(node: Node) -> bool:
    """Return whether a statement after a loop may say that no try has passed."""
    for one in shell.walk(node):
        if one.type in ("test_command", "if_statement", "case_statement") or _says_no(one):
            return True
        if one.type == "command" and Command(one).is_a("probes", "checks"):
            return True
    return False


def _deploys_later(step: Step | None) -> bool:
    """Return whether a step stands before the deploy of its job."""
    return step is not None and any(
        one.does("changes") for one in step.job.steps[step.job.steps.index(step) + 1 :]
    )


def _is_used(script: Script, name: str) -> bool:
    """Return whether anything but a line of output reads a variable."""
    for node in shell.walk(script.root):
        if node.type != "variable_name" or text_of(node) != name:
            continue
        if node.parent is not None and node.parent.type == "variable_assignment":
            continue
        around = next((one for one in shell.parents(node) if one.type in ("command", "test_command")), None)
        kept = any(
            "GITHUB_" in text_of(one) for one in shell.parents(node) if one.type == "redirected_statement"
        )
        piped = any(one.type in ("pipeline", "command_substitution") for one in shell.parents(node))
        if around is None or kept or piped or text_of(around).split()[0] not in ("echo", "printf"):
            return True
    return name.isupper() and f"env.{name}" in script.text


def _fails_itself(command: Command, inside: Node) -> bool:
    """Return whether the probe's own status ends the script, so that its answer need not be tested."""
    strict = command.words[0] != "curl" or any(map(_FAILS.match, command.words))
    return strict and "||" not in text_of(inside)


def _ignores_status(command: Command) -> bool:
    node, text = command.node, text_of(command.node)
    if any(map(_FAILS.match, command.words)) or shell.substitution(node) or _CAPTURED.search(text):
        return False
    if _LOCAL.search(text) and not _HEALTH.search(text):
        return False  # a server that a test waits for, and then asks itself
    for outer in shell.parents(node):
        if outer.type == "pipeline" or _INTO_FILE.search(text_of(outer)[len(text) :]):
            return False
        if outer.type not in ("redirected_statement", "list", "negated_command"):
            break
    return True


def _takes_failures(command: Command, script: Script) -> bool:
    """Return whether a comparison lets a 5xx, a 404 or no answer at all pass beside a good one."""
    parent = command.node.parent
    text = text_of(parent if parent is not None and parent.type == "pipeline" else command.node)
    if not _STATUS.search(text) or "http_code" not in script.text:
        return False
    lists = command.words[0] == "grep" or "=~" in text or ("||" in text and "!=" not in text)
    negated = command.node.parent is not None and command.node.parent.type == "negated_command"
    if lists and not negated and _SUCCESS.search(text) and re.search(r"(?<!\d)(50[0-4]|000)(?!\d)", text):
        return True
    return parent is not None and parent.type != "list" and _ANY.fullmatch(text) is not None


def _waits(command: Command) -> bool:
    if command.words[:1] != ["sleep"] or len(command.words) != 2:
        return False
    found = re.fullmatch(r"(\d+)(s|m)?", command.words[1])
    return found is not None and int(found[1]) * (60 if found[2] == "m" else 1) >= _LONG


def _asks(command: Command) -> bool:
    """Return whether a command may ask how the deploy went: every one that is not known to do nothing."""
    return not command.is_a("idle") or command.words[:1] in (["["], ["test"])


def _asked_later(step: Step) -> bool:
    """Return whether a later step, or a job that waits for this one, may ask how the deploy went."""
    job = step.job
    jobs = [one for one in job.workflow.jobs.values() if job.id in one.ancestors]
    later = [*job.steps[job.steps.index(step) + 1 :], *(one for other in jobs for one in other.steps)]
    return any(map(_may_ask, later))


def _may_ask(step: Step) -> bool:
    """Return whether a step may ask how a deploy went; what another shell does is not known."""
    if step.uses or not step.scripts:
        return not step.does("notices")
    return any(_asks(command) for script in step.scripts for command in script.commands)
