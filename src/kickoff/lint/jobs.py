"""Rules about what jobs and steps do: deploys that do nothing, builds made again, outputs nobody reads."""

import re
from collections.abc import Iterator

from kickoff.lint.found import Found, Unit
from kickoff.lint.shell import leaves, text_of, walk
from kickoff.lint.workflow import ROLLBACK, Job, Step, Workflow

_DEPLOY = re.compile(
    r"^\W*((auto\w*|trigger|execute|perform|run|start|simulate|blue.green|canary|production|staging|full|the)\s+)*"
    r"(deploy(ing|ment)?\b|release to\b|ship to\b|roll(ing)?[ _-]?back\b)",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"noti[fc]|summar|info|status|\burl\b|plan|report|print|comment|log|output|prepare|set ?up|check|verif|"
    r"record|tag|announce|message|notes|complet|result|skip|success|fail|wait|detect|determine|get |"
    r"configure|approv|metadata|resolve|changelog|instruction|guide|docs|preview|gate|manual|start|"
    r"download|create|needed|artifact",
    re.IGNORECASE,
)
_SETUP = re.compile(
    r"actions/(checkout|cache|download-artifact|upload-artifact)|docker/(login|setup|metadata)|.*/setup"
)
_FAILS = re.compile(r"\bexit [1-9]|::error")
_ALL_NEEDS = r"(?i:toJSON)\(\s*needs|needs\.\*"
_CLAIM = re.compile(r"success(ful|fully|ed)?\b|\u2705|is live|deployed to|deployment complete", re.IGNORECASE)
_SENDS = re.compile(r"hooks\.slack|discord(app)?\.com/api|webhook", re.IGNORECASE)
_ALWAYS = re.compile(r"(\$\{\{\s*)?(always|!\s*cancelled)\(\)(\s*\}\})?")
_READS_RESULT = re.compile(
    r"job\.status|\.(outcome|result|conclusion)\b|failure\(\)|success\(\)|toJSON\(needs\)", re.IGNORECASE
)


def deploy_changes_nothing(workflow: Workflow) -> Iterator[Found]:
    """Yield steps that are called a deploy or a rollback, and only print."""
    for job in workflow.jobs.values():
        for step in job.steps:
            rollback = ROLLBACK.search(step.name) is not None
            called = _DEPLOY.search(step.name) is not None
            if not called or _ABOUT.search(step.name) or not step.scripts:
                continue
            others = [one for one in job.steps if one is not step]
            really = ("rollbacks",) if rollback else ("changes", "rollbacks")
            if _only_prints(step) and not any(one.does(*really) or _may_deploy(one) for one in others):
                what = "rollback" if rollback else "deploy"
                message = f"the {what} {step.title} only prints: no command in it changes anything"
                yield Found(step.line, message, job.id)


def success_claimed_early(workflow: Workflow) -> Iterator[Found]:
    """Yield messages of success that are sent whatever happened, or before the probe."""
    for job in workflow.jobs.values():
        for index, step in enumerate(job.steps):
            sends = step.does("notices") or _SENDS.search(step.text)
            if not sends or not _CLAIM.search(step.text) or _READS_RESULT.search(step.text):
                continue
            if _ALWAYS.fullmatch(step.condition):
                yield Found(
                    step.line, f"{step.title} runs always(), and says success whatever happened", job.id
                )
            elif not step.condition and any(one.does("probes", "checks") for one in job.steps[index + 1 :]):
                yield Found(step.line, f"{step.title} says success before the release was asked", job.id)


def rebuilt_not_promoted(workflow: Workflow) -> Iterator[Found]:
    """Yield jobs that build once more what a job before them has built and deployed."""
    for job in workflow.jobs.values():
        if not job.does("changes"):
            continue
        for name in sorted(job.ancestors & set(workflow.jobs)):
            earlier = workflow.jobs[name]
            again = sorted(_builds(job) & _builds(earlier))
            if again and earlier.does("changes"):
                step = next(one for one in job.steps if again[0] in _builds_of(one))
                message = f"{job.id} builds with `{again[0]}` again what {name} has built and deployed"
                yield Found(step.line, message, job.id)
                break


def output_unread(workflow: Workflow) -> Iterator[Found]:
    """Yield outputs of jobs that no job reads."""
    if not workflow.is_workflow:
        return
    for job in workflow.jobs.values():
        outputs = job.data.get("outputs")
        for name in outputs if isinstance(outputs, dict) else ():
            whose = rf"(needs|jobs)(\.{re.escape(job.id)}|\['{re.escape(job.id)}'\])\.outputs"
            reads = rf"{whose}(\.{re.escape(str(name))}\b|\['|\s*[^.\w\[]|$)|{_ALL_NEEDS}"
            if not re.search(reads, workflow.text):
                yield Found(job.at("outputs", name), f"nobody reads the output {name} of {job.id}", job.id)


def deploy_skipped_green(unit: Unit) -> Iterator[Found]:
    """Yield scripts that leave with 0 before their deploy because something is not set."""
    script = unit.script
    for node in walk(script.root):
        if node.type != "if_statement":
            continue
        asked = " ".join(text_of(one) for one in node.children_by_field_name("condition"))
        empty = re.search(r"-z\s|==?\s*(\"\"|'')|!\s*-[fd]\s|!\s*command -v", asked)
        ends = re.search(r"\bexit 0\b", text_of(node)) and not leaves(node)
        after = [one for one in script.commands if one.node.start_byte > node.end_byte]
        deploy = next((one for one in after if one.is_a("changes", "rollbacks", "probes")), None)
        if empty and ends and deploy is not None:
            message = f"without {asked.strip('; ')} there is no `{deploy.text}`, and the step is green"
            yield unit.found(script.line_of(node), message)


def _may_deploy(step: Step) -> bool:
    """Return whether a step may deploy by an action that is not known, or in another shell."""
    if not step.uses:
        return not step.scripts
    return not _SETUP.match(step.uses) and not step.does("checks", "builds", "notices")


def _only_prints(step: Step) -> bool:
    """Return whether a step does nothing that lasts, and does not fail on purpose."""
    commands = [command for script in step.scripts for command in script.commands]
    fails = any(_FAILS.search(script.text) for script in step.scripts)
    nodes = [node for script in step.scripts for node in walk(script.root)]
    files = [text_of(node) for node in nodes if node.type == "file_redirect"]
    keeps = any("/dev/" not in file and ">&" not in file for file in files)
    return bool(commands) and all(one.is_a("idle") for one in commands) and not keeps and not fails


def _builds(job: Job) -> set[str]:
    return {built for step in job.steps for built in _builds_of(step)}


def _builds_of(step: Step) -> set[str]:
    """Return what a step builds with: its action, or the words of its build command."""
    if step.uses and step.does("builds"):
        return {step.uses.partition("@")[0]}
    commands = [command for script in step.scripts for command in script.commands if command.is_a("builds")]
    return {" ".join(command.words[:2]) for command in commands}
