"""Patches and places, against pictures of which it is known where each patch comes from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glitbuild.clip.patches import Grid
from glitbuild.clip.preprocess import Preprocess
from glitbuild.stages.evaluate.localization import KS, chance, locate, patch_centres, patches_in_boxes
from tests.stages.evaluate.vectors import random_embeddings


@pytest.mark.parametrize(("size", "patch"), [(224, 32), (224, 16), (336, 14), (100, 16)])
@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize(("width", "height"), [(300, 300), (301, 173), (200, 640), (97, 400)])
def test_a_patchs_centre_lies_where_its_pixels_come_from(
    width: int, height: int, squash: bool, size: int, patch: int
) -> None:
    # Red grows with x, green with y: the model's input tells where in the picture each of its pixels was.
    places = np.zeros((height, width, 3), dtype=np.uint8)
    places[..., 0] = np.linspace(0, 255, width).round()
    places[..., 1] = np.linspace(0, 255, height).round()[:, None]
    preprocess = Preprocess(size, squash, int(Image.Resampling.BILINEAR), (0, 0, 0), (1, 1, 1))
    shown = preprocess.crop(Image.fromarray(places), (0, 0, width, height)).astype(float)
    centres = patch_centres(preprocess.visible(width, height), Grid(size // patch, patch / size))
    grid = size // patch
    assert len(centres) == grid * grid
    means = shown[: grid * patch, : grid * patch].reshape(grid, patch, grid, patch, 3).mean(axis=(1, 3))
    for channel, edge in ((0, width), (1, height)):
        expected = means[..., channel].flatten() / 255 * (edge - 1) + 0.5
        assert centres[:, channel] == pytest.approx(expected, abs=0.6 + edge / 255)


def test_a_place_is_any_of_its_boxes_without_the_right_and_lower_edge() -> None:
    centres = patch_centres((10.0, 0.0, 30.0, 20.0), Grid(2, 0.5))
    assert centres.tolist() == [[15, 5], [25, 5], [15, 15], [25, 15]]
    assert patches_in_boxes(centres, [(15, 5, 25, 15)]).tolist() == [True, False, False, False]
    assert patches_in_boxes(centres, [(0, 0, 16, 6), (20, 10, 30, 20)]).tolist() == [True, False, False, True]
    assert patches_in_boxes(centres, []).tolist() == [False] * 4


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 4), st.floats(0, 1))
def test_a_hit_is_one_of_the_first_patches_in_place(seed: int, patches: int, count: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    seen, sentences = random_embeddings(rng, patches), random_embeddings(rng, count)
    inside = rng.random((count, patches)) < share
    found = locate(seen, sentences, inside)
    for number in range(count):
        order = sorted(range(patches), key=lambda place: -float(sentences[number] @ seen[place]))
        assert found[number].tolist() == [any(inside[number][place] for place in order[:k]) for k in KS]


def test_among_equal_patches_the_first_comes_first() -> None:
    same = np.tile(random_embeddings(np.random.default_rng(0), 1), (16, 1))
    inside = np.zeros((2, 16), dtype=bool)
    inside[0, 4] = inside[1, 5] = True
    assert locate(same, same[:2], inside).tolist() == [[True, True, True], [False, True, True]]


def test_chance_is_what_random_orders_give() -> None:
    rng = np.random.default_rng(0)
    inside = np.zeros((3, 49), dtype=bool)
    inside[0, :9], inside[1, 7] = True, True
    drawn = np.mean(
        [[inside[:, rng.permutation(49)][:, :k].any(axis=1) for k in KS] for _ in range(4000)], axis=0
    ).T
    assert chance(inside) == pytest.approx(drawn, abs=0.03)
    assert chance(inside[2:]).tolist() == [[0, 0, 0]]
    assert chance(np.zeros((1, 4), dtype=bool)).tolist() == [[0, 0, 0]]  # fewer patches than are looked at
