from pathlib import Path

import pytest
import torch

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import clip_tokenizer
from glitbuild.stages.train.data import Batches, ExampleMaker, load
from glitbuild.stages.train.plan import Plan
from glitbuild.stages.train.sources import Source
from tests.stages.train.worlds import matched_scenes, small_clip

pytestmark = pytest.mark.slow


def test_processes_that_decode_do_not_disturb_each_other_s_files(tmp_path: Path) -> None:
    source = Source.open(str(matched_scenes(tmp_path, (30,))))
    maker = ExampleMaker(Preprocess.of(small_clip()), clip_tokenizer("ViT-B-32"), 77)
    plan = Plan((30,), 0, 2)
    batches = Batches([source], maker, plan)
    alone = list(load(batches, plan.steps(1), 0))  # leaves the shard open in this process
    together = list(load(batches, plan.steps(1), 3))
    assert [batch.keys for batch in together] == [batch.keys for batch in alone]
    assert all(torch.equal(a.images, b.images) for a, b in zip(alone, together, strict=True))
