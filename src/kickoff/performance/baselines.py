"""Stored baselines: reviewed JSON files of absolute times, one per environment, scenario and runner class.

A baseline holds several runs of one commit, because one run does not tell how much the next would differ.
That noise between runs decides what a later run may differ by: a run is judged by the prediction interval of
the baseline's runs, and too noisy a baseline is inconclusive instead of a coin toss.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from scipy import stats

from kickoff.errors import KickoffError
from kickoff.evidence import RuleResult, Verdict, write_atomic
from kickoff.performance import power
from kickoff.performance.aggregates import EndpointFigures
from kickoff.performance.metrics import Kind
from kickoff.performance.scenarios import ComparisonSettings

AREA = "perf.baseline"
"""Begins the ids of the rules that compare with a stored baseline."""
MOST_RUNS = 10
LEAST_RUNS = 5
"""With fewer runs the noise between runs is unknown, and so is what a later run may differ by."""

# Two runs that agree by luck would make the next one look certain.
_LEAST_NOISE = 0.01
_ANY = "default"


@dataclass(frozen=True, slots=True)
class Key:
    """The key of a baseline; the environment may be empty."""

    environment: str
    scenario: str
    runner: str

    def path(self, folder: Path) -> Path:
        """Return the baseline's file."""
        return folder / (self.environment or _ANY) / f"{self.scenario}.{self.runner}.json"


@dataclass(frozen=True, slots=True)
class Times:
    """One endpoint in one run; milliseconds."""

    samples: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run: when, how long in seconds, and each endpoint's times."""

    recorded: str
    seconds: float
    endpoints: Mapping[str, Times]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The runs of one commit under one key; ``processor`` names the machine of the last one."""

    key: Key
    commit: str
    processor: str
    runs: tuple[Run, ...]

    def logs(self, endpoint: str, kind: Kind) -> list[float]:
        """Return the logarithms of an endpoint's times, one per run that has it."""
        return [
            math.log(_time(run.endpoints[endpoint], kind)) for run in self.runs if endpoint in run.endpoints
        ]

    def noise(self, endpoint: str, kind: Kind) -> float | None:
        """Return the relative standard deviation between runs; ``None`` with a single run."""
        found = self.logs(endpoint, kind)
        return statistics.stdev(found) if len(found) > 1 else None


def measured(figures: Sequence[EndpointFigures], recorded: str, seconds: float) -> Run:
    """Return a run from its figures; endpoints without a success have no times and are left out."""
    return Run(
        recorded=recorded,
        seconds=round(seconds, 1),
        endpoints={
            entry.name: Times(entry.successes, round(entry.p50_ms, 3), round(entry.p95_ms, 3))
            for entry in figures
            if entry.successes and round(entry.p50_ms, 3) > 0  # its logarithm is what is compared
        },
    )


def add(known: Baseline | None, key: Key, commit: str, processor: str, run: Run) -> Baseline:
    """Return the baseline with a run added: a new commit begins a new baseline.

    Raises:
        KickoffError: The run has no successful request.
    """
    if not run.endpoints:
        raise KickoffError("a run without a successful request is no baseline")
    before = known.runs if known is not None and known.commit == commit else ()
    return Baseline(key, commit, processor, (*before, run)[-MOST_RUNS:])


def judge(baseline: Baseline, run: Run, settings: ComparisonSettings) -> list[RuleResult]:
    """Compare a run with the baseline: one rule per endpoint and percentile.

    An endpoint that only one of the two has is inconclusive: nobody knows whether it got slower.
    """
    names = sorted({*run.endpoints, *(name for entry in baseline.runs for name in entry.endpoints)})
    alpha = settings.false_alarm / (2 * len(names))
    return [
        _judge(baseline, run, (name, kind), settings, alpha)
        for name in names
        for kind in (Kind.P50, Kind.P95)
    ]


def missing(key: Key, shown: str) -> RuleResult:
    """Return the rule of a run whose baseline does not exist."""
    return RuleResult(
        id=f"{AREA}.stored",
        rule=f"{key.scenario}: a baseline is stored",
        verdict=Verdict.INCONCLUSIVE,
        measured="none",
        threshold=f"one for {key.environment or _ANY}, {key.scenario}, {key.runner}",
        samples=0,
        reason=f"{shown} does not exist; measure it with --update-baseline and commit it after review",
    )


def load(key: Key, folder: Path) -> Baseline | None:
    """Read a baseline; ``None`` when there is none.

    Raises:
        KickoffError: The file is not a baseline, belongs to another key, or was changed by hand.
    """
    path = key.path(folder)
    if not path.exists():
        return None
    hint = "restore the file from git, or delete it and measure again with --update-baseline"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise KickoffError(f"the baseline is not JSON: {error}", at=str(path), hint=hint) from None
    problem = next(iter(_validator().iter_errors(document)), None)
    if problem is not None:
        where = problem.json_path
        raise KickoffError(f"the baseline is wrong at {where}: {problem.message}", at=str(path), hint=hint)
    found = Baseline(
        key=Key(document["environment"], document["scenario"], document["runner"]),
        commit=document["commit"],
        processor=document["processor"],
        runs=tuple(
            Run(
                entry["recorded"],
                entry["seconds"],
                {name: Times(**times) for name, times in entry["endpoints"].items()},
            )
            for entry in document["runs"]
        ),
    )
    if found.key != key:
        raise KickoffError(f"the baseline belongs to {found.key}, not to {key}", at=str(path), hint=hint)
    if _summary(found) != document["endpoints"]:
        raise KickoffError("`endpoints` does not follow from `runs`", at=str(path), hint=hint)
    return found


def save(baseline: Baseline, folder: Path) -> Path:
    """Write a baseline for review; returns its file."""
    path = baseline.key.path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "version": 1,
        "environment": baseline.key.environment,
        "scenario": baseline.key.scenario,
        "runner": baseline.key.runner,
        "processor": baseline.processor,
        "commit": baseline.commit,
        "endpoints": _summary(baseline),
        "runs": [
            {
                "recorded": run.recorded,
                "seconds": run.seconds,
                "endpoints": {
                    name: {"samples": times.samples, "p50_ms": times.p50_ms, "p95_ms": times.p95_ms}
                    for name, times in sorted(run.endpoints.items())
                },
            }
            for run in baseline.runs
        ],
    }
    write_atomic(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def _summary(baseline: Baseline) -> dict[str, dict[str, Any]]:
    """Return what a reviewer looks at: typical times, sample counts and noise of each endpoint."""
    found = {}
    for name in sorted({name for run in baseline.runs for name in run.endpoints}):
        noise = {kind: baseline.noise(name, kind) for kind in (Kind.P50, Kind.P95)}
        found[name] = {
            "samples": sum(run.endpoints[name].samples for run in baseline.runs if name in run.endpoints),
            **{
                f"{kind}_ms": round(math.exp(statistics.fmean(baseline.logs(name, kind))), 3)
                for kind in (Kind.P50, Kind.P95)
            },
            **{f"noise_{kind}": None if value is None else round(value, 4) for kind, value in noise.items()},
        }
    return found


def _judge(
    baseline: Baseline, run: Run, what: tuple[str, Kind], settings: ComparisonSettings, alpha: float
) -> RuleResult:
    name, kind = what
    identity = f"{AREA}.{kind}"
    rule = f"{kind} of {name} against the baseline of {baseline.commit}"
    known = baseline.logs(name, kind)
    times = run.endpoints.get(name)
    if times is None or not known:
        reason = "this run has no success of it" if times is None else "the baseline does not have it"
        return RuleResult(identity, rule, Verdict.INCONCLUSIVE, "nothing", "both measured", 0, reason)
    value = _time(times, kind)
    centre = statistics.fmean(known)
    effect = power.effect_of(settings, kind, math.exp(centre))
    change = math.log(value) - centre
    measured_text = f"{math.expm1(change):+.1%} ({math.exp(centre):.2f} → {value:.2f} ms)"
    count = len(known)
    if count < LEAST_RUNS:
        reason = (
            f"the noise between runs is unknown: {count} of {LEAST_RUNS} runs; add --update-baseline runs"
        )
        limit = f"≤ +{effect.margin:.0%}"
        return RuleResult(identity, rule, Verdict.INCONCLUSIVE, measured_text, limit, times.samples, reason)
    spread = max(statistics.stdev(known), _LEAST_NOISE) * math.sqrt(1 + 1 / count)
    certain = float(stats.t.isf(alpha, count - 1)) * spread
    threshold = max(certain, math.log1p(effect.margin))
    detectable = math.expm1(threshold + float(stats.t.isf(1 - settings.power, count - 1)) * spread)
    limit = f"≤ {min(math.expm1(threshold), 10):+.1%}"
    if change > threshold:
        reason = f"beyond what {count} runs of the baseline differ by, and more than {effect.margin:.1%}"
        return RuleResult(identity, rule, Verdict.FAIL, measured_text, limit, times.samples, reason)
    if detectable > effect.detect:
        reason = (
            f"after {count} runs that differ by {statistics.stdev(known):.1%} "
            f"{power.shows(detectable)}; {effect.detect:.1%} must"
        )
        return RuleResult(identity, rule, Verdict.INCONCLUSIVE, measured_text, limit, times.samples, reason)
    return RuleResult(identity, rule, Verdict.PASS, measured_text, limit, times.samples)


def _time(times: Times, kind: Kind) -> float:
    return times.p50_ms if kind is Kind.P50 else times.p95_ms


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(
        json.loads(files("kickoff.performance").joinpath("baselines.schema.json").read_text("utf-8"))
    )
