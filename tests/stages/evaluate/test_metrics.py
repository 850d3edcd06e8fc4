"""From embeddings to figures, on worlds in which the right figures are plain."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glitbuild.errors import EvaluationError
from glitbuild.stages.evaluate.embedded import Embedded, Located
from glitbuild.stages.evaluate.metrics import Suites
from glitbuild.stages.evaluate.options import EvalOptions, Plan
from glitbuild.stages.evaluate.robustness import SplitCaption

NUMBER = 6
AXES = np.eye(NUMBER, dtype=np.float32)
PLAN = Plan((), "truth", "best")


def misled(texts: Sequence[str]) -> np.ndarray:
    """Take a caption with a false sentence for one about the last picture."""
    assert all("True" in text and text.count(".") == 3 for text in texts)
    return np.tile(AXES[-1], (len(texts), 1))


def perfect() -> Embedded:
    numbers = np.arange(NUMBER)
    hits = np.array([[False, True, True], [False, False, True]])
    split = tuple(SplitCaption(f"True {n}. Also {n}.", ((0, 7), (8, 15))) for n in numbers)
    located = Located(hits, np.full((2, 3), 0.25), 1)
    return Embedded(AXES, AXES, numbers, AXES[::-1], AXES, numbers, AXES, numbers, located, split, 0)


def run(name: str, data: Embedded) -> Any:
    return Suites(data, misled, PLAN, EvalOptions("m", "d")).run(name)


def test_perfect_embeddings_have_all_recalls_and_precisions() -> None:
    found = run("retrieval", perfect())
    assert set(found.figures) == {"text_to_image", "image_to_text"}
    assert all(set(row.values()) == {100.0} for row in found.figures.values())
    assert list(found.figures["text_to_image"]) == ["R@1", "R@5", "R@10", "R@15", "R@25", "R@50"]
    assert found.scores["image_to_text"]["R@50"].shape == (NUMBER,)
    joint = run("joint", perfect())
    assert joint.figures == {"text_to_image": {"mAP@10": 100.0}, "image_to_text": {"mAP@10": 100.0}}
    assert joint.facts == {"pairs": "best", "regions": NUMBER, "sentences": NUMBER}
    assert joint.scores["text_to_image"]["mAP@10"].shape == (2 * NUMBER,)


def test_regions_of_other_images_cost_precision() -> None:
    shifted = replace(perfect(), crops=np.roll(AXES, 1, axis=0), sentences=np.roll(AXES, 1, axis=0))
    found = run("joint", shifted).figures
    # Of an image and a neighbour's region, equally similar, the image comes first: 1; a sentence finds the
    # neighbour's image first and its own region second: .5; each of two relevant items: half of it.
    assert found["text_to_image"]["mAP@10"] < 100
    assert found["text_to_image"] == found["image_to_text"]


def test_a_misled_model_drops_and_a_caption_that_stays_does_not() -> None:
    found = run("robustness", perfect())
    right = 100 / NUMBER  # the last caption; and for it, all captions are alike
    row = found.figures["text_to_image"]
    assert (row["R@1"], row["R@1_disturbed"], row["drop"]) == pytest.approx((100, right, 100 - right), abs=1e-3)
    assert row["drop_low"] < row["drop"] < row["drop_high"] <= 100
    # The last image finds its caption by chance among six equal ones; so do the others, at similarity 0.
    assert found.figures["image_to_text"]["R@1_disturbed"] == pytest.approx(right, abs=1e-3)
    assert found.figures["mean"]["drop"] == pytest.approx(100 - right, abs=1e-3)
    assert found.facts == {"unchanged_captions": 0}
    alone = SplitCaption("Same.", ((0, 5),))
    found = run("robustness", replace(perfect(), split=(alone,) * NUMBER))
    assert found.facts == {"unchanged_captions": NUMBER}
    assert found.figures["mean"] == {"R@1": 100.0, "R@1_disturbed": 100.0, "drop": 0.0}


def test_averages_are_compared_with_whole_captions() -> None:
    found = run("averaging", perfect()).figures
    assert found["text_to_image"] == {
        "R@1": 100.0,
        "R@1_averaged": 0.0,
        "gain": -100.0,
        "gain_low": -100.0,
        "gain_high": -100.0,
    }
    assert found["mean"] == {"R@1": 100.0, "R@1_averaged": 0.0, "gain": -100.0}


def test_localization_stands_beside_chance() -> None:
    found = run("localization", perfect())
    assert found.figures == {
        "sentences": {"hit@5": 0.0, "hit@10": 50.0, "hit@15": 100.0},
        "chance": {"hit@5": 25.0, "hit@10": 25.0, "hit@15": 25.0},
    }
    assert found.facts == {"places": "truth", "sentences": 2, "out_of_view": 1}
    nothing = Located(np.empty((0, 3), dtype=bool), np.empty((0, 3)), 0)
    assert run("localization", replace(perfect(), located=nothing)).figures["sentences"]["hit@5"] == 0


def test_diverged_weights_are_an_error() -> None:
    with pytest.raises(EvaluationError, match="training may have diverged"):
        run("retrieval", replace(perfect(), captions=AXES * np.nan))
