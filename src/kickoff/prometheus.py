"""Samples of Prometheus text, by their exact name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a name, its labels and its value."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str, *names: str) -> Iterator[Sample]:
    """Yield the samples with one of these names.

    Raises:
        ValueError: A line of theirs is not Prometheus text.
    """
    # Loaded only where it is needed: it takes longer to import than most commands take.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    # The parser takes a tenth of a millisecond for a line, beside a probe that measures milliseconds.
    ours = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(names))
    for family in text_string_to_metric_families(ours):
        for sample in family.samples:
            if sample.name in names:
                yield Sample(sample.name, sample.labels, sample.value)
