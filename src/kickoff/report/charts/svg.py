"""A little SVG: escaped elements, scales with round ticks, and the figure a chart becomes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from kickoff.report.language import say

WIDE, NARROW = 840, 340
"""Widths of a chart's two drawings, in its own units; a style sheet shows the one that fits the screen."""


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a chart; ``numeric`` names the columns to align at the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: its finding, its drawings and its numbers.

    Attributes:
        key: Unique within the page.
        title: What the chart shows, as a sentence.
        description: How to read it, for those who cannot see it.
        drawings: The SVG elements, wide and narrow; empty when the data is too thin to draw.
        table: The numbers.
        note: What a reader must know beside it.
    """

    key: str
    title: str
    description: str
    drawings: tuple[Markup, ...] = ()
    table: Table | None = None
    note: str = ""


def tag(name: str, /, *children: Markup | str, **attributes: str | float) -> Markup:
    """Return an element. Text is escaped; ``class_`` is ``class``, other underscores become hyphens."""
    pairs = (Markup(' {}="{}"').format(_name(key), _value(value)) for key, value in attributes.items())
    head = Markup("<{}{}").format(name, Markup("").join(pairs))
    if not children:
        return head + Markup("/>")
    return Markup("{}>{}</{}>").format(head, Markup("").join(escape(child) for child in children), name)


def draw(
    key: str,
    title: str,
    description: str,
    paint: Callable[[int], tuple[float, Sequence[Markup]]],
    points: Callable[[int], str] | None = None,
) -> tuple[Markup, ...]:
    """Return a chart's wide and narrow drawings.

    Args:
        key: Prefix of the ids.
        title: The accessible name.
        description: The accessible description.
        paint: Given a width, returns the height and the content.
        points: Given a width, returns the readings for the cross-hair as JSON.
    """
    drawings = []
    for width, name in ((WIDE, "wide"), (NARROW, "narrow")):
        height, content = paint(width)
        ident = f"{key}-{name}"
        extra = {"data_points": points(width)} if points else {}
        drawings.append(
            tag(
                "svg",
                tag("title", title, id=f"{ident}-t"),
                tag("desc", description, id=f"{ident}-d"),
                *content,
                class_=f"chart {name}",
                viewBox=f"0 0 {width} {height:.0f}",
                role="img",
                aria_labelledby=f"{ident}-t",
                aria_describedby=f"{ident}-d",
                **extra,
            )
        )
    return tuple(drawings)


def label(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> Markup:
    """Return a piece of text."""
    return tag("text", text, x=x, y=y, class_=f"t {kind}".strip(), text_anchor=anchor)


def path(points: Sequence[tuple[float, float]], kind: str, close: bool = False) -> Markup:
    """Return a line through points, or the area they enclose."""
    steps = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return tag("path", d=steps + (" Z" if close else ""), class_=kind)


def marker(shape: str, x: float, y: float, kind: str, size: float = 4.0) -> Markup:
    """Return a marker: ``circle``, ``square``, ``diamond``, ``triangle`` or ``cross``."""
    if shape == "circle":
        return tag("circle", cx=x, cy=y, r=size, class_=kind)
    if shape == "square":
        return tag(
            "rect", x=x - size * 0.9, y=y - size * 0.9, width=size * 1.8, height=size * 1.8, class_=kind
        )
    if shape == "cross":
        return tag(
            "path",
            d=f"M{x - size:.1f} {y - size:.1f}l{2 * size:.1f} {2 * size:.1f}"
            f"m0 {-2 * size:.1f}l{-2 * size:.1f} {2 * size:.1f}",
            class_=kind,
        )
    wide = size * 1.25
    corners = {
        "diamond": [(x, y - wide), (x + wide, y), (x, y + wide), (x - wide, y)],
        "triangle": [(x, y - wide), (x + wide, y + size * 0.9), (x - wide, y + size * 0.9)],
    }[shape]
    return path(corners, kind, close=True)


def ticks(top: float, most: int) -> list[float]:
    """Return round values from 0 to at least ``top``, at most ``most`` + 1 of them."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999999)
    return [step * index for index in range(math.ceil(top / step - 1e-9) + 1)]


def time_ticks(length: float, most: int) -> list[float]:
    """Return round times in seconds from 0 to at most ``length``."""
    steps = (
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
        14400,
        43200,
        86400,
    )
    step = next((s for s in steps if length / s <= most), length / most or 1.0)
    return [step * index for index in range(int(length / step + 1e-9) + 1)]


def short_time(seconds: float) -> str:
    """Return a time for an axis: ``0``, ``30 s``, ``2 min``, ``1.5 h``."""
    if seconds == 0:
        return "0"
    if seconds < 120:
        return say("{seconds:g} s", seconds=seconds)
    if seconds < 7200:
        return say("{minutes:g} min", minutes=seconds / 60)
    return say("{hours:g} h", hours=seconds / 3600)


def _name(key: str) -> str:
    return key.rstrip("_") if key == "viewBox" or key.endswith("_") else key.replace("_", "-")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".rstrip("0").rstrip(".")
