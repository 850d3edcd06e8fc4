"""What the splits share and what they don't: random numbers, combinations, phrasings and kinds.

Random numbers depend on the seed, the split and the scene's index, so no scene is in two splits. A twelfth of
the combinations of kind and colour is only ever in ``test``, another one only in ``val`` (and neither in
``train``); of the phrasings of a fact the last is kept for ``test`` and the one before it for ``val``.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from glitbuild.stages.scenes.colours import COLOURS
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.options import SPLITS

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
