"""The vocabulary of a comparison: pairs of requests, and the figures computed from them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats

from kickoff.evidence import Verdict
from kickoff.performance.samples import CANDIDATE, LIVE, Sample

Floats = npt.NDArray[np.float64]
ALL = "all endpoints"


class Kind(StrEnum):
    """Kinds of metrics."""

    P50 = "p50"
    P95 = "p95"
    ERRORS = "errors"
    TAIL = "tail"


QUANTILE = {Kind.P50: 0.5, Kind.P95: 0.95}


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of one endpoint in order of time, as arrays of equal length; times in milliseconds."""

    endpoint: str
    live_ms: Floats
    candidate_ms: Floats
    live_ok: npt.NDArray[np.bool_]
    candidate_ok: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of pairs."""
        return int(self.live_ms.size)

    def timed(self) -> tuple[Floats, Floats]:
        """Return the times (live, candidate) of the pairs in which both sides succeeded."""
        both = self.live_ok & self.candidate_ok
        return self.live_ms[both], self.candidate_ms[both]


@dataclass(frozen=True, slots=True)
class Metric:
    """One compared figure.

    Attributes:
        endpoint: What it belongs to; ``all endpoints`` for errors and the tail.
        kind: What it measures.
        pairs: Number of pairs behind it.
        live: The value of the live release: milliseconds, or a share.
        candidate: The value of the candidate.
        effect: The relative change of a time, or the difference of two shares (0.1 = 10 % or 10 points).
        low: Lower end of the two-sided 95 % confidence interval of ``effect``.
        high: Upper end.
        p_value: One-sided: the candidate is worse.
        detectable: The smallest effect that this number of pairs would have shown, at the planned power.
        verdict: The outcome.
        reason: Why; may be empty when it passed.
        finding: What was shown, where a pass alone would promise more, as in :class:`RuleResult`.
    """

    endpoint: str
    kind: Kind
    pairs: int
    live: float
    candidate: float
    effect: float
    low: float
    high: float
    p_value: float
    detectable: float
    verdict: Verdict
    reason: str = ""
    finding: str = ""

    @property
    def relative(self) -> bool:
        """True when ``effect`` is relative (times) or a difference (shares)."""
        return self.kind in QUANTILE


@dataclass(frozen=True, slots=True)
class Raw:
    """A metric before the correction for their number."""

    endpoint: str
    kind: Kind
    pairs: int
    live: float
    candidate: float
    estimate: float  # log ratio, or difference
    low: float
    high: float
    spread: float  # standard error of a log ratio; for shares the share of pairs that differ
    p_value: float
    freedom: float = math.inf  # degrees of freedom of `spread`
    clustered: float = 0.0  # standard error of a difference of shares, from blocks
    broken: str = ""  # why live is no yardstick

    @property
    def better(self) -> bool:
        """True when the whole interval says that the candidate is better."""
        blocks = self.estimate + float(stats.t.isf(0.025, self.freedom)) * self.clustered
        return max(self.high, blocks) < 0


def pair_up(samples: Iterable[Sample]) -> list[Pairs]:
    """Join samples to pairs, by endpoint. Requests whose other half is missing are left out."""
    halves: dict[tuple[str, str], dict[str, Sample]] = defaultdict(dict)
    for sample in samples:
        if sample.pair:
            halves[sample.endpoint, sample.pair][sample.arm] = sample
    complete: dict[str, list[tuple[Sample, Sample]]] = defaultdict(list)
    for (endpoint, _), found in halves.items():
        if LIVE in found and CANDIDATE in found:
            complete[endpoint].append((found[LIVE], found[CANDIDATE]))
    result = []
    for endpoint, pairs in sorted(complete.items()):
        pairs.sort(key=lambda pair: pair[0].time)
        result.append(
            Pairs(
                endpoint=endpoint,
                live_ms=np.array([live.ms for live, _ in pairs]),
                candidate_ms=np.array([candidate.ms for _, candidate in pairs]),
                live_ok=np.array([live.ok for live, _ in pairs]),
                candidate_ok=np.array([candidate.ok for _, candidate in pairs]),
            )
        )
    return result


def join(first: Sequence[Pairs], second: Sequence[Pairs]) -> list[Pairs]:
    """Return the pairs of two runs together, those of ``second`` after those of ``first``."""
    found = {entry.endpoint: entry for entry in first}
    for entry in second:
        before = found.get(entry.endpoint)
        found[entry.endpoint] = (
            entry
            if before is None
            else Pairs(
                endpoint=entry.endpoint,
                live_ms=np.concatenate([before.live_ms, entry.live_ms]),
                candidate_ms=np.concatenate([before.candidate_ms, entry.candidate_ms]),
                live_ok=np.concatenate([before.live_ok, entry.live_ok]),
                candidate_ok=np.concatenate([before.candidate_ok, entry.candidate_ok]),
            )
        )
    return [found[endpoint] for endpoint in sorted(found)]
