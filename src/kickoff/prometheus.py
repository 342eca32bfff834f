"""Samples of Prometheus text, by their exact name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache


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
    for line in text.splitlines():
        if line.startswith(names):
            end = line.rfind("}") + 1 or len(line.split(maxsplit=1)[0])
            name, labels = _named(line[:end])
            value, *_ = line[end:].split()
            if name in names:
                yield Sample(name, labels, float(value))


# The parser takes 30 microseconds for a line, and all before its value is the same at the next look and at
# the next proxy: with 50 of them a look took longer than the second until the next one.
@lru_cache(1 << 13)
def _named(head: str) -> tuple[str, Mapping[str, str]]:
    """Return name and labels of a line without its value."""
    # Loaded only where it is needed: it takes longer to import than most commands take.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    [family] = text_string_to_metric_families(f"{head} 0\n")
    [sample] = family.samples
    return sample.name, sample.labels
