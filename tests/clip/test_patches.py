"""Patch embeddings are what each tower's own pooling and head make of the patch alone."""

from typing import Any

import open_clip
import pytest
import torch

from glitbuild.clip.patches import patch_tower
from glitbuild.errors import ModelError
from tests.clip.transformers_models import save_siglip

pytestmark = pytest.mark.slow

TIMM = [
    ("vit_tiny_patch16_224", "avg", "linear", 14, 16 / 224),
    ("vit_tiny_patch16_224", "token", "linear", 14, 16 / 224),
    ("vit_base_patch16_siglip_224", "map", "none", 14, 16 / 224),
    ("convnext_atto", "", "linear", 7, 1 / 7),
    ("fastvit_t8", "avg", "linear", 7, 1 / 7),
    ("swin_tiny_patch4_window7_224", "", "linear", 7, 1 / 7),
    ("eva02_tiny_patch14_224", "avg", "linear", 16, 14 / 224),
]


def timm_clip(name: str, pool: str, proj: str) -> Any:
    """Return a CLIP with a random image tower of timm and a small text tower."""
    torch.manual_seed(0)
    width = 768 if proj == "none" else 24
    vision: dict[str, Any] = {"timm_model_name": name, "timm_model_pretrained": False, "image_size": 224}
    vision |= {"timm_pool": pool, "timm_proj": proj}
    text = {"context_length": 16, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    return open_clip.CustomTextCLIP(width, vision, text).eval()


@pytest.mark.parametrize(("name", "pool", "proj", "side", "share"), TIMM)
def test_towers_of_timm(name: str, pool: str, proj: str, side: int, share: float) -> None:
    model = timm_clip(name, pool, proj)
    tower, pixels = patch_tower(model), torch.randn(2, 3, 224, 224)
    assert tower.grid.side == side
    assert tower.grid.share == pytest.approx(share)
    with torch.no_grad():
        pooled, patches = tower.embed(pixels)
        assert torch.equal(pooled, model.encode_image(pixels))
        assert patches.shape == (2, side * side, pooled.shape[1])
        assert not torch.allclose(patches[0, 0], patches[0, -1])
        # An image whose patches all have the same state is pooled to the embedding of each of them.
        states = model.visual.trunk.forward_features(pixels)
        model.visual.trunk.forward_features = lambda x: _all_alike(states, getattr(tower, "_prefix", 0), name)
        pooled, patches = tower.embed(pixels)
    assert torch.allclose(patches, pooled[:, None].expand_as(patches), atol=1e-4)


def _all_alike(states: torch.Tensor, prefix: int, name: str) -> torch.Tensor:
    if states.ndim == 3:
        return states[:, prefix : prefix + 1].expand_as(states)
    return (states[:, :1, :1] if name.startswith("swin") else states[:, :, :1, :1]).expand_as(states)


def test_siglip_of_transformers(tmp_path: Any) -> None:
    from glitbuild.clip.load import ClipSpec

    save_siglip(tmp_path)
    model = ClipSpec.parse(str(tmp_path)).load("cpu")
    tower, pixels = patch_tower(model), torch.randn(2, 3, 32, 32)
    assert (tower.grid.side, tower.grid.share) == (4, 0.25)
    with torch.no_grad():
        pooled, patches = tower.embed(pixels)
        assert torch.equal(pooled, model.encode_image(pixels))
        states = model.model.vision_model(pixel_values=pixels).last_hidden_state
        alone = model.model.vision_model.head(states[:, 5:6])
    assert torch.allclose(patches[:, 5], alone, atol=1e-6)


@pytest.mark.parametrize("architecture", ["RN50", "coca_ViT-B-32"])
def test_towers_without_patches_of_their_own_are_refused(architecture: str) -> None:
    with torch.device("meta"):
        model = open_clip.create_model(architecture, load_weights=False, device="meta", pretrained_text=False)
    with pytest.raises(ModelError):
        patch_tower(model)
