"""Rules about when jobs and steps run: conditions never true, needs missing, groups of runs."""

import re
from collections.abc import Iterator

from kickoff import yaml_lines
from kickoff.lint.found import Found
from kickoff.lint.workflow import ROLLBACK, STATUS, Job, Workflow, written

_FAILED = re.compile(
    r"(?P<not>!\s*)?(?P<what>needs|steps)\.(?P<id>[\w-]+)\.(?P<field>result|outcome|conclusion)"
    r"\s*(?P<is>[!=]=)\s*'(?P<value>\w+)'"
)
_ANY_FAILED = re.compile(r"(?<!!)(?<!! )contains\(\s*needs\.\*\.result\s*,\s*'(failure|cancelled)'\s*\)")
_ON_FAILURE = re.compile(r"fail|on error|unhealthy|automatic", re.IGNORECASE)
_BY_HAND = re.compile(r"inputs\.|github\.event|outputs\.")
_BY_REF = re.compile(r"github\.(ref|ref_name|head_ref|sha|run_id|run_number)\b(?!\s*[!=]=)")
_ASKED = re.compile(r"\b(startsWith|endsWith|contains)\([^()]*\)")
_ALL = re.compile(
    r"all[-_ ]?(checks|green|tests|jobs)\S*|required([-_]\w+)?|check[-_]?all|"
    r"ci[-_](success|ok|passed|pass|gate|status)|(status|merge|quality)[-_]?(check|gate)s?[-_ ]?passed",
    re.IGNORECASE,
)
_READS_NEEDS = re.compile(r"needs[.\[]|toJSON\(needs\)", re.IGNORECASE)
_NOT_PASSED = (("==", "failure"), ("==", "cancelled"), ("!=", "success"))
_NEWEST = "let it end, and the newest waiting run follows"
_BEGINS = "without always() or failure() its `if` begins with success()"


def condition_never_true(workflow: Workflow) -> Iterator[Found]:
    """Yield conditions on a failure that the implicit ``success()`` makes false."""
    for job in workflow.jobs.values():
        if not STATUS.search(job.condition) and _wants_failure(job, job.condition, "needs"):
            yield Found(job.at("if"), f"the job {job.id} never runs: {_BEGINS}", job.id)
        for index, step in enumerate(job.steps):
            if not STATUS.search(step.condition) and _wants_failure(job, step.condition, "steps"):
                yield Found(job.at("steps", index, "if"), f"{step.title} never runs: {_BEGINS}", job.id)


def rollback_cannot_run(workflow: Workflow) -> Iterator[Found]:
    """Yield rollbacks that are skipped when the deploy, or the job before them, fails."""
    for job in workflow.jobs.values():
        before = [workflow.jobs[one] for one in job.ancestors if one in workflow.jobs]
        deploys = [one for one in before if one.does("changes")]
        if ROLLBACK.search(job.name) and deploys:
            yield from _skipped_rollback(job, deploys)
        for index, step in enumerate(job.steps):
            meant = ROLLBACK.search(step.name) and _ON_FAILURE.search(step.name)
            decided = STATUS.search(step.condition) or re.search(r"outputs\.|outcome|env\.", step.condition)
            if meant and not decided and any(one.does("changes") for one in job.steps[:index]):
                message = f"{step.title} runs only when every step before it has passed"
                yield Found(step.line, message, job.id)


def _skipped_rollback(job: Job, deploys: list[Job]) -> Iterator[Found]:
    if STATUS.search(job.condition):
        if blind := _behind_skipped(job, deploys):
            message = f"when {blind[0]} fails, {blind[1]} is skipped, and {job.id} does not run"
            yield Found(job.at("if"), message, job.id)
    elif not _BY_HAND.search(job.condition) and not _wants_failure(job, job.condition, "needs"):
        yield Found(job.line, f"the rollback {job.id} runs only when all it needs has passed", job.id)


def all_checks_incomplete(workflow: Workflow) -> Iterator[Found]:
    """Yield jobs that stand for all checks, and miss one, are skipped when one fails, or read no result."""
    for job in workflow.jobs.values():
        if not (_ALL.fullmatch(job.id) and job.needs):
            continue
        after = {one.id for one in workflow.jobs.values() if job.id in one.ancestors}
        missing = [
            one.id
            for one in workflow.jobs.values()
            if one is not job and one.id not in job.ancestors | after and _decides(one)
        ]
        if missing:
            yield Found(job.at("needs"), f"{job.id} does not wait for {', '.join(missing)}", job.id)
        if not re.search(r"always\(\)|!\s*cancelled\(\)|failure\(\)", job.condition):
            message = f"{job.id} is skipped when a job fails, and a skipped check counts as passed"
            yield Found(job.line, message, job.id)
        elif not _READS_NEEDS.search(job.text) and not any(step.uses for step in job.steps):
            yield Found(job.line, f"{job.id} runs whatever happened, and reads no result", job.id)


def _decides(job: Job) -> bool:
    """Return whether a check of a job can fail it."""
    return any(step.does("checks") and not step.may_fail for step in job.steps)


def deploy_concurrency(workflow: Workflow) -> Iterator[Found]:
    """Yield groups of deploys by ref, and those that cancel a deploy under way."""
    deploying = [job for job in workflow.jobs.values() if job.does("changes")]
    previews = set(workflow.events) <= {"pull_request", "pull_request_target"}
    if previews or not deploying or not workflow.is_workflow:
        return
    for owner, given, line in _concurrency(workflow, deploying):
        group, cancels = (written(given.get(key)) for key in ("group", "cancel-in-progress"))
        if "pull_request" in group:
            continue  # a preview of its own for each
        if cancels == "true":
            yield Found(line, f"a newer run cancels this deploy half-way; {_NEWEST}", owner)
        elif _BY_REF.search(_ASKED.sub("", group)) and _several_refs(workflow):
            yield Found(line, f"the group `{group}` is one per ref, so two refs deploy at once", owner)


def _wants_failure(job: Job, condition: str, what: str) -> bool:
    """Return whether a condition is true only when something has failed that ``success()`` demands."""
    if "||" in condition:
        return False
    if what == "needs" and _ANY_FAILED.search(condition):
        return True
    for found in _FAILED.finditer(condition):
        if found["what"] != what or found["not"]:
            continue
        if what == "needs":
            if (found["is"], found["value"]) in _NOT_PASSED and found["id"] in job.needs:
                return True
        elif (found["is"], found["value"]) == ("==", "failure"):
            step = next((one for one in job.steps if one.data.get("id") == found["id"]), None)
            lets_fail = step is not None and step.data.get("continue-on-error")
            if step is not None and (not lets_fail or found["field"] == "conclusion"):
                return True
    return False


def _behind_skipped(job: Job, deploys: list[Job]) -> tuple[str, str] | None:
    """Return a deploy whose failure only skips the one job that a rollback asks about."""
    tests = [one for one in _FAILED.finditer(job.condition) if one["what"] == "needs"]
    asked = {one["id"] for one in tests if one["value"] == "failure"}
    if len(asked) != 1 or re.search(r"(?<!!)failure\(\)", job.condition):
        return None
    [name] = asked
    if name not in job.workflow.jobs:
        return None
    asks = job.workflow.jobs[name]
    for deploy in deploys:
        if deploy.id in asks.ancestors and not STATUS.search(asks.condition):
            return deploy.id, name
    return None


def _concurrency(workflow: Workflow, deploying: list[Job]) -> Iterator[tuple[str, dict[str, object], int]]:
    for owner, data in (("", workflow.data), *((job.id, job.data) for job in deploying)):
        given = data.get("concurrency")
        given = {"group": given} if isinstance(given, str) else given
        if isinstance(given, dict):
            where = ("jobs", owner, "concurrency") if owner else ("concurrency",)
            yield owner, given, yaml_lines.line_of(workflow.text, where)


def _several_refs(workflow: Workflow) -> bool:
    """Return whether the events of a workflow can name more than one ref."""
    events = workflow.events
    push = events.get("push") if isinstance(events.get("push"), dict) else {}
    branches = [str(one) for one in (push or {}).get("branches") or []]
    one_branch = len(branches) == 1 and not re.search(r"[*!?]", branches[0]) and "tags" not in (push or {})
    return not (set(events) <= {"push", "schedule", "pull_request"} and ("push" not in events or one_branch))
