"""What is known of a scene: the row of ``truth/`` (see ``schemas/truth.schema.json``)."""

from typing import Any

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
