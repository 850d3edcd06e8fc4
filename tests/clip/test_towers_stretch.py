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


def test_from_77_to_248_the_numbers_are_those_of_long_clip_to_the_bit() -> None:
    p = torch.randn(77, 64)
    steps = torch.arange(4).view(1, 4, 1) / 4
    between = (1 - steps) * p[20:-1, None] + steps * p[21:, None]
    last = p[-1] + steps[0] * (p[-1] - p[-2])
    assert torch.equal(stretch_positions(p), torch.cat([p[:20], between.flatten(0, 1), last]))


@pytest.mark.parametrize(("own", "length"), [(77, 100), (77, 496), (248, 496), (64, 65)])
def test_any_number_of_positions_lies_on_the_line_through_the_given_ones(own: int, length: int) -> None:
    slope, rows = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.arange(own, dtype=torch.float64)[:, None]
    new = stretch_positions(rows * slope, length)
    place = torch.arange(length, dtype=torch.float64)
    place[20:] = 20 + (place[20:] - 20) * (own - 20) / (length - 20)
    assert new.shape == (length, 2)
    assert torch.allclose(new, place[:, None] * slope, atol=1e-9)


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


def test_a_model_that_reads_more_or_hardly_anything_or_of_another_kind_is_refused() -> None:
    model = open_clip.create_model("ViT-S-32-alt", pretrained=None, force_context_length=300)
    with pytest.raises(ModelError, match="300 tokens already"):
        stretch(model)
    stretch(model, 320)
    assert model.context_length == 320
    assert model.attn_mask.shape == (320, 320)
    model = open_clip.create_model("ViT-S-32-alt", pretrained=None, force_context_length=20)
    with pytest.raises(ModelError, match="after the first 20"):
        stretch(model)
    with pytest.raises(ModelError, match="not a causal transformer"):
        stretch(torch.nn.Linear(1, 1))
