"""Exact tests on counts, summed in logarithms; without scipy, which the deploy path does not load."""

import math


def binomial_tail(bad: int, total: int, share: float) -> float:
    """Return ``P(X >= bad)`` for ``X ~ Binomial(total, share)``, summed in logarithms."""
    if bad <= 0:
        return 1.0
    if share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    log_p, log_q = math.log(share), math.log1p(-share)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(total, k) + k * log_p + (total - k) * log_q) for k in range(bad, total + 1)
        ),
    )


def fisher_greater(bad: int, total: int, other_bad: int, other_total: int) -> float:
    """Return Fisher's one-sided p-value that the first share is larger than the second by chance."""
    marked, population = bad + other_bad, total + other_total
    if marked == 0:
        return 1.0
    whole = _log_choose(population, total)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(marked, k) + _log_choose(population - marked, total - k) - whole)
            for k in range(bad, min(marked, total) + 1)
        ),
    )


def placement_tail(slow: int, total: int, rank: int, other_total: int) -> float:
    """Return the chance of ``slow`` or more of ``total`` beyond the other side's ``rank``-th smallest value.

    When both sides are alike, that count is beta-binomial. A plain binomial would take the other side's
    quantile for exact and so refuse healthy candidates whenever that side saw few requests.
    """
    if slow <= 0:
        return 1.0
    above = other_total - rank + 1
    base = _log_beta(above, rank)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(total, k) + _log_beta(k + above, total - k + rank) - base)
            for k in range(slow, total + 1)
        ),
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
