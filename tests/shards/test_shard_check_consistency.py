from dataclasses import replace

import pytest
from hypothesis import given

from glitbuild.flism.regions import default_regions
from glitbuild.records import Given, ImageInfo, Matched, Pair, Region, Sample, Source
from glitbuild.shards.shard_check import inconsistencies
from tests.factories import matched_samples

REGIONS = (*default_regions(100, 80), Region((10.0, 10.0, 50.0, 50.0), "object", "dog", 0.9))
GOOD = Matched(((0, 6), (7, 13)), REGIONS, (Pair(0, 5, 0.3), Pair(1, 2, 0.2)), 0)
SAMPLE = Sample("000000001", "A dog. A cat.", ImageInfo(100, 80, "0" * 64, "jpeg", False), Source("d", "1"), GOOD)


@given(matched_samples())
def test_what_match_makes_is_consistent(sample: Sample) -> None:
    assert [what for what in inconsistencies(sample) if "region" not in what] == []


def test_a_good_record_has_no_problems() -> None:
    assert list(inconsistencies(SAMPLE)) == []
    assert list(inconsistencies(replace(SAMPLE, matched=None))) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"sentences": ((0, 6), (7, 14))}, "outside the caption"),
        ({"sentences": ((0, 6), (5, 13))}, "out of order"),
        ({"sentences": ((0, 6), (6, 13))}, "whitespace"),
        ({"sentences": ((0, 6), (9, 13))}, "belongs to no sentence"),
        ({"sentences": ((0, 6), (7, 12))}, "after the last sentence"),
        ({"regions": (*REGIONS[:5], Region((10.0, 10.0, 100.5, 50.0), "object", "dog", 0.9))}, "outside the image"),
        ({"regions": (*REGIONS[:5], Region((10.0, 10.0, 10.0, 50.0), "object", "dog", 0.9))}, "empty"),
        ({"regions": REGIONS[1:]}, "default regions must be there"),
        ({"regions": (replace(REGIONS[0], label="dog"), *REGIONS[1:])}, "label or a score"),
        ({"pairs": (Pair(0, 6, 0.3), Pair(1, 2, 0.2))}, "refers to region 6 of 6"),
        ({"pairs": (Pair(0, 5, 0.3),)}, "one per sentence"),
        ({"best_pair": 1}, "not the first pair"),
        ({"best_pair": 2}, "best_pair refers to pair 2 of 2"),
    ],
)
def test_each_problem_is_named(change: dict[str, object], what: str) -> None:
    matched = replace(GOOD, **change)  # type: ignore[arg-type]
    problems = list(inconsistencies(replace(SAMPLE, matched=matched)))
    assert any(what in problem for problem in problems), problems


BOX = Given((10.0, 10.0, 50.0, 50.0), "dog", "the dog")
REGION = Region(BOX.box, "given", "dog", 1.0, "the dog")
SAID = tuple(replace(region, sentence="") for region in REGIONS)
WITH_BOXES = replace(SAMPLE, boxes=(BOX,), matched=replace(GOOD, regions=(*SAID, REGION)))


def test_a_good_record_with_boxes_has_no_problems() -> None:
    assert list(inconsistencies(WITH_BOXES)) == []
    assert list(inconsistencies(replace(WITH_BOXES, matched=None))) == []


@pytest.mark.parametrize(
    ("boxes", "regions", "what"),
    [
        ((), (*SAID, REGION), "differ from its boxes"),
        ((BOX,), SAID, "differ from its boxes"),
        ((BOX,), (*SAID, replace(REGION, label="cat")), "differ from its boxes"),
        ((replace(BOX, box=(10.0, 10.0, 500.0, 50.0)),), (*SAID, REGION), "given box 0"),
        ((BOX,), (*SAID, replace(REGION, score=0.5)), "its score is 0.5"),
        ((BOX,), (replace(SAID[0], sentence="a"), *SAID[1:], REGION), "region 0 has a sentence"),
        ((BOX,), (*REGIONS, REGION), "regions must all have a sentence"),
        (None, SAID, "regions must all have a sentence"),
    ],
)
def test_boxes_and_regions_that_do_not_agree_are_named(
    boxes: tuple[Given, ...] | None, regions: tuple[Region, ...], what: str
) -> None:
    sample = replace(WITH_BOXES, boxes=boxes, matched=replace(GOOD, regions=regions))
    assert any(what in problem for problem in inconsistencies(sample)), list(inconsistencies(sample))
