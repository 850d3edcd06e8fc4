"""Small CLIPs under the names of real architectures, whose weights exist in several kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor

from glitbuild.clip.load import ClipSpec
from tests.tiny_models import CLIP_CFG, tiny_clip

TEXT = CLIP_CFG["text_cfg"] | {"context_length": 77}
CONFIG: dict[str, Any] = CLIP_CFG | {"text_cfg": TEXT, "quick_gelu": False}
SIZES = {"ViT-B-32": 64, "ViT-B-16": 64, "ViT-L-14": 64, "ViT-L-14-336": 96, "ViT-H-14": 64, "ViT-S-32-alt": 64}
OFTEN = ("a red ball", "A dog sits on the grass; it doesn't look at the 3 birds.", "many words " * 60)


def small_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let open_clip build small networks under these names; its tables of published weights stay as they are."""
    known = open_clip.factory._MODEL_CONFIGS

    for name, size in SIZES.items():
        config = CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"image_size": size}}
        monkeypatch.setitem(known, name, config)
        monkeypatch.setitem(known, f"{name}-quickgelu", config | {"quick_gelu": True})


def trained(quick_gelu: bool = False, tokens: int = 77, **changes: Any) -> Any:
    """Return a model as open_clip itself would have it after its training."""
    text = TEXT | {"context_length": tokens} | changes.pop("text_cfg", {})
    return tiny_clip(quick_gelu=quick_gelu, text_cfg=text, **changes)[0]


def saved(path: Path, content: Any) -> Path:
    """Save a model's state, or whatever a checkpoint holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content.state_dict() if isinstance(content, torch.nn.Module) else content, path)
    return path


def embeddings(model: Any) -> tuple[Tensor, Tensor]:
    """Return what a model makes of a picture with its own preprocessing, and of texts, some too long for it."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    ids = open_clip.tokenize(list(OFTEN), context_length=model.context_length)
    with torch.inference_mode():
        return model.encode_image(transform(Image.fromarray(pixels))[None]), model.encode_text(ids)


def assert_same(found: Any, known: Any) -> None:
    """See that two models make the same of pictures and texts."""
    for ours, theirs in zip(embeddings(found), embeddings(known), strict=True):
        torch.testing.assert_close(ours, theirs)


def loaded(model: str, path: Path, **options: Any) -> Any:
    """Return the model that a command would read."""
    return ClipSpec.parse(model, str(path), **options).load("cpu")
