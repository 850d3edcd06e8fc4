import numpy as np
import pytest
import torch

from glitbuild.clip.encoder import ClipEncoder
from glitbuild.clip.load import ClipSpec
from glitbuild.demo_models.clip import EMBEDDING, ROWS, compact, expand
from glitbuild.flism.matching import similarities
from glitbuild.flism.regions import pixels
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import render
from glitbuild.stages.scenes.world import make_scene

pytestmark = pytest.mark.slow


def test_what_is_stored_compactly_comes_back_whole() -> None:
    state = {EMBEDDING: torch.randn(50, 4).half().float(), "other": torch.randn(3).half().float()}
    rows = torch.tensor([3, 7, 49])
    stored = compact(state, rows)
    assert stored[EMBEDDING].shape == (3, 4)
    assert stored["other"].dtype == torch.float16
    whole = expand(stored[EMBEDDING].float(), stored[ROWS].long(), 50)
    assert torch.equal(whole[rows], state[EMBEDDING][rows])
    assert whole[[0, 1, 48]].abs().sum() == 0


def test_it_tells_things_of_a_scene_apart_by_kind_and_colour() -> None:
    encoder = ClipEncoder(ClipSpec.parse("demo"), "cpu")
    right = total = 0
    for index in range(8):
        scene = make_scene(ScenesOptions(count=1, out="", seed=4, split="val", contrast=0.0), index)
        image = render(scene)
        boxes = [pixels(thing.box, image.width, image.height) for thing in scene.things]
        crops = np.stack(encoder.images([encoder.preprocess.crop(image, box) for box in boxes]))
        texts = encoder.texts(encoder.tokenize([f"the {thing.ref}" for thing in scene.things]))
        right += int((similarities(texts, crops).argmax(axis=1) == np.arange(len(boxes))).sum())
        total += len(boxes)
    assert right / total > 0.85
