"""The embeddings are open_clip's own."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ConfigError, ModelError
from glitbuild.evaluate import embed
from glitbuild.evaluate.embed import Embedder, choose_device

TEXTS = ["A dog.", "A red ball lies on the left. " * 3, "word " * 100, "word " * 400, ""]


@pytest.fixture(scope="module")
def embedder(model: Path) -> Embedder:
    return Embedder(ClipSpec.parse(str(model)), 248, 2, "cpu")


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)) for size in ((80, 64, 3), (64, 200, 3))] * 2


def test_texts_are_those_of_the_stretched_model_in_their_order(embedder: Embedder, long_model: Path) -> None:
    spec = ClipSpec.parse(str(long_model))
    known = spec.load("cpu")
    ids = open_clip.get_tokenizer(spec.architecture)(TEXTS)
    with torch.inference_mode():
        expected = normalize(known.encode_text(ids), dim=-1).numpy()
    for one in (embedder, Embedder(spec, 248, 3, "cpu")):
        tokens = one.tokenize(TEXTS)
        assert [text.truncated for text in tokens] == [False, False, False, True, False]
        assert one.texts(tokens) == pytest.approx(expected, abs=1e-5)
    assert embedder.texts([]).shape[0] == 0


def test_with_77_tokens_longer_texts_are_cut_also_by_a_model_that_reads_248(model: Path, long_model: Path) -> None:
    known = ClipSpec.parse(str(model)).load("cpu")
    ids = open_clip.get_tokenizer("ViT-B-16")(TEXTS)
    with torch.inference_mode():
        expected = normalize(known.encode_text(ids), dim=-1).numpy()
    short = Embedder(ClipSpec.parse(str(model)), 77, 2, "cpu")
    assert short.texts(short.tokenize(TEXTS)) == pytest.approx(expected, abs=1e-5)
    cut = Embedder(ClipSpec.parse(str(long_model)), 77, 2, "cpu")
    assert [len(text.ids) for text in cut.tokenize(TEXTS)][2:4] == [77, 77]


def test_images_and_patches_are_those_of_the_model(embedder: Embedder, model: Path) -> None:
    known = ClipSpec.parse(str(model)).load("cpu")
    known.visual.output_tokens = True
    crops = [embedder.preprocess.crop(image, (0, 0, *image.size)) for image in pictures()[:3]]
    with torch.inference_mode():
        pooled, tokens = known.visual(embedder.preprocess.batch(crops, "cpu"))
        pooled, tokens = (normalize(part, dim=-1).numpy() for part in (pooled, tokens @ known.visual.proj))
    assert np.stack(embedder.images(crops)) == pytest.approx(pooled, abs=1e-5)
    seen = embedder.images_with_patches(crops)
    assert np.stack([one.image for one in seen]) == pytest.approx(pooled, abs=1e-5)
    assert np.stack([one.patches for one in seen]) == pytest.approx(tokens, abs=1e-5)
    assert embedder.images([]) == []
    assert (embedder.size, embedder.patch_size) == (64, 16)


def test_a_tokenizer_with_a_length_of_its_own_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*args: object) -> object:
        encoder = known(*args)
        encoder._trim = False
        return encoder

    known = embed.TextEncoder
    monkeypatch.setattr(embed, "TextEncoder", other)
    with pytest.raises(ModelError, match="its tokenizer makes 77 tokens of a long text"):
        Embedder(ClipSpec.parse(str(model)), 248, 2, "cpu")


def test_the_device_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="no GPU"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == "cuda"
