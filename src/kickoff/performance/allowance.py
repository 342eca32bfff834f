"""A wanted cost: by how much one release may be slower than live, and why. It is judged, never waived."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kickoff.errors import KickoffError

# Whoever only reads what was given needs none of this.
if TYPE_CHECKING:
    from kickoff.performance.scenarios import ComparisonSettings, Effect

_FORM = re.compile(r"(?=.*[^\W\d_])(?P<reason>[^\x00-\x1f\x7f]*\S)\s+(?P<percent>\d{1,3}(\.\d{1,2})?)\s?%")


@dataclass(frozen=True, slots=True)
class Allowance:
    """A budget for one release.

    Attributes:
        text: Reason and percent, as they were given.
        share: How much slower than live the release may be, as a fraction.
    """

    text: str
    share: float

    def applied(self, settings: ComparisonSettings) -> ComparisonSettings:
        """Return settings with the budget as the limit of both times; no limit becomes stricter by it."""
        return replace(settings, p50=self._widened(settings.p50), p95=self._widened(settings.p95))

    def spent(self, effects: Sequence[float]) -> str:
        """Return the budget beside the largest effect that was measured on typical requests."""
        return f"{self.text}, measured {max(effects):+.1%}" if effects else f"{self.text}, nothing compared"

    def _widened(self, effect: Effect) -> Effect:
        more = max(self.share - effect.margin, 0.0)
        return replace(effect, margin=effect.margin + more, detect=effect.detect + more)


def parse(text: str) -> Allowance | None:
    """Return the budget that a text gives; ``None`` for the empty text.

    Raises:
        KickoffError: It has no reason, or no percentage above 0 and up to 100 at its end (exit 2).
    """
    if not text.strip():
        return None
    found = _FORM.fullmatch(text.strip())
    percent = float(found["percent"]) if found else 0.0
    if not 0 < percent <= 100:
        raise KickoffError(
            "what a release may cost once is a reason and a percentage",
            hint="write --perf-allow-once 'tracing costs 15 %'",
        )
    return Allowance(text.strip(), percent / 100)
