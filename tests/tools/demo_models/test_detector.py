import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from glitbuild.demo_models.detector import load_demo_detector
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import render
from glitbuild.stages.scenes.world import make_scene
from tools.demo_models.detector import ARCHITECTURE, NAMES, collate, example, main
from tools.demo_models.stream import scene_batches

pytestmark = pytest.mark.slow

SIZE = ARCHITECTURE["image_size"]


@pytest.mark.parametrize("index", range(6))
def test_boxes_are_where_ultralytics_puts_those_pixels(index: int) -> None:
    scene = make_scene(ScenesOptions(count=1, out="", contrast=0.0), index)
    black = Image.new("RGB", (scene.width, scene.height))
    for thing in scene.things:
        black.paste((255, 255, 255), thing.box)
    picture, rows = example(scene, black)
    assert picture.shape == (SIZE, SIZE, 3)
    union = np.zeros((SIZE, SIZE), bool)
    for thing, (kind, x, y, width, height) in zip(scene.things, rows.tolist(), strict=True):
        assert NAMES[int(kind)] == thing.look.kind
        x1, y1, x2, y2 = (round(v * SIZE) for v in (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        union[y1:y2, x1:x2] = True
    white = (picture > 127).all(axis=2)
    assert (white & union).sum() / (white | union).sum() > 0.97


def test_a_batch_is_what_ultralytics_loss_takes() -> None:
    (examples,) = scene_batches(example, 1, 3, seed=0)
    batch = collate(examples)
    assert batch["img"].shape == (3, 3, SIZE, SIZE)
    assert 0 <= batch["img"].min() <= batch["img"].max() <= 1
    counts = [len(rows) for _, rows in examples]
    assert batch["batch_idx"].tolist() == [float(i) for i, count in enumerate(counts) for _ in range(count)]
    assert batch["cls"].shape == (sum(counts), 1)
    assert batch["bboxes"].shape == (sum(counts), 4)


def test_the_command_makes_a_detector_that_loads(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--steps", "2", "--batch-size", "2", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "detector.json").read_text())["names"] == NAMES
    detector = load_demo_detector(0.0001, "cpu", tmp_path)
    picture = render(make_scene(ScenesOptions(count=1, out=""), 0))
    assert len(detector.detect([picture, picture])) == 2
