import json
from pathlib import Path

import pytest
import torch

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.saved import CONFIG, WEIGHTS, save_model
from glitbuild.clip.towers import stretch
from glitbuild.errors import ConfigError, ModelError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clip_checkpoint: Path) -> Path:
    spec = ClipSpec.parse("ViT-S-32-alt", str(clip_checkpoint))
    model = spec.load("cpu")
    stretch(model)
    path = tmp_path_factory.mktemp("saved") / "run"
    save_model(path, model, spec.model_cfg())
    return path


def test_a_stretched_model_comes_back_from_its_folder(folder: Path, clip_checkpoint: Path) -> None:
    spec = ClipSpec.parse(str(folder))
    model = spec.load("cpu")
    known = ClipSpec.parse("ViT-S-32-alt", str(clip_checkpoint)).load("cpu")
    stretch(known)
    assert model.context_length == 248
    state = known.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert Preprocess.of(model) == Preprocess.of(known)
    assert spec.tokenizer().context_length == 248
    assert spec.is_local
    assert spec.identity == ClipSpec.parse(str(folder)).identity
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


def test_it_takes_no_other_weights(folder: Path) -> None:
    with pytest.raises(ConfigError, match="it has its own weights"):
        ClipSpec.parse(str(folder), "openai")


def test_a_damaged_folder_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_bytes((folder / CONFIG).read_bytes())
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(ModelError, match=str(tmp_path)):
        ClipSpec.parse(str(tmp_path)).load("cpu")
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["embed_dim"] = 3
    (tmp_path / CONFIG).write_text(json.dumps(config))
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    with pytest.raises(ModelError, match=str(tmp_path)):
        ClipSpec.parse(str(tmp_path)).load("cpu")
