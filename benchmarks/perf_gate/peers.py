"""The rules that others gate with, on the times before and after. Each returns whether it cries out.

Each rule sees every endpoint and cries out when one of them does, as these tools do: none corrects for the
number of endpoints.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kickoff.performance.metrics import Floats

_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Side:
    """What one side measured of one endpoint: the times of its successes in ms, and its failures."""

    ms: Floats
    failures: int


Before = Mapping[str, Side]
Rule = Callable[[Side, Side], bool]


def mean_ratio(limit: float) -> Rule:
    """Return the rule that the mean grew by more than this factor."""
    return lambda before, after: float(after.ms.mean()) > limit * float(before.ms.mean())


def fixed_limit(before: Side, after: Side) -> bool:
    """Judge the new side alone: p95 under 200 ms and under 1 % failures, as in k6's own example."""
    del before
    share = after.failures / max(after.failures + after.ms.size, 1)
    return float(np.percentile(after.ms, 95)) >= 200 or share >= 0.01


def t_test(before: Side, after: Side) -> bool:
    """Welch's t-test of the means, two-sided at 5 %, when the new mean is higher."""
    worse = after.ms.mean() > before.ms.mean()
    return bool(worse and stats.ttest_ind(after.ms, before.ms, equal_var=False).pvalue < _LEVEL)


def mann_whitney(before: Side, after: Side) -> bool:
    """Mann-Whitney's U, two-sided at 5 %, when the new median is higher."""
    worse = np.median(after.ms) > np.median(before.ms)
    return bool(worse and stats.mannwhitneyu(after.ms, before.ms).pvalue < _LEVEL)


RULES: Mapping[str, Rule] = {
    "mean > 200 %": mean_ratio(2.0),
    "mean > 110 %": mean_ratio(1.1),
    "p95 < 200 ms, errors < 1 %": fixed_limit,
    "t-test": t_test,
    "Mann-Whitney": mann_whitney,
}


def alarms(before: Before, after: Before) -> dict[str, bool]:
    """Return which rules cry out over at least one endpoint that both sides have times of."""
    both: Sequence[str] = [name for name in before if name in after and _enough(before[name], after[name])]
    return {rule: any(judge(before[name], after[name]) for name in both) for rule, judge in RULES.items()}


def _enough(before: Side, after: Side) -> bool:
    return min(before.ms.size, after.ms.size) > 1
