import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.shards.stats import Histogram
from glitbuild.stages.publish.page.charts import HEIGHT, LEFT, MOST_BARS, RIGHT, TOP, WIDTH, chart, rows


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=50))
def test_every_value_is_in_a_bar_and_every_bar_in_the_frame(values: list[int]) -> None:
    histogram = Histogram(np.arange(0, 5001))
    histogram.add([float(value) for value in values])
    found = chart("Words", "captions", histogram, "{:.0f}".format, (77, 248))
    assert 1 <= len(found.bars) <= MOST_BARS
    assert found.bars[0].count and found.bars[-1].count
    for bar in found.bars:
        assert bar.count == sum(int(bar.low) <= value < int(bar.high) for value in values)
        assert bar.x >= LEFT and bar.x + bar.width <= WIDTH - RIGHT + 0.1
        assert bar.y >= TOP - 0.1 and bar.y + bar.height <= HEIGHT
        assert (bar.height > 0) == (bar.count > 0)
    assert all(LEFT <= tick.at <= WIDTH - RIGHT for tick in (*found.x_ticks, *found.marks))
    first, last = int(found.bars[0].low), int(found.bars[-1].high)
    assert [int(mark.text) for mark in found.marks] == [mark for mark in (77, 248) if first < mark < last]


def test_figures_are_those_of_the_values() -> None:
    histogram = Histogram(np.linspace(-1, 1, 201))
    histogram.add([0.1, 0.2, 0.6])
    found = chart("Similarity", "pairs", histogram, "{:.2f}".format)
    assert (found.mean, found.low, found.high) == ("0.30", "0.10", "0.60")


def test_counts_are_lines_the_rest_is_one() -> None:
    found = rows({"a": 1, "b": 6, "c": 2, "d": 1}, most=2)
    assert [(row.name, row.count, row.bar) for row in found] == [
        ("b", 6, 100.0),
        ("c", 2, 33.3),
        ("2 others", 2, 0),
    ]
    assert sum(row.share for row in found) == pytest.approx(1)
