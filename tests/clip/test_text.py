import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.clip.text import TextEncoder, clip_tokenizer
from tests.factories import texts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return open_clip.create_model("ViT-S-32-alt", pretrained=None).eval()


@settings(deadline=None, max_examples=20)
@given(st.lists(texts.map(lambda text: text * 9), min_size=1, max_size=5))
def test_a_batch_padded_to_its_longest_text_gives_what_the_full_length_gives(
    model: torch.nn.Module, batch: list[str]
) -> None:
    encoder = TextEncoder(model, clip_tokenizer("ViT-S-32-alt"))
    tokens = encoder.tokenize(batch)
    with torch.inference_mode():
        ours = encoder.encode(tokens, "cpu")
        theirs = model.encode_text(open_clip.get_tokenizer("ViT-S-32-alt")(batch))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_long_texts_are_cut_and_end_with_end_of_text(model: torch.nn.Module) -> None:
    short, long = TextEncoder(model, clip_tokenizer("ViT-S-32-alt")).tokenize(["a dog", "dog " * 100])
    assert (len(short.ids), short.truncated) == (4, False)
    assert (len(long.ids), long.truncated) == (77, True)
    assert short.ids[-1] == long.ids[-1] == max(long.ids)
    exact = TextEncoder(model, clip_tokenizer("ViT-S-32-alt")).tokenize(["dog " * 75])[0]
    assert (len(exact.ids), exact.truncated) == (77, False)


def test_towers_of_another_build_get_their_full_length() -> None:
    torch.manual_seed(0)
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 64,
            "heads": 2,
            "layers": 1,
            "no_causal_mask": True,
        },
    }
    other = open_clip.CLIP(**config).eval()
    encoder = TextEncoder(other, open_clip.get_tokenizer("ViT-S-32-alt", context_length=16))
    assert not encoder.trims
