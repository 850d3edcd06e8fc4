"""Layout of histograms and counts for the templates, in the units of the drawing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from glitbuild.shards.stats import Histogram

WIDTH, HEIGHT = 400, 190
LEFT, TOP, RIGHT, BOTTOM = 46, 20, 14, 26
"""Margins around the bars, with room for the labels of the axes."""

MOST_BARS = 40
MOST_TICKS = 8
STEPS = tuple(number * 10**power for power in range(5) for number in (1, 2, 5))
"""Numbers of narrow bins that one bar may combine."""

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: position and size, range of its values, and their number."""

    x: float
    y: float
    width: float
    height: float
    low: str
    high: str
    count: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Position and text of a tick on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A histogram.

    Attributes:
        title: title of the chart.
        of: what the bars count: captions, pairs, ...
        mean, low, high: mean, minimum and maximum of the values.
        bars: bars from left to right, including empty ones.
        x_ticks, y_ticks: ticks of the axes.
        marks: values of interest, drawn as vertical lines.
    """

    title: str
    of: str
    mean: str
    low: str
    high: str
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Tick, ...] = ()


def chart(title: str, of: str, values: Histogram, text: Format, marks: Sequence[int] = ()) -> Chart:
    """Lay out a histogram that has values, with at most ``MOST_BARS`` bars and without empty ends.

    Args:
        title: title of the chart.
        of: what the bars count.
        values: values in bins of equal width, narrower than the bars.
        text: formats a value.
        marks: values to mark, if they are within the bars.
    """
    bins = [index for index, count in enumerate(values.counts) if count]
    step = next(step for step in STEPS if bins[-1] // step - bins[0] // step < MOST_BARS)
    starts = range(bins[0] // step * step, bins[-1] + 1, step)
    counts = [int(values.counts[start : start + step].sum()) for start in starts]
    edges = [float(values.edges[min(index, len(values.edges) - 1)]) for index in (*starts, starts[-1] + step)]
    most, tall, wide = max(counts), HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / len(counts)
    bars = []
    for number, (count, (low, high)) in enumerate(zip(counts, pairwise(edges), strict=True)):
        height = round(max(tall * count / most, 1.5 if count else 0.0), 2)
        x, y = round(LEFT + number * wide, 2), round(TOP + tall - height, 2)
        bars.append(Bar(x, y, round(wide, 2), height, text(low), text(high), count))
    every = -(-len(edges) // MOST_TICKS)
    x_ticks = [Tick(_place(edge, edges), text(edge)) for edge in edges[::every]]
    y_ticks = [Tick(round(TOP + tall * (1 - value / most), 1), f"{value:,}") for value in _levels(most)]
    lines = [Tick(_place(mark, edges), text(mark)) for mark in marks if edges[0] < mark < edges[-1]]
    mean = values.sum / values.total
    figures = text(mean), text(values.low), text(values.high)
    return Chart(title, of, *figures, tuple(bars), tuple(x_ticks), tuple(y_ticks), tuple(lines))


@dataclass(frozen=True, slots=True)
class Row:
    """A line with a bar: name, count, share of the total, and length of the bar in percent of the longest."""

    name: str
    count: int
    share: float
    bar: float


def rows(counts: dict[str, int], most: int = 60) -> tuple[Row, ...]:
    """Return counts as lines, highest first; lines beyond ``most`` are combined into one without a bar."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    whole, highest = sum(counts.values()), max(counts.values())
    shown = [Row(name, count, count / whole, round(100 * count / highest, 1)) for name, count in ordered[:most]]
    if rest := ordered[most:]:
        count = sum(count for _, count in rest)
        shown.append(Row(f"{len(rest):,} others", count, count / whole, 0.0))
    return tuple(shown)


def _place(value: float, edges: Sequence[float]) -> float:
    share = (value - edges[0]) / (edges[-1] - edges[0])
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _levels(most: int) -> list[int]:
    step = next((step for step in (*STEPS, *(10**power for power in range(5, 12))) if most / step <= 4), 10**12)
    return list(range(0, most + 1, step))
