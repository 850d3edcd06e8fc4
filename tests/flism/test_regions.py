import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.errors import ConfigError
from glitbuild.flism.detectors.base import Detection
from glitbuild.flism.regions import area, candidate_regions, check_area_limits, default_regions
from glitbuild.records import Given, Region

sides = st.integers(8, 4000)
coordinates = st.floats(-100, 5000)
detections = st.builds(
    Detection, st.tuples(coordinates, coordinates, coordinates, coordinates), st.text(max_size=5), st.floats(0, 1)
)


@given(sides, sides)
def test_quadrants_tile_the_image_and_the_centre_joins_their_centres(width: int, height: int) -> None:
    regions = default_regions(width, height)
    assert [region.kind for region in regions] == ["quadrant"] * 4 + ["center"]
    assert sum(area(region.box) for region in regions[:4]) == pytest.approx(width * height)
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in (region.box for region in regions[:4])]
    assert regions[4].box == pytest.approx((*centres[0], *centres[3]))
    assert all(region.label == "" and region.score == 0.0 for region in regions)


@given(st.lists(detections, max_size=8), sides, sides)
def test_candidates_are_the_defaults_and_the_detections_within_the_area_limits(
    found: list[Detection], width: int, height: int
) -> None:
    regions = candidate_regions(found, width, height, 0.01, 0.8)
    assert regions[:5] == default_regions(width, height)
    for region in regions[5:]:
        x1, y1, x2, y2 = region.box
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        assert 0.01 <= area(region.box) / (width * height) <= 0.8
    scores = [region.score for region in regions[5:]]
    assert scores == sorted(scores, reverse=True)


@given(st.lists(detections, max_size=8), st.randoms())
def test_the_order_of_the_detections_does_not_matter(found: list[Detection], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert candidate_regions(found, 640, 480) == candidate_regions(shuffled, 640, 480)


def test_a_box_over_the_edge_is_clamped_and_tiny_and_huge_ones_are_dropped() -> None:
    found = [
        Detection((-10, -10, 50, 50), "cat", 0.9),
        Detection((0, 0, 9, 9), "tiny", 0.9),
        Detection((0, 0, 100, 81), "huge", 0.9),
        Detection((0, 0, 100, 80), "just small enough", 0.3),
    ]
    boxes = [(region.box, region.label) for region in candidate_regions(found, 100, 100)[5:]]
    assert boxes == [((0.0, 0.0, 50.0, 50.0), "cat"), ((0.0, 0.0, 100.0, 80.0), "just small enough")]


@pytest.mark.parametrize("limits", [(0.5, 0.5), (-0.1, 0.8), (0.1, 1.1), (0.9, 0.1)])
def test_limits_that_no_box_can_meet_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="min-area"):
        check_area_limits(*limits)


def test_without_the_default_regions_detections_are_alone_unless_there_is_none() -> None:
    found = Detection((10, 10, 60, 60), "dog", 0.9)
    with_, without = (candidate_regions([found], 100, 100, defaults=defaults) for defaults in (True, False))
    assert with_[5:] == without
    assert candidate_regions([], 100, 100, defaults=False) == default_regions(100, 100)


def test_given_regions_come_as_they_are_between_defaults_and_detections() -> None:
    given_ones = (Given((0.0, 0.0, 100.0, 80.0), "all", "it"), Given((1.0, 1.0, 2.0, 2.0)))
    detected = Detection((0.0, 0.0, 50.0, 40.0), "dog", 0.5)
    people = (
        Region((0.0, 0.0, 100.0, 80.0), "given", "all", 1.0, "it"),
        Region((1.0, 1.0, 2.0, 2.0), "given", "", 1.0, ""),
    )
    found = candidate_regions([detected], 100, 80, given=given_ones)
    assert found[:5] == default_regions(100, 80, "")
    assert found[5:7] == people
    assert found[7:] == (Region((0.0, 0.0, 50.0, 40.0), "object", "dog", 0.5, ""),)
    assert candidate_regions([], 100, 80, defaults=False, given=given_ones) == people
    assert candidate_regions([], 100, 80, defaults=False, given=()) == default_regions(100, 80, "")
    assert candidate_regions([], 100, 80) == default_regions(100, 80)
