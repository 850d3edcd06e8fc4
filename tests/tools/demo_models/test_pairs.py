import numpy as np
import pytest

from glitbuild.clip.preprocess import Preprocess
from glitbuild.stages.scenes.captions import compose
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import render
from glitbuild.stages.scenes.world import make_scene
from tools.demo_models.pairs import MOST_CROPS, WORDS, PairMaker

PREPROCESS = Preprocess(32, False, 3, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("index", range(8))
def test_a_scene_gives_crops_of_objects_a_region_and_the_whole(index: int) -> None:
    scene = make_scene(ScenesOptions(count=1, out="", contrast=0.0), index)
    image = render(scene)
    pairs = PairMaker(PREPROCESS)(scene, image)
    crops = min(MOST_CROPS, len(scene.things))
    assert crops + 1 <= len(pairs) <= crops + 2
    assert all(pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8 for pixels, _ in pairs)
    for _, text in pairs[:crops]:
        assert any(thing.look.kind in text for thing in scene.things)
    whole, short = pairs[-1]
    assert np.array_equal(whole, PREPROCESS.crop(image, (0, 0, image.width, image.height)))
    assert short.startswith(compose(scene).sentences[0].text)
    assert len(short.split()) <= WORDS


def test_without_crops_the_whole_scene_is_the_only_pair() -> None:
    scene = make_scene(ScenesOptions(count=1, out="", contrast=0.0), 2)
    image = render(scene)
    ((whole, short),) = PairMaker(PREPROCESS, crops=False)(scene, image)
    assert np.array_equal(whole, PREPROCESS.crop(image, (0, 0, image.width, image.height)))
    assert short.startswith(compose(scene).sentences[0].text)
    assert len(short.split()) > len(compose(scene).sentences[0].text.split())


def test_the_same_scene_gives_the_same_pairs() -> None:
    scene = make_scene(ScenesOptions(count=1, out="", contrast=0.0), 3)
    one, two = (PairMaker(PREPROCESS)(scene, render(scene)) for _ in range(2))
    assert [text for _, text in one] == [text for _, text in two]
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(one, two, strict=True))
