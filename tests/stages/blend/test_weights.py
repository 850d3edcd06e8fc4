"""Between the weights of a base and its run, with exact ends."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ModelError
from glitbuild.stages.blend.weights import blended, load_both
from tests.clip.transformers_models import save_clip_model
from tests.stages.evaluate.models import save_small_clip


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_a_blend_lies_between_and_its_ends_are_exact(seed: int, alpha: float) -> None:
    torch.manual_seed(seed)
    base = {"weight": torch.randn(4, 3), "scale": torch.tensor(float("-0.0")), "count": torch.tensor(3)}
    tuned = {"weight": torch.randn(4, 3), "scale": torch.tensor(2.0), "count": torch.tensor(9)}
    found = blended(base, tuned, alpha)
    low, high = torch.minimum(base["weight"], tuned["weight"]), torch.maximum(base["weight"], tuned["weight"])
    assert ((found["weight"] >= low - 1e-6) & (found["weight"] <= high + 1e-6)).all()
    assert torch.allclose(found["weight"], torch.lerp(base["weight"], tuned["weight"], alpha), atol=1e-5)
    assert found["count"] == (9 if alpha else 3)
    for end, state in ((0, base), (1, tuned)):
        assert {name: value.numpy().tobytes() for name, value in blended(base, tuned, end).items()} == {
            name: value.numpy().tobytes() for name, value in state.items()
        }


@pytest.mark.slow
def test_the_base_is_stretched_to_the_length_of_the_run(tmp_path: Path) -> None:
    base, run = save_small_clip(tmp_path / "base"), save_small_clip(tmp_path / "run", 248)
    one, other = load_both(ClipSpec.parse(str(base)), ClipSpec.parse(str(run)))
    assert one.context_length == other.context_length == 248
    assert torch.equal(one.positional_embedding, other.positional_embedding)


@pytest.mark.slow
def test_models_of_another_kind_are_refused(tmp_path: Path) -> None:
    run = ClipSpec.parse(str(save_small_clip(tmp_path / "run")))
    with pytest.raises(ModelError, match=r"demo.*not those of run's architecture"):
        load_both(ClipSpec.parse("demo"), run)
    save_clip_model(tmp_path / "quick")
    save_clip_model(tmp_path / "gelu")
    for tower in ("text_config", "vision_config"):
        _gelu(tmp_path / "gelu" / "config.json", tower)
    with pytest.raises(ModelError, match="activation"):
        load_both(ClipSpec.parse(str(tmp_path / "quick")), ClipSpec.parse(str(tmp_path / "gelu")))


def _gelu(path: Path, tower: str) -> None:
    import json

    config = json.loads(path.read_text())
    config[tower]["hidden_act"] = "gelu"
    path.write_text(json.dumps(config))
