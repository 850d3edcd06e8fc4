import open_clip
import pytest
import torch

from glitbuild.clip.towers import stretch, stretch_positions
from glitbuild.errors import ModelError

pytestmark = pytest.mark.slow


def test_positions_are_those_of_the_formula() -> None:
    p = torch.randn(77, 5, dtype=torch.float64)
    new = stretch_positions(p)
    assert new.shape == (248, 5)
    assert torch.equal(new[:20], p[:20])
    for i in range(56):
        for j in range(4):
            expected = (1 - j / 4) * p[20 + i] + (j / 4) * p[21 + i]
            assert torch.allclose(new[20 + 4 * i + j], expected, atol=1e-12)
    for j in range(4):
        assert torch.allclose(new[244 + j], p[76] + (j / 4) * (p[76] - p[75]), atol=1e-12)


def test_a_stretched_model_reads_248_tokens_and_short_texts_as_before() -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-S-32-alt", pretrained=None).eval()
    ids = open_clip.get_tokenizer("ViT-S-32-alt")(["a red car"])
    with torch.no_grad():
        before = model.encode_text(ids)
        stretch(model)
        long = torch.zeros(1, 248, dtype=torch.long)
        long[:, :77] = ids
        assert torch.allclose(model.encode_text(long), before, atol=1e-5)  # it is shorter than the 20 that are kept
    assert model.attn_mask.shape == (248, 248)
    assert torch.isinf(model.attn_mask[0, 1:]).all()
    assert (model.attn_mask.tril() == 0).all()
    assert "attn_mask" not in model.state_dict()
    assert model.state_dict()["positional_embedding"].shape[0] == 248
    assert model.positional_embedding.requires_grad
    again = model.positional_embedding
    stretch(model)
    assert model.positional_embedding is again


def test_a_model_of_another_length_or_another_kind_is_refused() -> None:
    model = open_clip.create_model("ViT-S-32-alt", pretrained=None, force_context_length=100)
    with pytest.raises(ModelError, match="100 tokens"):
        stretch(model)
    with pytest.raises(ModelError, match="not a causal transformer"):
        stretch(torch.nn.Linear(1, 1))
