"""Rules about statuses that a script loses: masked, told as a warning, piped away, or turned round."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from kickoff.lint import shell
from kickoff.lint.found import Found, Unit
from kickoff.lint.shell import Command, Script, text_of
from kickoff.lint.workflow import Job, Step, Workflow

_GATES = ("checks", "changes", "probes")
_BAD_NEWS = re.compile(
    r"warn|fail|error|unhealthy|not (ready|responding|available|found|healthy)|\u274c|\u26a0|broken|denied",
    re.IGNORECASE,
)
_FILTERS = ("tee", "tail", "head", "cat", "sed", "awk", "sort", "jq", "column", "cut")
_TESTS = (["["], ["[["], ["test"], ["grep"])
_TARGET = re.compile(
    r"(?:>>?|--output[= ]|--report[= ]|--outputFile[= ]|-o[= ]|tee (?:-a )?)\s*[\"']?([\w./${}-]+\.\w+)"
)
_SCANNERS = re.compile(
    r"\b(trivy|grype|snyk|semgrep|bandit|pip-audit|safety|npm audit|yarn audit|pnpm audit|gitleaks|checkov|"
    r"tfsec|cargo audit|govulncheck|terraform plan|jq)\b"
)
_ADVISORY = re.compile(
    r"advisory|informational|non-?blocking|not block|report only|best.effort", re.IGNORECASE
)
_UPLOAD = re.compile(r"codeql-action/upload-sarif")
_NONE = re.compile(r"\|\|\s*(echo|printf)\s+[\"']?(0|\[\]|none|\{\})[\"']?\s*\)*$", re.IGNORECASE)


def masked_failure(unit: Unit) -> Iterator[Found]:
    """Yield checks, deploys and probes whose failure a step swallows."""
    masked = [(node, gate) for node, gate in _masked(unit, _GATES) if not gate.is_a("rollbacks")]
    hidden = {gate.node for _, gate in masked}
    judged = {_program(one) for one in unit.script.commands if one.is_a("checks") and one.node not in hidden}
    judged |= {_program(gate) for node, gate in masked if _judged_later(unit, node)}
    for node, gate in masked:
        if _program(gate) not in judged:  # another run of it, for people, needs no second verdict
            how = text_of(node.named_children[-1]).split("\n")[0][:30]
            yield unit.found(unit.script.line_of(gate.node), f"`{gate.text}` may fail: `|| {how}` hides it")
    yield from _switched_off(unit)


def rollback_masked(unit: Unit) -> Iterator[Found]:
    """Yield rollbacks whose failure a script swallows, or only tells."""
    for node, gate in [*_masked(unit, ("rollbacks",), after_failure=True), *_announced(unit, ("rollbacks",))]:
        message = f"the failure of the rollback `{gate.text}` is hidden: nobody is called"
        yield unit.found(unit.script.line_of(node), message)


def warning_for_error(unit: Unit) -> Iterator[Found]:
    """Yield failed checks and probes of which a script only prints a line."""
    if unit.runs_after_failure:
        return
    for node, gate in _announced(unit, _GATES):
        what = "the probe" if gate.is_a("probes") else "the check" if gate.is_a("checks") else "the deploy"
        message = f"when {what} `{gate.text}` fails, a line is printed and the step passes"
        yield unit.found(unit.script.line_of(node), message)


def pipe_without_pipefail(unit: Unit) -> Iterator[Found]:
    """Yield checks and deploys whose status a pipe drops."""
    if unit.script.pipefail or "PIPESTATUS" in unit.script.text or unit.runs_after_failure:
        return
    for node in shell.walk(unit.script.root):
        if node.type != "pipeline" or shell.substitution(node) or shell.is_condition(node):
            continue
        parts = [command for one in node.named_children for command in shell.last_commands(one)]
        if len(parts) < 2 or parts[-1].words[:1] == [] or parts[-1].words[0] not in _FILTERS:
            continue
        gate = next((one for one in parts[:-1] if one.is_a("checks", "changes", "rollbacks")), None)
        if gate is not None:
            message = f"`{gate.text}` may fail: the pipe has the status of `{parts[-1].words[0]}`"
            yield unit.found(unit.script.line_of(node), message)


def test_ends_script(unit: Unit) -> Iterator[Found]:
    """Yield a last line that ends with 1 exactly when nothing is wrong."""
    for node in shell.statements(unit.script.root)[-1:]:
        if node.type == "list" and shell.operator(node) == "&&":
            left, right = node.named_children[0], node.named_children[-1]
            tests = any(one.words[:1] in _TESTS for one in shell.last_commands(left))
            if tests and re.search(r"\b(exit|return)\s+[1-9]", text_of(right)):
                message = "the last line is a test: when it is false, all is well and the status is 1"
                yield unit.found(unit.script.line_of(node), message)


def crash_counts_as_none(unit: Unit) -> Iterator[Found]:
    """Yield results that are read as none when the program that makes them crashed."""
    for node in shell.walk(unit.script.root):
        if node.type != "command_substitution" or not _NONE.search(text_of(node)):
            continue
        name, inside = shell.assigned(node), text_of(node)
        if name and _SCANNERS.search(inside) and _none_is_good(unit.script, name):
            program = " ".join(inside[2:].split("||")[0].split())[:50]
            message = f"{name} is 0 when `{program}` crashes, which is taken for no findings"
            yield unit.found(unit.script.line_of(node), message)


def continued(workflow: Workflow) -> Iterator[Found]:
    """Yield checks and deploys whose failure ``continue-on-error`` swallows."""
    for job, line, message in _continued(workflow, rollbacks=False):
        yield Found(line, message, job.id)


def rollback_continued(workflow: Workflow) -> Iterator[Found]:
    """Yield rollbacks whose failure ``continue-on-error`` swallows."""
    for job, line, message in _continued(workflow, rollbacks=True):
        yield Found(line, message, job.id)


def _continued(workflow: Workflow, *, rollbacks: bool) -> Iterator[tuple[Job, int, str]]:
    kinds = ("rollbacks",) if rollbacks else ("checks", "changes")
    for job in workflow.jobs.values():
        if job.data.get("continue-on-error") is True and job.does(*kinds):
            yield job, job.at("continue-on-error"), f"the job {job.id} may fail: continue-on-error hides it"
        for index, step in enumerate(job.steps):
            name = re.escape(str(step.data.get("id")))
            read = re.search(rf"steps\.{name}\.(outcome|conclusion)", workflow.text) or _is_advisory(step)
            red_already = "failure()" in step.condition and not rollbacks
            again = any(one.uses == step.uses != "" and not one.may_fail for one in job.steps)
            if not step.may_fail or read or red_already or again:
                continue
            if step.does(*kinds):
                line = job.at("steps", index, "continue-on-error")
                yield job, line, f"{step.title} may fail: continue-on-error hides it"


def _masked(
    unit: Unit, kinds: tuple[str, ...], *, after_failure: bool = False
) -> Iterator[tuple[Node, Command]]:
    """Yield the lists ``gate || something that cannot fail`` whose status is that of the gate otherwise."""
    advisory = "rollbacks" not in kinds and _is_advisory(unit.step)
    if advisory or (unit.runs_after_failure and not after_failure):
        return
    for node in shell.walk(unit.script.root):
        if node.type != "list" or shell.operator(node) != "||" or _is_else(node):
            continue
        left, right = node.named_children[0], node.named_children[-1]
        if shell.substitution(node) or shell.is_condition(node) or not _is_idle(right):
            continue
        looped = any(one.type in shell.LOOPS for one in shell.parents(node))
        wanted = tuple(kind for kind in kinds if not (looped and kind == "probes"))
        inside = (one for one in shell.walk(left) if one.type == "command" and not shell.substitution(one))
        gate = next((one for one in map(Command, inside) if one.is_a(*wanted)), None)
        if gate is not None:
            yield node, gate


def _is_advisory(step: Step | None) -> bool:
    """Return whether a step says that it decides nothing, or hands its findings to code scanning."""
    if step is None:
        return False
    scanned = any(_UPLOAD.search(one.uses) for one in step.job.steps)
    return _ADVISORY.search(step.name) is not None or (scanned and "sarif" in step.text)


def _program(command: Command) -> str:
    """Return what a command runs, without its options: ``npm audit``, ``bandit``."""
    return " ".join(word for word in command.words[:2] if not word.startswith("-"))


def _is_else(node: Node) -> bool:
    """Return whether something follows on the right that may fail all the same: ``a || b || exit 1``."""
    parent = node.parent
    return parent is not None and parent.type == "list" and shell.leaves(parent.named_children[-1])


def _is_idle(node: Node) -> bool:
    """Return whether a node cannot fail, ends nothing, and keeps no status for later."""
    commands = [Command(one) for one in shell.walk(node) if one.type == "command"]
    return bool(commands) and all(one.is_a("idle") for one in commands) and not shell.leaves(node)


def _judged_later(unit: Unit, node: Node) -> bool:
    """Return whether what a command wrote into a file is read by another one afterwards."""
    written = set(_TARGET.findall(text_of(node)))
    after = [text_of(one) for one in shell.following(node)]
    if unit.step is not None:
        later = unit.step.job.steps[unit.step.job.steps.index(unit.step) + 1 :]
        after += [script.text for step in later for script in step.scripts]
        after += [step.text for step in later if step.uses.startswith("actions/github-script")]
    shown = re.compile(r"^\s*(cat|echo|ls|head|tail)\b")
    lines = [line for text in after for line in text.splitlines() if not shown.match(line)]
    return any(name in line for name in written for line in lines)


def _switched_off(unit: Unit) -> Iterator[Found]:
    """Yield gates after ``set +e`` whose status nobody reads."""
    script, off = unit.script, None
    for command in script.commands:
        if command.words[:1] == ["set"] and len(command.words) > 1:
            flag = command.words[1]
            off = command if flag.startswith("+") and "e" in flag else None
        elif off is not None and command.is_a("checks", "changes", "rollbacks"):
            after = script.text.encode()[command.node.end_byte :].decode(errors="replace")
            read = re.search(r"\$\?|PIPESTATUS|^\s*(&&|\|\|)", after)
            if not (read or shell.is_condition(command.node) or shell.substitution(command.node)):
                message = f"`{command.text}` may fail: `set +e` stands before it, and nobody reads its status"
                yield unit.found(script.line_of(command.node), message)


def _announced(unit: Unit, kinds: tuple[str, ...]) -> Iterator[tuple[Node, Command]]:
    """Yield the ``if`` statements whose branch for a failed gate only prints something."""
    for node in shell.walk(unit.script.root):
        if node.type != "if_statement" or any(one.type in shell.LOOPS for one in shell.parents(node)):
            continue
        gate, negated = _gate(unit.script, node, kinds)
        if gate is None:
            continue
        other = next((one for one in node.children if one.type == "else_clause"), None)
        several = any(one.type == "elif_clause" for one in node.children)
        bad = node if negated else other
        if bad is None or several:
            continue
        said = shell.branch(bad)
        text = " ".join(map(text_of, said))
        quiet = said and all(map(_is_idle, said)) and not any(map(shell.leaves, said))
        if quiet and _BAD_NEWS.search(text) and not _ends_badly(node):
            yield node, gate


def _gate(script: Script, node: Node, kinds: tuple[str, ...]) -> tuple[Command | None, bool]:
    """Return the gate that an ``if`` asks, and whether its first branch is the one for a failure."""
    parts = [one for one in shell.condition(node) if one.is_named]
    if len(parts) != 1:
        return None, False
    [asked] = parts
    for one in shell.walk(asked):
        command = Command(one) if one.type == "command" else None
        if command is not None and shell.substitution(one) is None and command.is_a(*kinds):
            return command, asked.type == "negated_command"
    if asked.type == "test_command":
        text = text_of(asked)
        for command in script.commands:
            inside = shell.substitution(command.node)
            name = shell.assigned(inside) if inside is not None and command.is_a(*kinds) else ""
            before = command.node.end_byte < asked.start_byte
            if name and before and re.search(rf"\$\{{?{re.escape(name)}\b", text):
                kept = re.search(rf"\b{re.escape(name)}\}}?\"?\s*>>\s*\"?\$\{{?GITHUB_", script.text)
                if kept:  # a later step judges it
                    return None, False
                wrong = re.search(r"!=|-ne\b", text) is not None
                right = re.search(r"==?|-eq\b|=~", text) is not None
                return (command, wrong) if wrong or right else (None, False)
    return None, False


def _ends_badly(node: Node) -> bool:
    """Return whether a script still can say no after a node."""
    after = [one for each in shell.following(node) for one in shell.walk(each)]
    asks = any(one.type == "command" and Command(one).is_a("probes", "checks") for one in after)
    return asks or any(map(shell.leaves, shell.following(node)))


def _none_is_good(script: Script, name: str) -> bool:
    """Return whether a script says no when a variable is above 0, so that 0 lets pass."""
    above = re.compile(rf"\$\{{?{re.escape(name)}\}}?[\"']?\s*(-gt|-ne|!=|>)\s*[\"']?0\b")
    equal = re.compile(rf"\$\{{?{re.escape(name)}\}}?[\"']?\s*(-eq|=|==)\s*[\"']?0\b")
    for node in shell.walk(script.root):
        if node.type == "if_statement" and above.search(" ".join(map(text_of, shell.condition(node)))):
            if any(map(shell.leaves, shell.branch(node))):
                return True
        elif node.type == "list" and shell.leaves(node.named_children[-1]):
            test, joined = text_of(node.named_children[0]), shell.operator(node)
            if (above.search(test) and joined == "&&") or (equal.search(test) and joined == "||"):
                return True
    return False
