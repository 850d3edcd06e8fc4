"""What is known of a scene (see ``schemas/truth.schema.json``), and how well what was found agrees with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glitbuild.flism.regions import iou
from glitbuild.records import Box, Matched
from glitbuild.stages.scenes.captions import compose
from glitbuild.stages.scenes.options import held_out
from glitbuild.stages.scenes.scene import Scene


def describe(scene: Scene) -> tuple[str, dict[str, Any]]:
    """Return the caption of a scene and its truth."""
    caption = compose(scene)
    things = scene.things
    whole = [list(scene.whole)]
    sentences = [
        {
            "span": list(span),
            "about": sentence.about,
            "boxes": [list(things[i].box) for i in sentence.objects] if sentence.about != "whole" else whole,
            "objects": list(sentence.objects),
            "mentions": list(sentence.mentions),
            "fact": sentence.fact,
            "true": sentence.true,
        }
        for span, sentence in zip(caption.spans, caption.sentences, strict=True)
    ]
    objects = [
        {
            "box": list(thing.box),
            "kind": thing.look.kind,
            "colour": thing.look.colour,
            "pattern": thing.look.pattern,
            "size": thing.look.size,
            "facing": thing.look.facing,
            "tilt": thing.look.tilt,
            "text": thing.look.text,
            "visible": thing.visible,
            "held_out": held_out(thing.look.kind, thing.look.colour),
        }
        for thing in things
    ]
    return caption.text, {
        "key": scene.key,
        "sentences": sentences,
        "objects": objects,
        "split": scene.split,
        "contrast": scene.group,
        "differs": scene.differs,
        "focus": scene.focus,
    }


OVERLAP = 0.5
"""A region is right from this intersection over union on."""

RIGHT = "right"
DEFAULT_REGION = "a default region"
LOOSE_BOX = "its own object, but a poor box"
MENTIONED = "another object that the sentence mentions"
SAME_KIND = "another object of the kind"
SAME_COLOUR = "another object of the colour"
OTHER = "another object"
NO_OBJECT = "a detection where no object is"
NOT_SPLIT = "the sentence was split otherwise"


@dataclass(slots=True)
class Accuracy:
    """Counts over scenes.

    Attributes:
        scenes: how many there were.
        sentences: of the captions.
        spans: those that the splitter found exactly.
        about_one: sentences about one object.
        chosen: what was chosen for them: ``right``, or what instead.
        best_right: images whose best pair is a sentence about one object with a right region.
    """

    scenes: int = 0
    sentences: int = 0
    spans: int = 0
    about_one: int = 0
    chosen: Counter[str] = field(default_factory=Counter)
    best_right: int = 0

    def add(self, matched: Matched, truth: Mapping[str, Any]) -> None:
        """Count one scene.

        Args:
            matched: what was found.
            truth: its row of ``truth/``.
        """
        self.scenes += 1
        pairs = {matched.sentences[pair.sentence]: pair for pair in matched.pairs}
        best = matched.sentences[matched.pairs[matched.best_pair].sentence]
        for sentence in truth["sentences"]:
            span = (sentence["span"][0], sentence["span"][1])
            self.sentences += 1
            self.spans += span in pairs
            if sentence["about"] != "object" or len(sentence["objects"]) != 1:
                continue
            self.about_one += 1
            region = matched.regions[pairs[span].region] if span in pairs else None
            verdict = NOT_SPLIT
            if region:
                is_default = region.kind != "object"
                verdict = judge(region.box, is_default, sentence, truth["objects"])
            self.chosen[verdict] += 1
            self.best_right += span == best and verdict == RIGHT

    @property
    def regions_right(self) -> float:
        """The share of sentences about one object whose region overlaps the truth with IoU >= .5."""
        return self.chosen[RIGHT] / self.about_one if self.about_one else 0.0

    @property
    def best_pairs_right(self) -> float:
        """The share of images whose best pair is right."""
        return self.best_right / self.scenes if self.scenes else 0.0

    @property
    def spans_right(self) -> float:
        """The share of sentences whose span was found exactly."""
        return self.spans / self.sentences if self.sentences else 0.0

    def confusions(self) -> list[tuple[str, int]]:
        """Return what was chosen instead of the right region, the most frequent first."""
        return [(name, count) for name, count in self.chosen.most_common() if name != RIGHT]


def judge(box: Box, is_default: bool, sentence: Mapping[str, Any], objects: Sequence[Mapping[str, Any]]) -> str:
    """Say what a region is that was chosen for a sentence about one object.

    Args:
        box: of the region, xyxy in pixels.
        is_default: it is a quadrant or the centre.
        sentence: of a row of truth.
        objects: of the same row.
    """
    (subject,) = sentence["objects"]
    overlaps = [iou(box, tuple(thing["box"])) for thing in objects]
    if overlaps[subject] >= OVERLAP:
        return RIGHT
    if is_default:
        return DEFAULT_REGION
    nearest = max(range(len(objects)), key=overlaps.__getitem__)
    if overlaps[nearest] < OVERLAP:
        return LOOSE_BOX if nearest == subject and overlaps[subject] > 0 else NO_OBJECT
    if nearest in sentence["mentions"]:
        return MENTIONED
    for name, verdict in (("kind", SAME_KIND), ("colour", SAME_COLOUR)):
        if objects[nearest][name] == objects[subject][name]:
            return verdict
    return OTHER
