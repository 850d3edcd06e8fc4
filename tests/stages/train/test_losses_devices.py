"""What runs on a GPU, without one: fake tensors know their devices, and refuse to mix them as CUDA does."""

from dataclasses import replace

import open_clip
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import clip_tokenizer
from glitbuild.clip.towers import stretch
from glitbuild.stages.train.data import Batch, Batches, ExampleMaker
from glitbuild.stages.train.losses import Group, Objective, Views
from glitbuild.stages.train.plan import Place, Plan
from glitbuild.stages.train.sources import Source
from glitbuild.tsl import to_input
from tests.stages.train.worlds import MODEL_CFG, matched_scenes, small_clip

WEIGHTS = {"global": 1.0, "local": 0.5, "tsl": 1.0}


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> list[Batch]:
    """Return a batch, and that of a process without samples."""
    folder = matched_scenes(tmp_path_factory.mktemp("devices"), (3,))
    maker = ExampleMaker(Preprocess.of(small_clip()), clip_tokenizer("ViT-B-32"), 248)
    made = Batches([Source.open(str(folder))], maker, Plan((3,), 0, 1))
    return [made[[Place(0, 0, row) for row in range(3)]], made[[]]]


@pytest.mark.slow
def test_losses_of_a_batch_on_a_gpu_mix_no_devices(batches: list[Batch]) -> None:
    with FakeTensorMode() as fake:
        with torch.device("cuda"):
            model = open_clip.model.CLIP(**MODEL_CFG)
        open_clip.model.set_model_preprocess_cfg(model, vars(open_clip.transform.PreprocessCfg(size=32)).copy())
        stretch(model)
        assert str(model.attn_mask.device) == str(model.positional_embedding.device) == "cuda:0"
        views = Views(model, frozenset(WEIGHTS))
        for real in batches:
            names = ("images", "crops", "ids", "sentence_ids", "spans", "boxes", "windows")
            batch = replace(real, **{name: fake.from_tensor(getattr(real, name)) for name in names})
            with pytest.raises(Exception, match="same device"):
                views(batch)  # so mixing would be seen
            batch = batch.to("cuda")
            features = views(batch)
            assert {str(value.device) for value in features.values()} == {"cuda:0"}
            assert {len(value) for name, value in features.items() if name != "logit_scale"} == {len(batch)}
            losses = Objective(WEIGHTS)(features)
            assert {str(value.device) for value in losses.values()} == {"cuda:0"}
            outside = to_input(batch.boxes, batch.windows, 32)
            table = Group().table(torch.stack([losses["loss"].double(), (outside[:, 2:] <= 0).sum().double()]))
            assert (str(table.device), table.dtype) == ("cuda:0", torch.float64)


def test_a_process_without_samples_has_a_row_that_counts_for_nothing(batches: list[Batch]) -> None:
    _, blank = batches
    assert len(blank) == 0
    assert len(blank.images) == 1
    model = small_clip()
    features = Views(model, frozenset(WEIGHTS))(blank)
    for name, value in features.items():
        assert name == "logit_scale" or len(value) == 0
    losses = Objective({"tsl": 1.0})(features)
    losses["loss"].backward()
    assert float(losses["loss"]) == 0.0
    assert not any(parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)
