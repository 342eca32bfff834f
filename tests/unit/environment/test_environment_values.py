"""Units are part of a value, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickoff.environment import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1000ms", 1.0),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("0s", 0.0),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), ("85%", 0.85), ("0.5%", 0.005), ("100%", 1.0), ("0%", 0.0)]
)
def test_fraction(text: str, share: float) -> None:
    assert values.fraction(text) == share


@pytest.mark.parametrize(
    ("text", "size"), [("1B", 1), ("256MiB", 268435456), ("2GiB", 2147483648), ("1TiB", 2**40)]
)
def test_size(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (values.duration, ""), (values.duration, "5"), (values.duration, "5 s"), (values.duration, "5S"),
        (values.duration, "-5s"), (values.duration, "5s\n"),
        (values.duration, "\N{ARABIC-INDIC DIGIT FIVE}s"), (values.duration, "1e3s"),
        (values.duration, "inf s"), (values.duration, "nan"), (values.duration, "5min"),
        (values.fraction, "1"), (values.fraction, "0.01"), (values.fraction, "%"), (values.fraction, "1%%"),
        (values.size, "1MB"), (values.size, "1.5GiB"), (values.size, "1mib"), (values.size, "512m"),
        (values.integer, "1.0"), (values.integer, "+1"), (values.integer, "1_000"), (values.integer, "007"),
        (values.integer, " 1"), (values.integer, "9" * 5000), (values.integer, "1\n"),
        (values.number, "1,5"), (values.number, "1e3"), (values.number, ".5"),
        (values.boolean, "True"), (values.boolean, "1"), (values.boolean, "yes"), (values.boolean, ""),
        (values.items, "a,,b"), (values.items, ","), (values.items, "a,"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_without_repeating_it(reader: object, text: str) -> None:
    assert callable(reader)
    with pytest.raises(values.UnreadableValueError) as caught:
        reader(text)
    assert caught.value.expects
    assert len(text) < 3 or text not in str(caught.value)


def test_items_lose_the_spaces_around_them() -> None:
    assert values.items(" a , b,c ") == ["a", "b", "c"]
    assert values.items("") == []
    assert values.items("  ") == []


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_rendered_duration_reads_back(amount: int, unit: str) -> None:
    seconds = values.duration(f"{amount}{unit}")
    assert values.duration(values.render(seconds, "duration")) == pytest.approx(seconds)


@given(st.integers(0, 10**15 - 1))
def test_a_rendered_size_reads_back(size: int) -> None:
    assert values.size(values.render(size, "bytes")) == size


@given(st.integers(0, 1000))
def test_a_rendered_share_reads_back(tenths: int) -> None:
    share = values.fraction(f"{tenths / 10}%")
    assert values.fraction(values.render(share, "percent")) == pytest.approx(share)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for key in (
        {"type": "number", "x-unit": "duration"},
        {"type": "number", "x-unit": "percent"},
        {"type": "integer", "x-unit": "bytes"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "integer"}},
    ):
        try:
            found = values.convert(text, key)
        except values.UnreadableValueError:
            continue
        assert isinstance(found, bool | int | float | list)
