"""Nothing is made on another device than the model's. Fake tensors refuse a mixture as a GPU does, without one."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import TextEncoder, Tokens, clip_tokenizer
from glitbuild.clip.towers import Towers, stretch
from tests.clip.checkpoints import trained

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("custom_text", [False, True])
def test_both_towers_stay_on_the_models_device(custom_text: bool) -> None:
    with FakeTensorMode():
        with torch.device("cuda"):
            model = trained(custom_text=custom_text)
        stretch(model)
        assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"cuda"}
        towers, preprocess = Towers(model), Preprocess.of(model)
        states, images = towers.images(
            preprocess.normalise(torch.zeros(2, 64, 64, 3, dtype=torch.uint8, device="cuda"))
        )
        found = [images, towers.project_patches(states)]
        encoder = TextEncoder(model, clip_tokenizer("ViT-B-32"))
        found.append(encoder.encode([Tokens((49406, 320, 49407) + (0,) * 245, False)] * 2, "cuda"))
        states, texts = towers.texts(torch.zeros(2, 248, dtype=torch.long, device="cuda"))
        found += [texts, towers.project_tokens(states)]
        assert [tensor.device.type for tensor in found] == ["cuda"] * len(found)
        with pytest.raises(RuntimeError, match="same device"):
            towers.texts(torch.zeros(2, 248, dtype=torch.long))
