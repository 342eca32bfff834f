"""Raw samples survive the round trip, and a crash of the writer."""

from pathlib import Path

from kickoff.performance import samples
from kickoff.performance.samples import Sample

ROWS = [
    Sample(1000.25, "POST /predictions", "candidate", 12.5, True, "", "r1", "1-2-3", 1, 512),
    Sample(1000.5, "GET /health", "live", 0.5, False, 'says "no", twice\nand more', "", "", 0),
]


def test_round_trip(tmp_path: Path) -> None:
    samples.write(tmp_path / "s.csv.gz", ROWS)
    assert samples.read(tmp_path / "s.csv.gz")[0] == ROWS[0]
    assert len(samples.read(tmp_path / "s.csv.gz")) == 2


def test_what_was_flushed_survives_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "s.csv.gz"
    found = bytearray()
    writer = samples.Writer(found.extend)
    writer.add(ROWS[0])
    writer.flush()
    writer.add(ROWS[0])  # never flushed: lost, and that is all
    path.write_bytes(found)
    assert samples.read(path) == [ROWS[0]]
    writer.close()
    path.write_bytes(found)
    assert samples.read(path) == [ROWS[0], ROWS[0]]


def test_a_row_cut_in_the_middle_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "s.csv.gz"
    samples.write(path, [ROWS[0]] * 2000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = samples.read(path)
    assert 0 < len(found) < 2000
    assert set(found) == {ROWS[0]}


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.csv.gz"
    path.write_bytes(b"")
    assert samples.read(path) == []
