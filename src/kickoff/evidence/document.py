"""The one JSON document that each stage leaves behind.

A report is a pure function of these documents, so they hold inputs, thresholds, samples and timings,
and never a secret.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, get_type_hints

from kickoff import masking
from kickoff.errors import KickoffError
from kickoff.evidence import fields
from kickoff.evidence.files import now, write_atomic
from kickoff.evidence.rules import RuleResult
from kickoff.evidence.schema import validator
from kickoff.evidence.verdicts import Verdict

VERSION = 2
"""Version of the documents that are written; older ones are migrated when they are read."""


@dataclass(slots=True)
class Evidence:
    """The record of one stage.

    Attributes:
        stage: Name of the stage in :mod:`kickoff.evidence.stages`, also the file's name.
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
        facts: What the stage learned, as :mod:`kickoff.evidence.fields` describes it.
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
        document = asdict(self) | {"version": VERSION}
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
        document = _migrated(document)
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


def _migrated(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document of an older version in the present form.

    Version 1 had rules without ids, and facts that no type described.
    """
    if document.get("version") != 1:
        return document
    stage = str(document.get("stage"))
    rules = [{"id": f"{stage}.unnamed", **rule} for rule in document.get("rules", [])]
    known = get_type_hints(fields.of(stage))
    facts = {key: value for key, value in document.get("facts", {}).items() if key in known}
    return {**document, "version": VERSION, "rules": rules, "facts": facts}


def _check(document: Mapping[str, Any], source: str) -> None:
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - loaded where something is checked

    error = best_match(validator().iter_errors(document))
    if error is not None:
        raise KickoffError(f"evidence breaks the schema at {error.json_path}: {error.message}", at=source)
