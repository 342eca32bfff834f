"""GitHub's side of a step: context, outputs, summary, annotations, masks. The only reader of ``GITHUB_*``.

Everything here does nothing outside a workflow, so scripts call it without asking where they run. The
environment is a parameter for tests; ``None`` means the process environment.
"""

import json
import os
import re
import sys
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO, cast

from kickoff import git, masking
from kickoff.errors import KickoffError

AT = "… "
"""Begins a line in which a step says what it is at: `kickoff deploy` shows it until the next one."""
SUMMARY_LIMIT = 1024 * 1024
"""GitHub drops a step's summary of more bytes than this without a word."""

# The runner trims a line before it looks for ``::``, and finds ``##[`` anywhere in it.
_FORGED = re.compile(r"(?:^|[\r\n])\W*::|##\[")
_PRIVATE = {
    "GITHUB_ENV",
    "GITHUB_OUTPUT",
    "GITHUB_PATH",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_RUNTIME_TOKEN",
}
_OF_THE_RUN = (
    "ACT", "CI", "GITHUB_ACTIONS", "GITHUB_ACTOR", "GITHUB_REF", "GITHUB_REPOSITORY", "GITHUB_RUN_ID",
    "GITHUB_SERVER_URL", "GITHUB_SHA", "GITHUB_WORKFLOW_REF",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The pull request that an event is about.

    Attributes:
        number: Its number.
        base: Commit that its branch is to be merged into.
        head: Last commit of its branch.
        fork: Whether that branch is in another repository, whose runs get a token that may only read.
        draft: Whether it is a draft.
    """

    number: int
    base: str
    head: str
    fork: bool
    draft: bool


@dataclass(frozen=True, slots=True)
class Comment:
    """The comment on an issue or a pull request that an event is about.

    Attributes:
        identity: Its number.
        pull_request: Number of the pull request; 0 for an issue.
        author: Login of who wrote it.
        body: Its text, as it was when the event happened.
        created: When it was written, as ISO 8601, by GitHub's clock.
    """

    identity: int
    pull_request: int
    author: str
    body: str
    created: str


@dataclass(frozen=True, slots=True)
class Context:
    """The run that this process belongs to, and its event.

    Attributes:
        active: Inside a workflow, on GitHub or under act.
        act: Under act, on somebody's own machine.
        hosted: On a runner that GitHub owns and throws away after the job.
        event: Name of the event, e.g. ``push``.
        ref: Full ref, e.g. ``refs/heads/main``.
        sha: Commit of the ref.
        repository: ``owner/name``.
        actor: Who started the run.
        job: Id of the job.
        workflow: File name of the workflow that GitHub runs, the calling one of a reusable workflow.
        run_url: Address of the run, empty outside GitHub.
        default_branch: Name of the repository's default branch.
        inputs: Inputs of a ``workflow_dispatch``.
        before: Commit that the branch was at before a push; empty when the event does not say.
        pull_request: The pull request of the event; ``None`` for any other event.
        comment: The comment of the event; ``None`` for any other event.
    """

    active: bool
    act: bool
    hosted: bool
    event: str
    ref: str
    sha: str
    repository: str
    actor: str
    job: str
    workflow: str
    run_url: str
    default_branch: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    pull_request: PullRequest | None = None
    comment: Comment | None = None


def context(environ: Mapping[str, str] | None = None) -> Context:
    """Return the context of this process; outside a workflow all its text is empty.

    Raises:
        KickoffError: The event file is not JSON.
    """
    env = _environ(environ)
    act = env.get("ACT") == "true"
    payload = _payload(env)
    repository = env.get("GITHUB_REPOSITORY", "")
    server, run = env.get("GITHUB_SERVER_URL", ""), env.get("GITHUB_RUN_ID", "")
    inputs = payload.get("inputs") or {}
    return Context(
        active=env.get("GITHUB_ACTIONS") == "true",
        act=act,
        hosted=env.get("RUNNER_ENVIRONMENT") == "github-hosted" and not act,
        event=env.get("GITHUB_EVENT_NAME", ""),
        ref=env.get("GITHUB_REF", ""),
        sha=env.get("GITHUB_SHA", ""),
        repository=repository,
        actor=env.get("GITHUB_ACTOR", ""),
        job=env.get("GITHUB_JOB", ""),
        workflow=env.get("GITHUB_WORKFLOW_REF", "").partition("@")[0].rpartition("/")[2] or "cd.yml",
        run_url=f"{server}/{repository}/actions/runs/{run}" if server and run and not act else "",
        default_branch=str((payload.get("repository") or {}).get("default_branch") or "main"),
        inputs={str(key): str(value) for key, value in inputs.items() if value is not None},
        before=str(payload.get("before") or ""),
        pull_request=_pull_request(payload),
        comment=_comment(payload),
    )


def repository() -> str:
    """Return ``owner/name`` of the repository that this run belongs to.

    Raises:
        KickoffError: This is no workflow (exit code 2).
    """
    found = context().repository
    if not found:
        raise KickoffError("GITHUB_REPOSITORY is not set", hint="run this in a workflow")
    return found


def set_output(name: str, value: object, *, environ: Mapping[str, str] | None = None) -> None:
    """Set a step output. Booleans become ``true``/``false``, collections JSON; underscores become hyphens.

    The delimiter is random, so no value can end itself early and add outputs of its own.
    """
    path = _environ(environ).get("GITHUB_OUTPUT")
    if not path:
        return
    text = masking.text(_text(value))
    delimiter = f"end-{uuid.uuid4()}"
    with Path(path).open("a", encoding="utf-8") as stream:
        stream.write(f"{name.replace('_', '-')}<<{delimiter}\n{text}\n{delimiter}\n")


def capturing(environ: Mapping[str, str], path: Path) -> dict[str, str]:
    """Return an environment in which a process sets its step outputs in a file of the caller's."""
    path.touch()
    return {**environ, "GITHUB_OUTPUT": str(path)}


def outputs(path: Path) -> dict[str, str]:
    """Return the step outputs in such a file by name; of one that was set twice the last value counts."""
    found = {}
    lines = iter(path.read_text(encoding="utf-8").split("\n"))
    for line in lines:
        name, _, delimiter = line.partition("<<")
        if delimiter:
            found[name] = "\n".join(iter(lambda: next(lines), delimiter))
    return found


def append_outputs(written: bytes, *, environ: Mapping[str, str] | None = None) -> None:
    """Append step outputs as :func:`set_output` wrote them on another machine."""
    path = _environ(environ).get("GITHUB_OUTPUT")
    if path:
        with Path(path).open("ab") as stream:
            stream.write(written)


def append_summary(markdown: str, *, environ: Mapping[str, str] | None = None) -> None:
    """Append Markdown to the job summary, cut with a note where GitHub would drop the whole of it."""
    path = _environ(environ).get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    target = Path(path)
    note = b"\n\n_Cut here: the summary has reached GitHub's limit._\n"
    used = target.stat().st_size if target.exists() else 0
    data = masking.text(markdown).encode() + b"\n"
    room = SUMMARY_LIMIT - used
    if len(data) > room:
        kept = data[: max(0, room - len(note))].decode(errors="ignore").encode()
        data = kept + note if room >= len(note) else b""
    with target.open("ab") as stream:
        stream.write(data)


def annotate(
    level: Literal["error", "warning", "notice"],
    message: str,
    file: str = "",
    line: int = 0,
    *,
    title: str = "",
    environ: Mapping[str, str] | None = None,
    out: TextIO | None = None,
) -> None:
    """Put a message beside the code or on the run's page. GitHub keeps ten of each level per step."""
    if not _active(environ):
        return
    places = {"file": file, "line": str(line) if file and line else "", "title": title}
    properties = ",".join(f"{key}={_property(value)}" for key, value in places.items() if value)
    head = f"{level} {properties}" if properties else level
    _command(masking.text(head), masking.text(message), out)


def mask(value: str, *, environ: Mapping[str, str] | None = None, out: TextIO | None = None) -> None:
    """Hide a value from the log from now on; each line of it by itself, as the log is masked by line."""
    if not _active(environ):
        return
    for line in value.splitlines():
        if line.strip():
            _command("add-mask", line, out)


@contextmanager
def group(
    title: str, *, environ: Mapping[str, str] | None = None, out: TextIO | None = None
) -> Iterator[None]:
    """Fold what is printed inside."""
    if not _active(environ):
        yield
        return
    _command("group", masking.text(title), out)
    try:
        yield
    finally:
        _command("endgroup", "", out)


@contextmanager
def printing(environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Let nothing printed inside hold a secret or, in a workflow, a command that is not this module's.

    What a service, a test or git says is not ours: a line such as ``::add-mask::e`` in a log stays text.
    """
    kind = _Foreign if _active(environ) else masking.Stream
    out, err = kind(masking.unmasked(sys.stdout)), kind(masking.unmasked(sys.stderr))
    with redirect_stdout(cast("TextIO", out)), redirect_stderr(cast("TextIO", err)):
        try:
            yield
        finally:
            with suppress(BrokenPipeError):  # nobody reads any more
                out.finish()
                err.finish()


def show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show a defect as the interpreter would, but as :func:`printing` does; for ``sys.excepthook``."""
    with printing():
        traceback.print_exception(kind, error, trace)


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a tool that must neither set outputs nor speak for the workflow.

    What a git hook says of its repository is left out, too: it would be taken for the tool's.
    """
    return {key: value for key, value in git.environment(environ).items() if key not in _PRIVATE}


def run_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that say which run this is, for a part of its step on another machine."""
    env = _environ(environ)
    return {key: env[key] for key in _OF_THE_RUN if env.get(key)}


class _Foreign(masking.Stream):
    """A stream whose lines the runner takes as text.

    Whole lines are written, with the stop and the resume of commands around those that look like one: in the
    same stream, because the runner reads standard output and standard error independently of each other.
    """

    def __init__(self, plain: TextIO) -> None:
        super().__init__(plain)
        self._begun = ""

    def write(self, text: str) -> int:
        lines, end, self._begun = f"{self._begun}{text}".rpartition("\n")
        if end:
            self._pass(f"{lines}\n")
        return len(text)

    def finish(self) -> None:
        if self._begun:
            self.write("\n")

    def _pass(self, lines: str) -> None:
        lines = masking.text(lines)
        if _FORGED.search(lines):
            token = uuid.uuid4()
            lines = f"::stop-commands::{token}\n{lines}::{token}::\n"
        self.plain.write(lines)
        self.plain.flush()


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _active(environ: Mapping[str, str] | None) -> bool:
    return _environ(environ).get("GITHUB_ACTIONS") == "true"


def _payload(environ: Mapping[str, str]) -> dict[str, Any]:
    path = environ.get("GITHUB_EVENT_PATH")
    if not path or not Path(path).is_file():
        return {}
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise KickoffError(f"the event is not JSON: {error}", at=path) from None
    return document if isinstance(document, dict) else {}


def _pull_request(payload: Mapping[str, Any]) -> PullRequest | None:
    found = payload.get("pull_request")
    if not isinstance(found, dict):
        return None
    base, head = found.get("base") or {}, found.get("head") or {}
    # The repository of a fork may be gone.
    ours, theirs = ((one.get("repo") or {}).get("full_name") for one in (base, head))
    return PullRequest(
        number=int(found.get("number") or 0),
        base=str(base.get("sha") or ""),
        head=str(head.get("sha") or ""),
        fork=ours != theirs,
        draft=bool(found.get("draft")),
    )


def _comment(payload: Mapping[str, Any]) -> Comment | None:
    found, issue = payload.get("comment"), payload.get("issue")
    if not isinstance(found, dict) or not isinstance(issue, dict):
        return None
    number = int(issue["number"]) if issue.get("pull_request") else 0
    author = str((found.get("user") or {}).get("login") or "")
    return Comment(int(found["id"]), number, author, str(found.get("body") or ""), str(found["created_at"]))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | dict):
        return json.dumps(value)
    return "" if value is None else str(value)


def _command(head: str, message: str, out: TextIO | None) -> None:
    stream = masking.unmasked(out or sys.stdout)
    stream.write(f"::{head}::{_data(message)}\n")
    stream.flush()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
