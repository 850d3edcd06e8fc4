"""Training pairs of the embedded CLIP: crops with phrases and sentences, and whole scenes with short captions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.preprocess import Preprocess
from glitbuild.flism.regions import clamp, default_regions, pixels
from glitbuild.records import Box
from glitbuild.stages.scenes.captions import Caption, compose, noun_phrase
from glitbuild.stages.scenes.grammar import PATTERN_WORDS
from glitbuild.stages.scenes.options import phrasings, stream
from glitbuild.stages.scenes.scene import Scene, Thing

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_CROPS = 3
"""Number of objects per scene that are cropped; the crops of one scene are each other's hardest negatives."""

JITTER = 0.08
"""Largest shift of a box's edges, as a share of its sides, to imitate inaccurate detections."""

WORDS = 45
"""Most words of a short caption, about 77 tokens."""

JOINTS = (" and ", ", ", " with ", " plus ", "; ")
"""Joints between the objects of a region; with only one of them, its word would come to mean several objects."""

TextedImage = tuple[NDArray[np.uint8], str]
"""Input image with its text; an image with an empty text is only a negative."""


@dataclass(frozen=True, slots=True)
class PairMaker:
    """Makes image-text pairs of a scene.

    Attributes:
        preprocess: preprocessing of the model.
        hard: whether to add, without a text, the images that a sentence about an object is most easily confused
            with: the scene's other objects, and the default regions that contain the object.
        crops: whether to make pairs of crops; otherwise the whole scene is the only pair.
    """

    preprocess: Preprocess
    hard: bool = False
    crops: bool = True

    def __call__(self, scene: Scene, image: "Image") -> list[TextedImage]:
        """Return crops of some objects and of one default region, and the whole scene, each with its text."""
        rng = stream(scene.seed, scene.split, scene.index, "pretraining")
        caption = compose(scene)
        found = self._parts(scene, image, caption, rng) if self.crops else []
        opening, *others = (sentence.text for sentence in caption.sentences if sentence.fact != "nothing")
        short = opening
        for i in rng.permutation(len(others)).tolist():
            if len(f"{short} {others[i]}".split()) <= WORDS:
                short = f"{short} {others[i]}"
        found.append((self._crop(image, (0.0, 0.0, float(scene.width), float(scene.height))), short))
        return found

    def _parts(self, scene: Scene, image: "Image", caption: Caption, rng: np.random.Generator) -> list[TextedImage]:
        """Return crops of some objects and of one default region."""
        found: list[TextedImage] = []
        order = rng.permutation(len(scene.things)).tolist()
        for i in order[:MOST_CROPS]:
            said = [sentence.text for sentence in caption.sentences if i in sentence.objects]
            whole_sentence = rng.random() < 0.5
            text = str(rng.choice(said)) if whole_sentence else _phrase(scene, scene.things[i], rng)
            found.append((self._crop(image, _jittered(scene.things[i].box, rng)), text))
        regions = [region.box for region in default_regions(scene.width, scene.height)]
        region = regions.pop(int(rng.integers(5)))
        if inside := [thing for thing in scene.things if _inside(thing, region)]:
            named = [_phrase(scene, inside[i], rng) for i in rng.permutation(len(inside)).tolist()]
            found.append((self._crop(image, region), str(rng.choice(JOINTS)).join(named)))
        if self.hard:
            found += [(self._crop(image, _jittered(scene.things[i].box, rng)), "") for i in order[MOST_CROPS:]]
            shown = [scene.things[i] for i in order[:MOST_CROPS]]
            near = [box for box in regions if any(_inside(thing, box) for thing in shown)]
            found += [(self._crop(image, box), "") for box in near]
        return found

    def _crop(self, image: "Image", box: Box) -> NDArray[np.uint8]:
        box = clamp(box, image.width, image.height)
        return self.preprocess.crop(image, pixels(box, image.width, image.height))


def _phrase(scene: Scene, thing: Thing, rng: np.random.Generator) -> str:
    """Return a phrase for an object, with all its properties, or only with its colour and possibly its pattern."""
    look, form = thing.look, rng.random()
    if form < 0.2:
        return f"the {thing.ref}"
    if form < 0.4:
        pattern = str(rng.choice(phrasings(scene.split, PATTERN_WORDS[look.pattern])))
        return (
            f"a {pattern} and {look.colour} {look.kind}"
            if form < 0.3
            else f"{look.colour} and {pattern} {look.kind}"
        )
    return noun_phrase(scene.split, thing.look, rng.random(4).tolist())


def _jittered(box: tuple[int, int, int, int], rng: np.random.Generator) -> Box:
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    a, b, c, d = rng.uniform(-JITTER, JITTER, 4).tolist()
    return x1 + a * width, y1 + b * height, x2 + c * width, y2 + d * height


def _inside(thing: Thing, region: Box) -> bool:
    """Return whether most of an object is in a region."""
    x1, y1, x2, y2 = thing.box
    across = min(x2, region[2]) - max(x1, region[0])
    down = min(y2, region[3]) - max(y1, region[1])
    return across > 0 and down > 0 and across * down > 0.6 * (x2 - x1) * (y2 - y1)
