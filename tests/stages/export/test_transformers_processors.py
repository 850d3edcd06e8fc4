# ruff: noqa: RUF001
import html
from functools import cache
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import open_clip
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2

from glitbuild.stages.export.transformers import save_image_processor, save_tokenizer
from tests.stages.export.inputs import captions, pictures

pytestmark = pytest.mark.slow

ODD = [
    *("", "  ", " \t\n mixed  \r\n ws ", "a" * 400, "don't DON'T WE'RE 's 'S''ll", "12345 x²½ ⅷ", "…—–‐ -- ?!?"),
    *("İstanbul ŞİŞLİ", "Straße STRASSE", "e\u0301 cafe\u0301", "日本語のテキスト", "한국어", "१२३ ٣٤٥"),
    "👩\u200d👩\u200d👧\u200d👦 family",
]
"""Texts that both tokenizers read as they are."""

CLEANED = [
    *("it’s “curly”", "&lt;b&gt; &amp;amp; x", "schÃ¶n", "ﬁne ﬂow", "Ｆｕｌｌ ｗｉｄｔｈ", "\x00\x07 bell"),
    *("a\x1cb\x85c", "a\u00a0b\u2003c\u200bd\ufeffe", "ǅ ǆ ẞ"),
]
"""Texts that open_clip cleans before it reads them."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, 248)
    return AutoTokenizer.from_pretrained(folder)


def theirs(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, truncation=True)["input_ids"])


open_clip_tokenizer = cache(open_clip.SimpleTokenizer)


def ours(text: str) -> list[int]:
    ids = open_clip_tokenizer()([text], context_length=248)[0]
    return ids[: int(ids.argmax()) + 1].tolist()


def cleaned(text: str) -> str:
    return html.unescape(html.unescape(ftfy.fix_text(text)))


def test_real_captions_get_the_ids_that_open_clip_gives_them(tokenizer: Any, assets: Path) -> None:
    texts = captions(assets)
    wrong = [text for text in texts if cleaned(text) == text and theirs(tokenizer, text) != ours(text)]
    assert wrong == []
    assert all(theirs(tokenizer, cleaned(text)) == ours(text) for text in texts)
    assert any(len(theirs(tokenizer, text)) == 248 for text in texts)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_get_the_same_ids(tokenizer: Any, text: str) -> None:
    assert theirs(tokenizer, text) == ours(text)


@pytest.mark.parametrize("text", CLEANED)
def test_what_open_clip_cleans_gets_the_same_ids_once_it_is_clean(tokenizer: Any, text: str) -> None:
    assert theirs(tokenizer, cleaned(text)) == ours(text)


def test_the_tokenizer_pads_with_the_end_of_text_up_to_the_context(tokenizer: Any) -> None:
    assert tokenizer.model_max_length == 248
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 49407
    ids = tokenizer("a dog", padding="max_length")["input_ids"]
    assert (len(ids), ids.index(49407)) == (248, len(theirs(tokenizer, "a dog")) - 1)


MODES: list[dict[str, Any]] = [
    {"resize_mode": "shortest", "interpolation": "bicubic"},
    {"resize_mode": "shortest", "interpolation": "bilinear"},
    {"resize_mode": "squash", "interpolation": "bicubic"},
]


@pytest.mark.parametrize("changes", MODES)
def test_pictures_are_prepared_as_open_clip_does(changes: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoImageProcessor

    config = PreprocessCfg(size=64, mean=(0.5, 0.4, 0.3), std=(0.25, 0.3, 0.2), **changes)
    save_image_processor(tmp_path, vars(config))
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    transform = image_transform_v2(config, is_train=False)
    for image in pictures((301, 197), (97, 209), (64, 64), (50, 41), (640, 480)):
        ours = transform(image).numpy()
        theirs = processor(image, return_tensors="np")["pixel_values"][0]
        difference = np.abs(ours - theirs) * np.array(config.std)[:, None, None] * 255
        assert difference.max() < 2.1, image.size  # steps of 256; the resize rounds twice
        assert difference.mean() < 0.6, image.size


def test_the_centre_is_a_pixel_apart_where_the_libraries_round_it_differently(tmp_path: Path) -> None:
    from transformers import AutoImageProcessor

    config = PreprocessCfg(size=64)
    save_image_processor(tmp_path, vars(config))
    (image,) = pictures((67, 64))
    ours = image_transform_v2(config, is_train=False)(image).numpy()
    theirs = AutoImageProcessor.from_pretrained(tmp_path)(image, return_tensors="np")["pixel_values"][0]
    assert np.allclose(ours[:, :, :-1], theirs[:, :, 1:], atol=1e-5)
