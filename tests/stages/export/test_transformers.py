import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ModelError
from glitbuild.stages.export import transformers as hf
from glitbuild.stages.export.open_clip import OpenClipEncoder
from tests.stages.export.conftest import RUNS
from tests.stages.export.inputs import captions, pictures
from tests.tiny_models import tiny_clip

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("run", RUNS)
def test_transformers_reads_the_export_and_gives_the_same(
    run: str, runs: Path, exported: Callable[[str, str], Path], assets: Path
) -> None:
    from transformers import AutoProcessor, CLIPModel

    folder = exported(run, "hf")
    model = CLIPModel.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    spec = ClipSpec.parse(str(runs / run))
    known = spec.load("cpu")
    source = OpenClipEncoder(known, spec.tokenizer())
    edge = known.visual.image_size[0]
    images = pictures((edge + 9, edge), (edge, edge + 4), (4 * edge, 3 * edge))
    texts = ["a dog", "two red cars", *captions(assets)[:4], " ".join(captions(assets)[:4])]
    inputs = processor(text=texts, images=images, padding=True, truncation=True, return_tensors="pt")
    assert inputs["input_ids"].shape[1] == 248
    with torch.inference_mode():
        found = model(**inputs)
        for ours, theirs in ((found.image_embeds, source.images(images)), (found.text_embeds, source.texts(texts))):
            assert cosine_similarity(ours, theirs).min() > 0.9999
        # With the same inputs nothing but the order of sums differs.
        pixels = inputs["pixel_values"]
        pooled = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        torch.testing.assert_close(pooled, known.encode_image(pixels), atol=2e-4, rtol=1e-3)
        pooled = model.text_projection(
            model.text_model(**processor(text=texts[:1], return_tensors="pt")).pooler_output
        )
        torch.testing.assert_close(pooled, source.texts(texts[:1]), atol=2e-4, rtol=1e-3)
    assert torch.equal(model.logit_scale, known.logit_scale)
    if run != "stretched":  # as open_clip makes it, a model's embeddings are all alike
        assert cosine_similarity(found.text_embeds[0], found.text_embeds[1], dim=0) < 0.9
        assert cosine_similarity(found.image_embeds[0], found.image_embeds[1], dim=0) < 0.9


@pytest.mark.parametrize(("run", "activation"), [("quick-gelu", "quick_gelu"), ("squash", "gelu")])
def test_the_configuration_says_what_the_model_is(
    run: str, activation: str, exported: Callable[[str, str], Path]
) -> None:
    config = json.loads((exported(run, "hf") / "config.json").read_text())
    text, vision = config["text_config"], config["vision_config"]
    assert config["projection_dim"] == text["projection_dim"] == vision["projection_dim"] == 32
    assert (text["max_position_embeddings"], text["num_attention_heads"], text["num_hidden_layers"]) == (248, 4, 2)
    assert (vision["image_size"], vision["patch_size"], vision["num_attention_heads"]) == (64, 16, 2)
    assert text["hidden_act"] == vision["hidden_act"] == activation
    assert (text["bos_token_id"], text["eos_token_id"]) == (49406, 49407)


def test_padding_does_not_change_where_a_text_ends(runs: Path, exported: Callable[[str, str], Path]) -> None:
    encoder = hf.read(exported("quick-gelu", "hf"))
    spec = ClipSpec.parse(str(runs / "quick-gelu"))
    source = OpenClipEncoder(spec.load("cpu"), spec.tokenizer())
    texts = ["a dog", "a dog on the grass", "two birds " * 30]
    with torch.inference_mode():
        together = encoder.texts(texts)
        alone = torch.cat([encoder.texts([text]) for text in texts])
        torch.testing.assert_close(together, alone, atol=2e-4, rtol=1e-3)
        torch.testing.assert_close(together, source.texts(texts), atol=2e-4, rtol=1e-3)


def test_every_file_may_be_read_by_others(exported: Callable[[str, str], Path]) -> None:
    modes = {path.stat().st_mode & 0o777 for path in exported("quick-gelu", "hf").iterdir()}
    assert len(modes) == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"custom_text": True}, "text tower is a separate module"),
    ({"vision_cfg": {"layers": [1, 1, 1, 1]}}, "not a vision transformer"),
    ({"vision_cfg": {"attentional_pool": True}}, "pools by attention"),
    ({"vision_cfg": {"pool_type": "avg"}}, "doesn't pool at the class token"),
    ({"vision_cfg": {"no_ln_pre": True}}, "no layer norm before"),
    ({"vision_cfg": {"ls_init_value": 0.1}}, "image tower has a layer scale"),
    ({"vision_cfg": {"qk_norm": True}}, "image tower has unsupported blocks"),
    ({"vision_cfg": {"image_size": [64, 96]}}, "input of 96x64 pixels"),
    ({"text_cfg": {"ls_init_value": 0.1}}, "text tower has a layer scale"),
    ({"text_cfg": {"no_causal_mask": True}}, "not causal"),
    ({"text_cfg": {"embed_cls": True}}, "class token"),
    ({"text_cfg": {"pool_type": "last"}}, "end of the text"),
    ({"text_cfg": {"proj_type": "none"}}, "text tower has no projection"),
    ({"text_cfg": {"proj_bias": True}}, "projection has a bias"),
    ({"text_cfg": {"hf_tokenizer_name": "bert-base-uncased"}}, "bert-base-uncased"),
    ({"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}}}, "custom options"),
    ({"init_logit_bias": -10.0}, "logit bias"),
    ({"preprocess": {"resize_mode": "longest"}}, "pads images"),
]


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_what_a_clip_model_can_not_express_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    small = {"text_cfg": {"vocab_size": 99} | changes.get("text_cfg", {})}
    with pytest.raises(ModelError, match="--format hf: .*" + says):
        hf.check(*tiny_clip(**(changes | small)))


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'glitbuild\[hf\]'"):
        hf.check(None, {})
