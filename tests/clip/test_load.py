import hashlib
from pathlib import Path

import open_clip
import pytest
import torch

from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ModelError

pytestmark = pytest.mark.slow


def test_a_local_checkpoint_is_loaded_and_known_by_its_content(clip_checkpoint: Path) -> None:
    spec = ClipSpec.parse("ViT-S-32-alt", str(clip_checkpoint))
    assert spec.identity == "sha256:" + hashlib.sha256(clip_checkpoint.read_bytes()).hexdigest()
    model = spec.load("cpu")
    assert not model.training
    saved = torch.load(clip_checkpoint, weights_only=True)
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "tag", "quick"), [("ViT-L-14-336", "openai", True), ("ViT-B-32", "laion2b_s34b_b79k", False)]
)
def test_weights_trained_with_quick_gelu_get_it(
    model: str, tag: str, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def create_model(name: str, **options: object) -> torch.nn.Module:
        asked.update(options)
        return torch.nn.Identity()

    monkeypatch.setattr(open_clip, "create_model", create_model)  # the weights can't be had without a network
    ClipSpec.parse(model, tag).load("cpu")
    assert asked["force_quick_gelu"] is quick
    assert asked["require_pretrained"] is True


def test_an_unknown_architecture_or_tag_is_named_with_what_there_is() -> None:
    with pytest.raises(ModelError, match="ViT-B-32"):
        ClipSpec.parse("ViT-B-33", "openai").load("cpu")
    with pytest.raises(ModelError, match="laion2b_s34b_b79k"):
        ClipSpec.parse("ViT-B-32", "laion3b").load("cpu")


@pytest.mark.parametrize("path", ["no/such/file", "nosuch.pt"])
def test_a_path_without_a_file_is_known_without_loading(path: str) -> None:
    with pytest.raises(ModelError, match="no such file"):
        ClipSpec.parse("ViT-B-32", path)


def test_weights_of_another_architecture_are_an_error(clip_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="--clip-pretrained"):
        ClipSpec.parse("ViT-S-16-alt", str(clip_checkpoint)).load("cpu")


def test_a_file_that_is_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photo.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match=r"photo\.pt"):
        ClipSpec.parse("ViT-S-32-alt", str(tmp_path / "photo.pt")).load("cpu")
