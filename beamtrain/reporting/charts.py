"""Charts as plain SVG, drawn when the page is written: places of points and ticks, which templates/macros.html draws.

Plain SVG because it takes a few kilobytes where a plotting library takes one to four and a half million bytes a page,
is there without a script, prints sharply, and takes its colours from the style, light or dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 40
_TICKS = 5


@dataclass(frozen=True)
class Point:
    """A figure at a place of the horizontal axis, with its interval if it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    says: str = ""
    """What is shown where it is pointed at."""


@dataclass(frozen=True)
class Series:
    """The points of one line."""

    name: str
    colour: int
    points: Sequence[Point]
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over a horizontal axis of numbers, of powers, or of `categories`, where x is 0, 1, 2, ..."""

    title: str
    x_label: str
    series: Sequence[Series]
    categories: Sequence[str] = ()
    powers: bool = False
    """Whether each doubling is as long as any other."""
    x_ticks: Sequence[float] = ()
    """Of an axis of powers; those of the points, if none are given."""
    first: float | None = None
    """Where an axis of numbers begins; with the first point, unless it is given."""
    phases: Sequence[tuple[str, float, float]] = ()
    """Names of parts of the axis, and from where to where they go."""
    marks: Sequence[tuple[str, float]] = ()
    dots: bool = True
    """Whether points are drawn, besides the line."""
    joined: bool = True
    """Whether a line joins the points."""
    places: "Places" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", Places(self))


class Places:
    """Where things are in the drawing."""

    def __init__(self, chart: Chart) -> None:
        self._powers = chart.powers
        points = [point for series in chart.series for point in series.points]
        ys = [y for point in points for y in (point.y, point.low, point.high) if y is not None]
        xs = [point.x for point in points] + ([] if chart.first is None else [chart.first])
        xs += [edge for _, *edges in chart.phases for edge in edges]
        self.y_ticks = _nice_ticks(min(ys, default=0.0), max(ys, default=1.0))
        self._bottom, self._top = self.y_ticks[0], self.y_ticks[-1]
        if chart.categories:
            self._first, self._last = -0.5, len(chart.categories) - 0.5
            self.x_ticks: list[tuple[float, str]] = [(float(x), label) for x, label in enumerate(chart.categories)]
        elif chart.powers:
            self._first, self._last = self._scaled(min(xs)), self._scaled(max(xs))
            self.x_ticks = [(x, f"{x:g}") for x in chart.x_ticks or sorted(set(xs))]
        else:
            self._first, self._last = min(xs, default=0.0), max(xs, default=1.0)
            ticks = _nice_ticks(self._first, self._last)
            self.x_ticks = [(x, tick_text(x)) for x in ticks if self._first <= x <= self._last]
        self.slanted = sum(len(label) for _, label in self.x_ticks) > 48

    def x(self, value: float) -> float:
        """From the left."""
        span = self._last - self._first
        share = (self._scaled(value) - self._first) / span if span else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """From the top."""
        share = (value - self._bottom) / (self._top - self._bottom)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    def path(self, points: Sequence[Point]) -> str:
        """The line through points."""
        return " ".join(f"{self.x(point.x)},{self.y(point.y)}" for point in points)

    def _scaled(self, value: float) -> float:
        return math.log2(value) if self._powers else value


def _nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers, about `_TICKS` of them, from one that is not above `low` to one that is not below `high`."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high - low <= 1e-12 * max(1.0, abs(low), abs(high)):
        low, high = low - max(abs(low) * 0.05, 1e-6), high + max(abs(high) * 0.05, 1e-6)
    rough = (high - low) / _TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A round number in few letters."""
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        return f"{value:.2g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")
