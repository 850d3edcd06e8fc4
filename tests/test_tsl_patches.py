"""Boxes to patches: against arithmetic with fractions, and against what the model's own transform shows."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from glitbuild.clip.preprocess import Preprocess
from glitbuild.tsl import patch_mask, to_input

sizes = st.sampled_from([(224, 16), (224, 32), (336, 14), (160, 20), (100, 16)])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[int, int, tuple[int, int, int, int]]:
    width, height = draw(st.integers(8, 900)), draw(st.integers(8, 900))
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return width, height, (x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height)))


@given(boxes(), sizes)
def test_patches_are_those_of_the_formula(
    drawn: tuple[int, int, tuple[int, int, int, int]], sizes: tuple[int, int]
) -> None:
    (width, height, box), (size, patch) = drawn, sizes
    short = min(width, height)
    left, top = Fraction(width - short, 2), Fraction(height - short, 2)
    window = torch.tensor([[float(left), float(top), float(left + short), float(top + short)]])
    mask = patch_mask(to_input(torch.tensor([box]), window, size), size, patch)
    scale, grid = Fraction(size, short), size // patch
    x1, x2 = (min(max(x * scale - (width * scale - size) / 2, Fraction(0)), Fraction(size)) for x in box[::2])
    y1, y2 = (min(max(y * scale - (height * scale - size) / 2, Fraction(0)), Fraction(size)) for y in box[1::2])
    rows = range(math.floor(y1 / patch), math.ceil(y2 / patch))
    columns = range(math.floor(x1 / patch), math.ceil(x2 / patch))
    expected = [x1 < x2 and y1 < y2 and r in rows and c in columns for r in range(grid) for c in range(grid)]
    assert mask[0].tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("patch", [14, 16, 32])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize(("width", "height"), [(100, 400), (173, 260), (256, 256), (640, 427), (400, 100)])
def test_a_coloured_square_is_found_in_the_patches_of_its_box(
    width: int, height: int, mode: str, patch: int
) -> None:
    size = 336 if patch == 14 else 224
    config = PreprocessCfg(size=size, resize_mode=mode, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bilinear")
    transform = image_transform_v2(config, is_train=False)
    preprocess = Preprocess(size, mode == "squash", int(Image.Resampling.BILINEAR), (0, 0, 0), (1, 1, 1))
    window = torch.tensor([preprocess.visible(width, height)])
    rng = np.random.default_rng(width * patch)
    seen = 0
    for _ in range(12):
        x1, y1 = int(rng.integers(0, width - 20)), int(rng.integers(0, height - 20))
        box = (x1, y1, x1 + int(rng.integers(20, width - x1 + 1)), y1 + int(rng.integers(20, height - y1 + 1)))
        picture = Image.new("RGB", (width, height))
        picture.paste((255, 255, 255), box)
        shown = transform(picture)[0]
        grid = size // patch
        bright = shown.reshape(grid, patch, grid, patch).amax(dim=(1, 3)).flatten()
        mask = patch_mask(to_input(torch.tensor([box]), window, size), size, patch)[0]
        # Resizing blurs an edge over a pixel or two: what is clearly lit is in the box, what is dark is not.
        assert not (bright[~mask] > 0.9).any()
        inner = shown.reshape(grid, patch, grid, patch).mean(dim=(1, 3)).flatten()
        assert mask[inner > 0.06].all()
        assert (bright[mask] > 0).float().mean() > 0.8 or not mask.any()
        seen += int(mask.any())
    assert seen > 0


def test_a_box_that_the_crop_removes_has_no_patch() -> None:
    window = torch.tensor([[100.0, 0.0, 200.0, 100.0]] * 2)
    outside = to_input(torch.tensor([[0.0, 10.0, 90.0, 90.0], [210.0, 10.0, 300.0, 90.0]]), window, 224)
    assert not patch_mask(outside, 224, 16).any()


def test_a_box_to_the_edge_of_a_patch_does_not_touch_the_next() -> None:
    window = torch.tensor([[0.0, 0.0, 7.0, 7.0]])
    mask = patch_mask(to_input(torch.tensor([[1.0, 1.0, 3.0, 3.0]]), window, 224), 224, 32)
    assert mask.reshape(7, 7).nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
