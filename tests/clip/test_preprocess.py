import numpy as np
import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glitbuild.clip.preprocess import Preprocess
from glitbuild.errors import ModelError


def model_with(**changes: object) -> object:
    config = {"size": 64, "resize_mode": "shortest", "interpolation": "bicubic"} | changes
    config |= {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    visual = type("Visual", (), {"preprocess_cfg": config})
    return type("Model", (), {"visual": visual})


def photo(width: int, height: int, seed: int) -> Image.Image:
    """Return a smooth picture, so that a shift of a pixel shows."""
    random = np.random.default_rng(seed).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(random).resize((width, height), Image.Resampling.BICUBIC)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(8, 300), st.integers(8, 300)),
    st.data(),
    st.sampled_from([("shortest", "bicubic"), ("shortest", "bilinear"), ("squash", "bicubic")]),
)
def test_a_crop_is_what_open_clips_own_transform_makes_of_it(
    size: tuple[int, int], data: st.DataObject, mode: tuple[str, str]
) -> None:
    width, height = size
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = (left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height)))
    image = photo(width, height, data.draw(st.integers(0, 99)))
    preprocess = Preprocess.of(model_with(resize_mode=mode[0], interpolation=mode[1]))
    ours = preprocess.batch([preprocess.crop(image, box)], "cpu")[0].numpy()
    transform = open_clip.image_transform(
        64,
        is_train=False,
        mean=open_clip.OPENAI_DATASET_MEAN,
        std=open_clip.OPENAI_DATASET_STD,
        resize_mode=mode[0],
        interpolation=mode[1],
    )
    theirs = transform(image.crop(box)).numpy()
    # One level of 255, divided by the smallest std, is 0.0153; a few pixels round the other way. Where a strip of
    # two pixels is enlarged each of them becomes many, so there they may be more than a few.
    assert np.abs(ours - theirs).max() < 0.035
    assert np.abs(ours - theirs).mean() < (0.002 if min(box[2] - left, box[3] - top) > 8 else 0.006)


@pytest.mark.parametrize("change", [{"size": (64, 32)}, {"resize_mode": "longest"}])
def test_inputs_that_are_padded_or_not_square_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="not supported"):
        Preprocess.of(model_with(**change))
