"""Options of ``glitbuild scenes``, and the splits that share no scene."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from glitbuild.errors import ConfigError
from glitbuild.options import OUT, OVERWRITE, Content, Options, about
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.shapes import COLOURS

T = TypeVar("T")

HELD_OUT_KINDS = ("tractor", "giraffe", "teapot", "umbrella", "pineapple", "windmill", "guitar")
"""Only in scenes of ``test`` that were asked for with ``held_out_kinds``."""

PURPOSES = ("block", "setting", "objects", "layout", "caption", "picture", "noise", "pretraining")
"""What random numbers are for: none is used for two things, so one choice doesn't shift the others."""


def stream(seed: int, split: str, index: int, purpose: str, part: int = 0) -> np.random.Generator:
    """Return the random numbers for one purpose of one scene; equal arguments give equal numbers."""
    return np.random.default_rng([seed, SPLITS.index(split), index, PURPOSES.index(purpose), part])


def pick(options: Sequence[T], number: float) -> T:
    """Return the option that a number in [0, 1) stands for."""
    return options[min(int(number * len(options)), len(options) - 1)]


def phrasings(split: str, options: Sequence[T]) -> Sequence[T]:
    """Return the phrasings of a fact that a split uses."""
    if split == "test":
        return [*options[:-2], options[-1]]
    return options[:-1] if split == "val" else options[:-2]


def owner(kind: str, colour: str) -> str:
    """Return the split that a combination is kept for, or an empty string."""
    number = (5 * list(KINDS).index(kind) + list(COLOURS).index(colour)) % len(COLOURS)
    return {0: "test", 7: "val"}.get(number, "")


def colours_for(split: str, kind: str) -> list[str]:
    """Return the colours that a kind may have in a split."""
    return [colour for colour in COLOURS if owner(kind, colour) in ("", split)]


def held_out(kind: str, colour: str) -> str:
    """Return what of an object is never in ``train``: ``kind``, ``colour`` (of such a kind) or nothing."""
    if kind in HELD_OUT_KINDS:
        return "kind"
    return "colour" if owner(kind, colour) else ""


SPLITS = ("train", "val", "test")
MOST_OBJECTS = 9
MOST_OF_A_KIND = 6
"""Objects a kind: each needs a colour of its own, and one of them four where contrast groups differ in it."""


@dataclass(frozen=True, slots=True)
class ScenesOptions(Options):
    """Draw scenes with long captions whose regions and sentences are known exactly.

    What is known is in OUT/truth/, a row per scene; all else is a dataset as `glitbuild ingest` makes it.
    """

    count: int = field(metadata=about("Number of scenes.", least=1, content=Content.YES))
    out: str = field(metadata=OUT)
    seed: int = field(
        default=0,
        metadata=about("Seed from which everything follows.", least=0, most=2**63 - 1, content=Content.YES),
    )
    split: str = field(
        default="train",
        metadata=about("Split; no two of them share a scene.", choices=SPLITS, content=Content.YES),
    )
    min_objects: int = field(default=2, metadata=about("Fewest objects per scene.", least=2, content=Content.YES))
    max_objects: int = field(
        default=MOST_OBJECTS,
        metadata=about("Most objects per scene.", most=MOST_OBJECTS, content=Content.YES),
    )
    kinds: str = field(
        default="",
        metadata=about("Kinds of objects, separated by commas.", absent="all of the split", content=Content.YES),
    )
    held_out_kinds: bool = field(
        default=False,
        metadata=about(
            "With --split test: in every scene an object of a kind that training never sees.", content=Content.YES
        ),
    )
    contrast: float = field(
        default=0.5,
        metadata=about(
            "Share of scenes in groups of four that differ in one thing.", least=0, most=1, content=Content.YES
        ),
    )
    late: float = field(
        default=0.8,
        metadata=about(
            "Share of these groups whose captions tell the difference last; in the others it is anywhere.",
            least=0,
            most=1,
            content=Content.YES,
        ),
    )
    noise: float = field(
        default=0.0,
        metadata=about(
            "Share of captions with a sentence about something that isn't in the image.",
            least=0,
            most=1,
            content=Content.YES,
        ),
    )
    size: int = field(
        default=384,
        metadata=about(
            "Height of the images in pixels; half of them are square, the others 4:3.",
            least=384,
            most=1024,
            content=Content.YES,
        ),
    )
    shard_size: int = field(default=1000, metadata=about("Samples per shard.", least=1, content=Content.YES))
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        self._check_objects()

    def _check_objects(self) -> None:
        if self.min_objects > self.max_objects:
            what = f"--min-objects {self.min_objects} --max-objects {self.max_objects}"
            raise ConfigError(what, "the least is more than the most", "swap them")
        if self.held_out_kinds and self.split != "test":
            what = f"--held-out-kinds --split {self.split}"
            raise ConfigError(what, "these kinds are kept for test", "add --split test")
        if self.kinds:
            from glitbuild.stages.scenes.kinds import parse_kinds

            names = [kind.name for kind in parse_kinds(self.kinds)]
            if self.max_objects > MOST_OF_A_KIND * len(names):
                what = f"--kinds {self.kinds} --max-objects {self.max_objects}"
                fix = f"name more kinds, or give at most {MOST_OF_A_KIND} objects a kind"
                raise ConfigError(what, "more objects than there are colours to tell them apart", fix)
            kept = [name for name in names if name in HELD_OUT_KINDS]
            if kept and not self.held_out_kinds:
                fix = "add --split test --held-out-kinds"
                raise ConfigError(f"--kinds {kept[0]}", "a kind held out of training", fix)
            if self.held_out_kinds and not kept:
                raise ConfigError(
                    f"--kinds {self.kinds}", "no held-out kind among them", "add one: " + ", ".join(HELD_OUT_KINDS)
                )
