import hashlib
from pathlib import Path

import pytest

from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ModelError

pytestmark = pytest.mark.slow


def test_a_local_checkpoint_is_loaded_and_known_by_its_content(clip_checkpoint: Path) -> None:
    import torch

    spec = ClipSpec.parse("ViT-S-32-alt", str(clip_checkpoint))
    assert spec.identity == "sha256:" + hashlib.sha256(clip_checkpoint.read_bytes()).hexdigest()
    model = spec.load("cpu")
    assert not model.training
    saved = torch.load(clip_checkpoint, weights_only=True)
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_weights_trained_with_quick_gelu_get_it() -> None:
    assert ClipSpec.parse("ViT-L-14-336", "openai").quick_gelu
    assert not ClipSpec.parse("ViT-B-32", "laion2b_s34b_b79k").quick_gelu


def test_an_unknown_architecture_or_tag_is_known_without_loading() -> None:
    with pytest.raises(ModelError, match="ViT-B-32"):
        ClipSpec.parse("ViT-B-33", "openai")
    with pytest.raises(ModelError, match="laion2b_s34b_b79k"):
        ClipSpec.parse("ViT-B-32", "laion3b")


def test_weights_of_another_architecture_are_an_error(clip_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="--clip-pretrained"):
        ClipSpec.parse("ViT-S-16-alt", str(clip_checkpoint)).load("cpu")


def test_a_file_that_is_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photo.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match=r"photo\.pt"):
        ClipSpec.parse("ViT-S-32-alt", str(tmp_path / "photo.pt")).load("cpu")
