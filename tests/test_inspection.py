"""How well the captions of a dataset fit its images, in ``stats``."""

import json
from pathlib import Path

import numpy as np
import pytest

import glitbuild
from tests.run import here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspection")
    assert here("scenes", "--count", 6, "--out", "scenes", "--shard-size", 4, cwd=folder).returncode == 0
    return folder


def test_the_cosine_of_captions_is_the_models(scenes: Path) -> None:
    found = json.loads(here("stats", "scenes", "--json", "--clip-model", "demo", cwd=scenes).stdout)["alignment"]
    model = glitbuild.load_clip("demo", context_length=248)
    cosines = _cosines(model, scenes / "scenes")
    assert found["cosine_mean"] == pytest.approx(100 * cosines.mean(), abs=0.01)
    assert found["cosine_std"] == pytest.approx(100 * cosines.std(), abs=0.01)
    assert found["cosine_p50"] == pytest.approx(100 * np.median(cosines), abs=0.01)
    assert cosines.std() > 0.001
    assert (found["model"], found["context_length"]) == ("demo", 248)
    printed = here("stats", "scenes", "--clip-model", "demo", cwd=scenes).stdout
    assert f"mean {found['cosine_mean']:.2f}, " in printed
    assert "alignment" not in here("stats", "scenes", "--json", cwd=scenes).stdout


def _cosines(model: object, dataset: Path) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the cosines as open_clip's own transform and tokenizer give them."""
    import torch
    from open_clip import tokenize
    from open_clip.transform import PreprocessCfg, image_transform_v2

    clip: object = model
    transform = image_transform_v2(PreprocessCfg(**clip.visual.preprocess_cfg), is_train=False)  # type: ignore[attr-defined]
    images, texts = [], []
    for sample in glitbuild.read(str(dataset)):
        images.append(transform(sample.image))
        texts.append(sample.caption)
    with torch.no_grad():
        a = clip.encode_image(torch.stack(images), normalize=True)  # type: ignore[attr-defined]
        b = clip.encode_text(tokenize(texts, context_length=248), normalize=True)  # type: ignore[attr-defined]
    return (a.double() * b.double()).sum(dim=1).numpy()


def test_weights_without_a_model_are_refused(scenes: Path) -> None:
    result = here("stats", "scenes", "--clip-pretrained", "openai", cwd=scenes)
    assert result.returncode == 2
    assert "--clip-model" in result.stderr
