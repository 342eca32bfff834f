"""Raw samples: one row per request, kept as gzip CSV so that every figure can be computed again."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("time", "endpoint", "arm", "ms", "ok", "error", "release", "pair", "slot", "size")
CANDIDATE = "candidate"
LIVE = "live"
FEWEST = 20
"""Requests below which there are no percentiles worth the name; the slowest request stands in."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request.

    Attributes:
        time: When it was sent, in seconds since the epoch.
        endpoint: Method and name, e.g. ``POST /orders``.
        arm: ``candidate`` or ``live``: the side that was asked.
        ms: Time until the whole answer was there, in milliseconds.
        ok: Whether the answer was right: status, body and release.
        error: What was wrong; empty when ``ok``.
        release: The release that the answer named; empty when none did.
        pair: Joins the two requests of a pair; empty outside a comparison.
        slot: 0 for the first of a pair, 1 for the second.
        size: Bytes of the answer's body.
    """

    time: float
    endpoint: str
    arm: str
    ms: float
    ok: bool
    error: str = ""
    release: str = ""
    pair: str = ""
    slot: int = 0
    size: int = 0

    def row(self) -> tuple[str, ...]:
        """Return the values in the order of :data:`COLUMNS`."""
        return (
            f"{self.time:.6f}",
            self.endpoint,
            self.arm,
            f"{self.ms:.3f}",
            "1" if self.ok else "0",
            self.error,
            self.release,
            self.pair,
            str(self.slot),
            str(self.size),
        )


class Writer:
    """Turns samples into gzip CSV; what was flushed can be read even if nothing follows.

    Args:
        sink: Receives the bytes.
    """

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
        self._zip = zlib.compressobj(level=1, wbits=31)
        self._rows: list[Sequence[str]] = [COLUMNS]

    def add(self, sample: Sample) -> None:
        """Keep a sample until the next :meth:`flush`."""
        self._rows.append(sample.row())

    def flush(self) -> None:
        """Pass on what was added."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self._rows)
        self._rows = []
        packed = self._zip.compress(text.getvalue().encode())
        self._sink(packed + self._zip.flush(zlib.Z_SYNC_FLUSH))

    def close(self) -> None:
        """Pass on everything and end the stream."""
        self.flush()
        self._sink(self._zip.flush(zlib.Z_FINISH))


def write(path: Path, samples: Iterable[Sample]) -> None:
    """Write ``samples`` as one gzip CSV file."""
    with path.open("wb") as stream:
        writer = Writer(stream.write)
        for sample in samples:
            writer.add(sample)
        writer.close()


def read(path: Path) -> list[Sample]:
    """Read samples; a file cut off in the middle yields every complete row before the cut."""
    lines = _lines(path)
    if next(lines, None) is None:
        return []
    return [
        Sample(
            time=float(row[0]),
            endpoint=row[1],
            arm=row[2],
            ms=float(row[3]),
            ok=row[4] == "1",
            error=row[5],
            release=row[6],
            pair=row[7],
            slot=int(row[8]),
            size=int(row[9]),
        )
        for row in csv.reader(lines)
        if len(row) == len(COLUMNS)
    ]


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        while True:
            try:
                line = stream.readline()
            except EOFError:  # the writer was killed
                return
            if not line.endswith("\n"):
                return
            yield line
