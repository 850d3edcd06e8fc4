"""Which blends are on the Pareto front, and which one is chosen."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glitbuild.stages.blend.curve import Point, choose, pareto, picture

numbers = st.integers(0, 5).map(float)
curves = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8).map(
    lambda found: [Point(n / 8, {"long": gain}, {"short": kept}) for n, (gain, kept) in enumerate(found)]
)


@given(curves)
def test_no_point_beats_one_of_the_front_and_each_other_is_beaten(points: list[Point]) -> None:
    front = pareto(points)
    assert front
    for point in points:
        beaten = [
            other
            for other in points
            if (other.gain, other.retention) != (point.gain, point.retention)
            and other.gain >= point.gain
            and other.retention >= point.retention
        ]
        assert (point in front) == (not beaten)


@given(curves, st.floats(0, 5))
def test_the_chosen_one_gains_most_of_those_that_retain_enough(points: list[Point], most_loss: float) -> None:
    chosen = choose(points, most_loss)
    enough = [point for point in points if point.retention >= points[0].retention - most_loss]
    assert chosen in enough
    assert chosen.gain == max(point.gain for point in enough)
    assert chosen.alpha == min(point.alpha for point in enough if point.gain == chosen.gain)


def test_several_data_count_alike() -> None:
    point = Point(0.5, {"a": 10.0, "b": 20.0}, {"c": 1.0, "d": 2.0, "e": 6.0})
    assert (point.gain, point.retention) == (15, 3)
    assert (Point(0, {}, {}).gain, Point(0, {}, {}).retention) == (0, 0)


@pytest.mark.slow
def test_the_picture_shows_the_points_and_is_always_the_same() -> None:
    points = [Point(0, {"docci": 10.0}, {"coco": 60.0}), Point(1, {"docci": 30.0}, {"coco": 50.0})]
    first = picture(points, points[1])
    assert first == picture(points, points[1])
    pixels = np.asarray(Image.open(io.BytesIO(first)).convert("RGB")).astype(int)
    assert pixels.shape == (675, 900, 3)
    blue = (np.abs(pixels - (0x1F, 0x6F, 0xEB)).sum(axis=2) < 20).nonzero()
    red = (np.abs(pixels - (0xD1, 0x24, 0x2F)).sum(axis=2) < 20).nonzero()
    assert blue[1].min() < 300 < 600 < blue[1].max()  # both ends of the curve
    assert red[1].max() < 300 and red[0].max() < 250  # the chosen one: less retained, more gained
