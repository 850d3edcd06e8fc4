"""The embeddings are open_clip's own."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import normalize

from glitbuild.clip.encoder import ClipEncoder, choose_device, of_similar_length
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.text import Tokens
from glitbuild.errors import ConfigError
from tests.stages.evaluate.models import save_small_clip

TEXTS = ["A dog.", "A red ball lies on the left. " * 3, "word " * 100, "word " * 400, ""]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_clip(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_clip(tmp_path_factory.mktemp("model") / "long", 248)


def encoder_of(model: Path, context_length: int, batch: int = 2) -> ClipEncoder:
    sizes = {"image_batch": batch, "text_batch": batch, "context_length": context_length}
    return ClipEncoder(ClipSpec.parse(str(model)), "cpu", **sizes)


@pytest.fixture(scope="module")
def encoder(model: Path) -> ClipEncoder:
    return encoder_of(model, 248)


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)) for size in ((80, 64, 3), (64, 200, 3))] * 2


@pytest.mark.slow
def test_texts_are_those_of_the_stretched_model_in_their_order(encoder: ClipEncoder, long_model: Path) -> None:
    spec = ClipSpec.parse(str(long_model))
    known = spec.load("cpu")
    ids = spec.tokenizer()(TEXTS)
    with torch.inference_mode():
        expected = normalize(known.encode_text(ids), dim=-1).numpy()
    for one in (encoder, encoder_of(long_model, 248, 3)):
        tokens = one.tokenize(TEXTS)
        assert [text.truncated for text in tokens] == [False, False, False, True, False]
        assert one.texts(tokens) == pytest.approx(expected, abs=1e-5)
    assert encoder.texts([]).shape[0] == 0


@pytest.mark.slow
def test_with_77_tokens_longer_texts_are_cut_also_by_a_model_that_reads_248(model: Path, long_model: Path) -> None:
    known = ClipSpec.parse(str(model)).load("cpu")
    ids = open_clip.get_tokenizer("ViT-B-16")(TEXTS)
    with torch.inference_mode():
        expected = normalize(known.encode_text(ids), dim=-1).numpy()
    short = encoder_of(model, 77)
    assert short.texts(short.tokenize(TEXTS)) == pytest.approx(expected, abs=1e-5)
    cut = encoder_of(long_model, 77)
    assert [len(text.ids) for text in cut.tokenize(TEXTS)][2:4] == [77, 77]


def test_images_and_patches_are_those_of_the_model(encoder: ClipEncoder, model: Path) -> None:
    known = ClipSpec.parse(str(model)).load("cpu")
    known.visual.output_tokens = True
    crops = [encoder.preprocess.crop(image, (0, 0, *image.size)) for image in pictures()[:3]]
    with torch.inference_mode():
        pooled, tokens = known.visual(encoder.preprocess.batch(crops, "cpu"))
        pooled, tokens = (normalize(part, dim=-1).numpy() for part in (pooled, tokens @ known.visual.proj))
    assert np.stack(encoder.images(crops)) == pytest.approx(pooled, abs=1e-5)
    seen = encoder.images_with_patches(crops)
    assert np.stack([one.image for one in seen]) == pytest.approx(pooled, abs=1e-5)
    assert np.stack([one.patches for one in seen]) == pytest.approx(tokens, abs=1e-5)
    assert encoder.images([]) == []
    assert (encoder.patches.grid.side, encoder.patches.grid.share) == (4, 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_with_16_bits_the_embeddings_are_nearly_those_of_float32(
    encoder: ClipEncoder, model: Path, precision: str
) -> None:
    half = ClipEncoder(ClipSpec.parse(str(model)), "cpu", context_length=248, precision=precision)
    crops = [encoder.preprocess.crop(picture, (0, 0, *picture.size)) for picture in pictures()]
    found = [(one.texts(one.tokenize(TEXTS)), np.stack(one.images(crops))) for one in (encoder, half)]
    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == np.float32
        assert 0 < np.abs(exact - rounded).max() < 0.02
        assert (exact * rounded).sum(axis=1) == pytest.approx(1, abs=1e-3)


@given(st.lists(st.integers(2, 248), max_size=60))
def test_padding_adds_at_most_a_quarter(lengths: list[int]) -> None:
    tokens = [Tokens(tuple(range(length)), False) for length in sorted(lengths)]
    groups = list(of_similar_length(tokens))
    assert [one for group in groups for one in group] == tokens
    assert all(len(group[-1].ids) <= 1.25 * len(group[0].ids) for group in groups)
    firsts = [len(group[0].ids) for group in groups]
    assert all(later > 1.25 * first for first, later in pairwise(firsts))  # as few groups as that allows


def test_the_device_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="no GPU"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == "cuda"
