"""The facts of each stage: what its evidence may hold beside its rules, with types.

A key is written by the stage and read by the report, the proof or the next command; a test holds both. A key
with :class:`Shown` appears in the report without further code; one with :class:`Identity` among what tells
exactly what was shipped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NotRequired, TypedDict, TypeVar, cast, get_type_hints

from kickoff.evidence.stages import CHECK


@dataclass(frozen=True, slots=True)
class Shown:
    """Marks a fact that the report lists.

    Attributes:
        label: What people read before it.
        unit: ``s`` for lengths of time, ``time`` for moments in ISO 8601.
        key: For a list of objects, the key whose values are listed.
    """

    label: str
    unit: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Marks a fact that identifies what was shipped; the report lists it under ``label``."""

    label: str


class Serving(TypedDict):
    """The release that is recorded as live, and what answered when it was asked.

    While a candidate has all traffic it is the candidate; ``share`` is the percentage left while it has some.
    """

    release: str
    colour: str
    answers: str
    share: NotRequired[int]


class LiveDown(TypedDict):
    """A live release that was down when the release was made."""

    release: str
    since: str
    reason: str
    started_again: bool


class Promoted(TypedDict):
    """A promotion of the past: its attempt, its end and its verdict."""

    attempt: str
    at: str
    verdict: str


class ReleaseFacts(TypedDict):
    """The four facts that make a release what it is."""

    artifact: Annotated[str, Identity("artifact digest")]
    environment: Annotated[str, Identity("environment hash")]
    stack: Annotated[str, Identity("stack hash")]
    schema: Annotated[str, Identity("schema revision")]


class RuleChange(TypedDict):
    """A rule that is not what it was for the release before; ``weaker``, ``stricter`` or ``other``."""

    rule: str
    old: str
    new: str
    change: str


class JudgedBy(TypedDict, total=False):
    """The rules a release is judged by, and what differs from those of the release ``before``.

    ``rules`` with the ``version`` of their record are left out where an older version kept none;
    ``recorded`` says whether those of the release before are known.
    """

    version: int
    rules: dict[str, str]
    before: str
    recorded: bool
    changes: list[RuleChange]


class Refusal(TypedDict, total=False):
    """The way a phase ended that did not do what it was asked for."""

    exit_code: int
    hint: str
    taken_by: Annotated[str, Shown("taken over by")]
    taken_at: Annotated[str, Shown("taken over at", unit="time")]


class Phase(Refusal, total=False):
    """Facts of every phase of the release engine."""

    serving: Serving
    address: str
    outcome: str
    previous: str
    live_down: LiveDown


class Staged(Phase, total=False):
    """Facts of ``stage``."""

    changed: bool
    candidate_url: str
    live_release: str
    facts: ReleaseFacts
    promoted: Promoted
    judged_by: JudgedBy
    sent: Annotated[str, Shown("image sent")]
    sent_bytes: Annotated[int, Shown("bytes sent")]


class PromotedNow(Phase, total=False):
    """Facts of ``promote``."""

    strategy: Annotated[str, Shown("strategy")]
    drain_seconds: Annotated[float, Shown("old release drained in", unit="s")]


class RolledBack(Phase, total=False):
    """Facts of ``rollback``."""

    reason: str


class Platform(TypedDict):
    """One platform of an image, and what is attached to it."""

    platform: str
    digest: str
    bytes: int
    provenance: str
    sbom: str
    packages: int | None


class Built(Refusal, total=False):
    """Facts of ``build``."""

    kind: Annotated[str, Shown("artefact")]
    commit: str
    digest: Annotated[str, Identity("digest")]
    revision: Annotated[str, Identity("revision")]
    repository: Annotated[str, Shown("registry")]
    transport: Annotated[str, Shown("goes to the host by")]
    tag: Annotated[str, Shown("tag")]
    bytes: Annotated[int, Shown("bytes")]
    created: Annotated[bool, Shown("made by this step")]
    built: Annotated[list[str], Shown("built for")]
    platforms: Annotated[list[Platform], Shown("platforms", key="platform")]
    uncommitted: Annotated[list[str], Shown("not part of the commit")]


class Proved(Refusal, total=False):
    """Facts of ``promotion``."""

    proved: Annotated[str, Shown("proved")]
    proved_digest: Annotated[str, Identity("proved digest")]
    proved_by: Annotated[str, Shown("proved by")]
    unproven_reason: Annotated[str, Shown("unproven because")]


class Reused(TypedDict):
    """The pass of a command in an earlier run; ``key`` is the hash of all that it depends on."""

    name: str
    key: str
    run: str
    link: str
    at: str
    commit: str
    text: str


class Gated(Refusal, total=False):
    """Facts of ``quality-gate``."""

    reused: Annotated[list[Reused], Shown("passed before", key="text")]


class Difference(TypedDict):
    """A finding about an environment file."""

    file: str
    line: int
    column: int
    rule: str
    key: str
    message: str
    fix: str


class Compared(Refusal, total=False):
    """Facts of ``validate`` and ``drift``."""

    findings: list[Difference]
    doubts: list[str]


class Endpoint(TypedDict, total=False):
    """Figures of one endpoint of one side; times in milliseconds, ``None`` where nothing succeeded."""

    name: str
    arm: str
    scenario: str
    requests: int
    failures: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float | None
    max_ms: float | None


class ComparedMetric(TypedDict, total=False):
    """One compared figure, see :class:`kickoff.performance.comparison.Metric`."""

    scenario: str
    endpoint: str
    kind: str
    pairs: int
    live: float | None
    candidate: float | None
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    detectable: float | None
    verdict: str
    reason: str
    finding: str


class Scenario(TypedDict, total=False):
    """One scenario that ran."""

    name: str
    verdict: str
    users: int
    seconds: float
    requests: int
    failures: int
    partial: bool
    max_response_ms: float


class RequestError(TypedDict):
    """One kind of failed request."""

    endpoint: str
    arm: str
    error: str
    count: int


class Generator(TypedDict, total=False):
    """The load generator itself."""

    processes: int
    cpu: float
    lag_p95_ms: float
    requests_per_core: int
    saturated: str
    near_ceiling: str


class Side(TypedDict, total=False):
    """Processor and memory that one side of the service used."""

    arm: str
    cpu_mean: float
    cpu_max: float
    memory_max_mb: float
    memory_growth_mb: float
    answers_mb: float
    seconds: int


class Resources(TypedDict):
    """Processor and memory of the service; ``unmeasured`` says why a side is missing."""

    sides: list[Side]
    unmeasured: str


Machine = TypedDict(
    "Machine", {"class": str, "processor": str, "load": float, "processors": int}, total=False
)
"""The machine that sent the load, with its load average when that ended."""


class Measured(Refusal, total=False):
    """Facts of ``perf-baseline``."""

    endpoints: list[Endpoint]
    endpoints_live: list[Endpoint]
    overall: list[Endpoint]
    scenarios: list[Scenario]
    comparison: list[ComparedMetric]
    errors: list[RequestError]
    generator: Generator
    resources: Resources
    allowed_once: Annotated[str, Shown("allowed once")]
    slow_requests: list[dict[str, Any]]
    live_down: LiveDown
    runner: Machine
    samples_file: str


class Tested(Refusal, total=False):
    """Facts of checks that say everything by their rules, unless they could not be made."""


_BY_STAGE: dict[str, type] = {
    "validate": Compared,
    "drift": Compared,
    "promotion": Proved,
    "quality-gate": Gated,
    "build": Built,
    "same-artefact": Refusal,
    "stage": Staged,
    "perf-baseline": Measured,
    "promote": PromotedNow,
    "rollback": RolledBack,
    "watch": Phase,
    "abort": Phase,
    "start": Phase,
    "resume": Phase,
}

T = TypeVar("T")


def of(stage: str) -> type:
    """Return the type of the facts of a stage."""
    return Tested if stage.startswith(CHECK) else _BY_STAGE.get(stage, Tested)


def read(facts: Mapping[str, Any], kind: type[T]) -> T:  # noqa: ARG001 - it types the answer
    """Return facts as what the schema says they are."""
    return cast("T", facts)


@cache
def _marked(kind: type) -> dict[str, tuple[Any, ...]]:
    hints = get_type_hints(kind, include_extras=True)
    return {key: getattr(hint, "__metadata__", ()) for key, hint in hints.items()}


def shown(stage: str, facts: Mapping[str, Any]) -> Iterable[tuple[Shown, Any]]:
    """Yield the facts that the report lists, with their marks."""
    for key, marks in _marked(of(stage)).items():
        for mark in marks:
            if isinstance(mark, Shown) and facts.get(key) not in (None, "", [], {}):
                yield mark, facts[key]


def identities(stage: str, facts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield what identifies what was shipped: label and value."""
    for kind, found in ((of(stage), facts), (ReleaseFacts, facts.get("facts") or {})):
        for key, marks in _marked(kind).items():
            for mark in marks:
                if isinstance(mark, Identity) and found.get(key):
                    yield mark.label, found[key]
