import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from glitbuild.clip.load import load_clip
from glitbuild.demo_models.clip import load_demo_clip
from tools.demo_models.clip import ARCHITECTURE, Trainer, main, new_model
from tools.demo_models.stream import scene_batches

pytestmark = pytest.mark.slow


def test_the_command_makes_a_clip_that_loads_with_the_weights_it_had(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--steps", "2", "--batch-size", "2", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    model = load_demo_clip("cpu", tmp_path)
    embedding = model.token_embedding.weight
    assert embedding.shape == (49408, ARCHITECTURE["text_cfg"]["width"])
    known = embedding.abs().sum(dim=1) > 0
    assert 30 < int(known.sum()) < 300  # two steps show few words
    assert known[49406]
    assert known[49407]
    assert not model.training


def test_a_clip_without_crops_is_saved_as_a_folder_that_loads(tmp_path: Path) -> None:
    out = tmp_path / "whole"
    done = CliRunner().invoke(main, ["--steps", "1", "--batch-size", "2", "--whole-scenes", str(out)])
    assert done.exit_code == 0, done.output
    assert load_clip(str(out)).context_length == 77
    assert json.loads((out / "training.json").read_text())["pairs"] == 2
    assert CliRunner().invoke(main, ["--hard", "--whole-scenes", str(out)]).exit_code == 2


def test_training_on_the_same_pairs_finds_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trainer = Trainer(new_model(tmp_path), steps=40, lr=1e-3)
    (examples,) = scene_batches(trainer.pairs, 1, 3, seed=0)
    pairs = [pair for example in examples for pair in example]
    losses = [trainer.step(pairs)[0] for _ in range(40)]
    loss, right = trainer.step(pairs)
    assert loss < losses[0] / 2
    assert right > 0.8
