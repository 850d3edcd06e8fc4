"""Counting what is right: against matchings made for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.flism.regions import default_regions
from glitbuild.records import Matched, Pair, Region
from glitbuild.stages.scenes import truth as scenes_truth
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.truth import Accuracy, describe, judge
from glitbuild.stages.scenes.world import make_scene

RED_CAR = {"box": [0, 0, 100, 100], "kind": "car", "colour": "red"}
BLUE_CAR = {"box": [200, 0, 300, 100], "kind": "car", "colour": "blue"}
RED_MUG = {"box": [0, 200, 100, 300], "kind": "mug", "colour": "red"}
PIANO = {"box": [200, 200, 300, 300], "kind": "piano", "colour": "white"}
OBJECTS = [RED_CAR, BLUE_CAR, RED_MUG, PIANO]


@pytest.mark.parametrize(
    ("box", "mentions", "verdict"),
    [
        ((0, 0, 100, 100), [], scenes_truth.RIGHT),
        ((0, 0, 100, 50), [], scenes_truth.RIGHT),
        ((0, 0, 100, 49), [], scenes_truth.LOOSE_BOX),
        ((500, 500, 600, 600), [], scenes_truth.NO_OBJECT),
        ((200, 0, 300, 100), [], scenes_truth.SAME_KIND),
        ((0, 200, 100, 300), [], scenes_truth.SAME_COLOUR),
        ((200, 200, 300, 300), [], scenes_truth.OTHER),
        ((200, 200, 300, 300), [3], scenes_truth.MENTIONED),
        ((200, 0, 300, 100), [1], scenes_truth.MENTIONED),
    ],
)
def test_a_region_is_judged_by_the_object_it_is_on(
    box: tuple[float, float, float, float], mentions: list[int], verdict: str
) -> None:
    sentence = {"objects": [0], "mentions": mentions}
    assert judge(box, False, sentence, OBJECTS) == verdict


def test_a_default_region_is_right_only_where_it_overlaps() -> None:
    sentence = {"objects": [0], "mentions": []}
    assert judge((0, 0, 90, 90), True, sentence, OBJECTS) == scenes_truth.RIGHT
    assert judge((200, 0, 300, 100), True, sentence, OBJECTS) == scenes_truth.DEFAULT_REGION


@pytest.mark.slow
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_true_boxes_are_all_right_and_each_one_exchanged_costs_its_sentence(
    seed: int, index: int, data: st.DataObject
) -> None:
    scene = make_scene(ScenesOptions(count=1, out="", seed=seed, split="val"), index)
    _, truth = describe(scene)
    regions = [Region(tuple(thing["box"]), "object", thing["kind"], 1.0) for thing in truth["objects"]]
    regions += default_regions(scene.width, scene.height)
    sentences = truth["sentences"]
    chosen = [sentence["objects"][0] if sentence["about"] == "object" else 0 for sentence in sentences]
    about = [i for i, sentence in enumerate(sentences) if sentence["about"] == "object"]
    wrong = data.draw(st.sets(st.sampled_from(about)))
    for i in wrong:
        chosen[i] = len(regions) - 5  # no object fills a quadrant
    best = data.draw(st.sampled_from(range(len(sentences))))
    spans = tuple((a, b) for a, b in (sentence["span"] for sentence in sentences))
    pairs = tuple(Pair(i, region, 1.0 if i == best else 0.5) for i, region in enumerate(chosen))
    found = Accuracy()
    found.add(Matched(spans, tuple(regions), pairs, best), truth)
    assert (found.scenes, found.sentences, found.spans) == (1, len(sentences), len(sentences))
    assert found.spans_right == 1.0
    assert found.about_one == len(about)
    assert found.regions_right == (len(about) - len(wrong)) / len(about)
    assert found.best_pairs_right == (best in about and best not in wrong)
    assert sum(count for _, count in found.confusions()) == len(wrong)


def test_a_sentence_that_was_split_otherwise_is_counted_as_wrong() -> None:
    truth = {
        "sentences": [
            {"span": [0, 10], "about": "object", "objects": [0], "mentions": []},
            {"span": [11, 20], "about": "nothing", "objects": [], "mentions": []},
        ],
        "objects": OBJECTS,
    }
    found = Accuracy()
    region = Region((0, 0, 100, 100), "object", "car", 1.0)
    found.add(Matched(((0, 9), (11, 20)), (region,), (Pair(0, 0, 0.5), Pair(1, 0, 0.4)), 0), truth)
    assert (found.spans_right, found.regions_right, found.best_pairs_right) == (0.5, 0.0, 0.0)
    assert found.confusions() == [(scenes_truth.NOT_SPLIT, 1)]


def test_of_nothing_the_shares_are_zero() -> None:
    assert (Accuracy().regions_right, Accuracy().best_pairs_right, Accuracy().spans_right) == (0.0, 0.0, 0.0)
