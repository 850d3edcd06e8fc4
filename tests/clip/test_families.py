"""Every family of open_clip's architectures gives the embeddings that open_clip itself gives."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from glitbuild.clip.encoder import ClipEncoder
from glitbuild.clip.facts import Facts
from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ModelError
from tests.clip.transformers_models import TEXTS, pictures, save_words

pytestmark = pytest.mark.slow

PLAIN = Facts(False, (0.5,) * 3, (0.25,) * 3, "bicubic", "shortest")
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 64, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16}
SIGLIP_TEXT = {
    "context_length": 16,
    "vocab_size": 40,
    "width": 64,
    "heads": 2,
    "layers": 1,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6},
}
COCA = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}


def timm(name: str, pool: str, proj: str = "linear", size: int = 224) -> dict[str, Any]:
    return {"timm_model_name": name, "timm_model_pretrained": False, "image_size": size} | {
        "timm_pool": pool,
        "timm_proj": proj,
    }


FAMILIES: dict[str, dict[str, Any]] = {
    "OpenAI's ViT": {"vision_cfg": VIT, "text_cfg": TEXT},
    "ResNet": {"vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}, "text_cfg": TEXT},
    "CLIPA": {
        "vision_cfg": VIT | {"pool_type": "avg", "no_ln_pre": True},
        "text_cfg": TEXT | {"pool_type": "last", "no_causal_mask": True},
    },
    "CoCa": {
        "custom_text": True,
        "vision_cfg": VIT | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": TEXT | {"context_length": 76, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": COCA | {"attn_pooler_heads": 2},
    },
    "ConvNeXt": {"vision_cfg": timm("convnext_atto", ""), "text_cfg": TEXT},
    "EVA": {"custom_text": True, "vision_cfg": timm("eva02_tiny_patch14_224", "token"), "text_cfg": TEXT},
    "MobileCLIP": {
        "custom_text": True,
        "vision_cfg": timm("fastvit_t8", "avg"),
        "text_cfg": TEXT | {"no_causal_mask": True},
    },
    "SigLIP": {
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": timm("vit_tiny_patch16_224", "map", "none"),
        "text_cfg": SIGLIP_TEXT,
    },
}
NO_PATCHES = {"ResNet", "CoCa"}
STRETCHED = {"OpenAI's ViT", "ResNet", "ConvNeXt", "EVA"}


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_are_those_of_open_clip(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"embed_dim": 48 if family != "SigLIP" else 192} | FAMILIES[family]
    if family == "SigLIP":
        save_words(tmp_path / "words")
        own = {"hf_tokenizer_name": str(tmp_path / "words"), "tokenizer_kwargs": {"clean": "canonicalize"}}
        config = config | {"text_cfg": config["text_cfg"] | own}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", config)
    torch.manual_seed(3)
    model, _, transform = open_clip.create_model_and_transforms(
        "small", load_weights=False, image_mean=PLAIN.mean, image_std=PLAIN.std
    )
    model.eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    encoder = ClipEncoder(ClipSpec.parse("small", str(tmp_path / "weights.pt"), PLAIN), "cpu", at_least=248)
    crops = [encoder.preprocess.crop(image, (0, 0, *image.size)) for image in pictures()]
    short = TEXTS[:2]
    with torch.inference_mode():
        images = model.encode_image(torch.stack([transform(image) for image in pictures()]), normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer("small")(short), normalize=True)
    assert (np.stack(encoder.images(crops)) * images.numpy()).sum(axis=1).min() > 0.9999
    found = encoder.texts(encoder.tokenize(short))
    assert (found * texts.numpy()).sum(axis=1).min() > 0.9999
    assert abs(float(found[0] @ found[1])) < 0.9999
    own = open_clip.get_tokenizer("small").context_length
    assert encoder.context_length == (248 if family in STRETCHED else own)
    if family in NO_PATCHES:
        with pytest.raises(ModelError):
            encoder.patches  # noqa: B018
    else:
        whole = [seen.image for seen in encoder.images_with_patches(crops)]
        assert (np.stack(whole) * images.numpy()).sum(axis=1).min() > 0.9999
    for precision in ("bf16", "fp16"):
        half = ClipEncoder(ClipSpec.parse("small", str(tmp_path / "weights.pt"), PLAIN), "cpu", precision=precision)
        for one, exact in ((np.stack(half.images(crops)), images), (half.texts(half.tokenize(short)), texts)):
            assert (one * exact.numpy()).sum(axis=1).min() > 0.995
            assert np.abs(one - exact.numpy()).max() > 1e-5  # it does compute in fewer bits
