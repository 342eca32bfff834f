"""Evidence: the one JSON document each stage leaves behind, and the verdicts in it.

A report is a pure function of these documents, so they hold inputs, thresholds, samples and timings,
and never a secret.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator

from kickoff import masking
from kickoff.errors import ExitCode, KickoffError


class Verdict(StrEnum):
    """The outcome of a rule or of a stage. Only ``PASS`` lets a release go on."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code a check with this verdict ends with."""
        return {
            Verdict.PASS: ExitCode.PASS,
            Verdict.FAIL: ExitCode.REJECTED,
            Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
            Verdict.NOT_APPLICABLE: ExitCode.PASS,
        }[self]


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Fold rule verdicts into one: any failure fails, any doubt is doubt, nothing at all is doubt.

    Rules that do not apply are left out; when none applies, the result is ``INCONCLUSIVE``.
    """
    found = set(verdicts) - {Verdict.NOT_APPLICABLE}
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS):
        if verdict in found:
            return verdict
    return Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One gate: its rule, the measured value beside the threshold, and how many samples stand behind it.

    Attributes:
        rule: What was checked, e.g. ``p95 of POST /orders``.
        verdict: The outcome.
        measured: The value found, with its unit, as people read it (``241 ms``).
        threshold: The limit, with its unit.
        samples: Number of observations behind ``measured``; 0 when nothing was measured.
        reason: One sentence; required unless the rule passed.
    """

    rule: str
    verdict: Verdict
    measured: str
    threshold: str
    samples: int
    reason: str = ""


@dataclass(slots=True)
class Evidence:
    """What one stage did.

    Attributes:
        stage: Stage name, also the file's name: ``validate``, ``quality-gate``, ``build``, ``stage``,
            ``smoke-candidate``, ``perf-baseline``, ``promote``, ``smoke-live``, ``watch``, ``abort``,
            ``rollback``, ``start``.
        environment: Environment name, or empty for stages that belong to none.
        verdict: The stage's outcome.
        summary: The outcome in one sentence.
        started: Begin, ISO 8601 UTC.
        finished: End, ISO 8601 UTC.
        service: Name of the service.
        release: Release id, where one is known.
        attempt: Attempt id, where one is known.
        inputs: What the stage was given (names and values, never secrets).
        rules: The gates that were evaluated.
        timeline: Events ``{"at": ISO 8601, "event": text, ...}`` in order.
        series: Named lists of points for charts; every point is a mapping of numbers or text.
        facts: What the stage learned (addresses, digests, colours, serving release).
        log_tail: Last lines of the log that explains a failure.
    """

    stage: str
    environment: str
    verdict: Verdict
    summary: str
    started: str
    finished: str = ""
    service: str = ""
    release: str = ""
    attempt: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    rules: list[RuleResult] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    series: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    log_tail: list[str] = field(default_factory=list)

    def write(self, directory: Path) -> Path:
        """Mask, validate and atomically write the document to ``<directory>/<stage>[.<environment>].json``.

        Raises:
            KickoffError: The document breaks the schema (a defect in the stage).
        """
        if not self.finished:
            self.finished = now()
        self._mask()
        document = asdict(self) | {"version": 1}
        _check(document, self.stage)
        name = f"{self.stage}.{self.environment}.json" if self.environment else f"{self.stage}.json"
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / name
        write_atomic(target, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return target

    def _mask(self) -> None:
        """Mask what may quote others; what names the stage, its release and its times is ours."""
        self.summary = masking.text(self.summary)
        self.inputs = masking.record(self.inputs)
        self.rules = [
            replace(
                rule,
                rule=masking.text(rule.rule),
                measured=masking.text(rule.measured),
                threshold=masking.text(rule.threshold),
                reason=masking.text(rule.reason),
            )
            for rule in self.rules
        ]
        self.timeline = [{**masking.record(event), "at": event["at"]} for event in self.timeline]
        self.series = masking.record(self.series)
        self.facts = masking.record(self.facts)
        self.log_tail = masking.record(self.log_tail)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], source: str) -> Self:
        """Rebuild evidence from parsed JSON.

        Raises:
            KickoffError: The document breaks the schema.
        """
        _check(document, source)
        values = {key: value for key, value in document.items() if key != "version"}
        values["verdict"] = Verdict(values["verdict"])
        values["rules"] = [
            RuleResult(**{**rule, "verdict": Verdict(rule["verdict"])}) for rule in values["rules"]
        ]
        return cls(**values)


def promoted_before(stage: Evidence | None) -> dict[str, str] | None:
    """Return the promotion that made what was staged live already, or ``None``.

    Such a stage says that nothing changes, and names an attempt of the history whose bake passed. A release
    that is live without one was never judged.
    """
    if stage is None or stage.facts.get("changed") is not False:
        return None
    return judged(stage.facts.get("promoted"))


def judged(promoted: object) -> dict[str, str] | None:
    """Return attempt, end and verdict of a promotion that passed; ``None`` for anything else."""
    if not isinstance(promoted, Mapping) or promoted.get("verdict") != Verdict.PASS:
        return None
    found = {key: promoted.get(key) for key in ("attempt", "at", "verdict")}
    texts = {key: str(text) for key, text in found.items() if isinstance(text, str) and text}
    return texts if texts.keys() == found.keys() else None


def read(directory: Path) -> list[Evidence]:
    """Read every evidence document below ``directory``, oldest stage first.

    Raises:
        KickoffError: A document is not valid JSON or breaks the schema.
    """
    found = []
    for path in sorted(directory.rglob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise KickoffError(f"evidence is not JSON: {error}", at=str(path)) from error
        if not isinstance(document, dict) or "stage" not in document or "version" not in document:
            continue  # raw samples and other attachments live in the same folder
        found.append(Evidence.from_document(document, str(path)))
    return sorted(found, key=lambda evidence: evidence.started)


def now() -> str:
    """Return the current time as ISO 8601 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_atomic(target: Path, text: str, mode: int = 0o644) -> None:
    """Write ``text`` so that a reader sees the old file or the new one, and a crash loses neither."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(
        json.loads(files("kickoff").joinpath("evidence.schema.json").read_text("utf-8"))
    )


def _check(document: Mapping[str, Any], source: str) -> None:
    error = next(iter(_validator().iter_errors(document)), None)
    if error is not None:
        raise KickoffError(f"evidence breaks the schema at {error.json_path}: {error.message}", at=source)
