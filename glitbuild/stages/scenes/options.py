"""Options of ``glitbuild scenes``, and the splits that share no scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from glitbuild.errors import ConfigError
from glitbuild.stages.scenes.colours import COLOURS
from glitbuild.stages.scenes.kinds import KINDS

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

SIDES = (384, 1024)


@dataclass(frozen=True, slots=True)
class ScenesOptions:
    """Options of ``glitbuild scenes``; see ``glitbuild scenes --help``."""

    count: int
    out: str
    seed: int = 0
    split: str = "train"
    min_objects: int = 2
    max_objects: int = MOST_OBJECTS
    kinds: str = ""
    held_out_kinds: bool = False
    contrast: float = 0.5
    late: float = 0.8
    noise: float = 0.0
    size: int = 384
    shard_size: int = 1000
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--count", self.count), ("--shard-size", self.shard_size)):
            if value < 1:
                raise ConfigError(f"{name} {value}", "too small", "give at least 1")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"--seed {self.seed}", "out of range", "give a whole number from 0 to 2**63 - 1")
        if self.split not in SPLITS:
            raise ConfigError(f"--split {self.split}", "unknown split", "give train, val or test")
        for name, share in (("--contrast", self.contrast), ("--late", self.late), ("--noise", self.noise)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} {share}", "not a share", "give a number from 0 to 1")
        if not SIDES[0] <= self.size <= SIDES[1]:
            raise ConfigError(f"--size {self.size}", "out of range", f"give {SIDES[0]} to {SIDES[1]} pixels")
        self._check_objects()

    def _check_objects(self) -> None:
        if self.min_objects < 2:
            raise ConfigError(f"--min-objects {self.min_objects}", "too few", "give at least 2")
        if self.max_objects > MOST_OBJECTS:
            fix = f"give at most {MOST_OBJECTS}"
            raise ConfigError(f"--max-objects {self.max_objects}", "more than fit into a scene", fix)
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
