"""Where the objects of a scene are: on the ground, wholly in the picture, none hidden too much."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.scene import SIZES, Look, Thing
from glitbuild.stages.scenes.sprites import drawn_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_VISIBLE = 0.6
"""No object is hidden by more than 40% of its pixels."""

HIDES = 0.02
"""Less than this hidden is not worth saying."""

MARGIN = 3
"""Pixels between an object and the picture's edge, where its soft edge still has room."""

TRIES = 40
"""Places tried for an object before its scene is begun anew."""


class Layout:
    """Objects placed one after the other.

    Args:
        width: of the picture.
        height: same as above.
        horizon: where the ground begins, as a share of the height.
    """

    def __init__(self, width: int, height: int, horizon: float) -> None:
        self._width, self._height, self._ground = width, height, round(horizon * height)
        self.extent = (width, height)
        self.things: list[Thing] = []
        self._masks: list[NDArray[np.bool_]] = []

    def add(
        self, look: Look, rng: np.random.Generator, fits: Callable[[Thing], bool] = lambda thing: True
    ) -> Thing | None:
        """Find a place for an object, and return it as placed, or None where there is none.

        Args:
            look: of the object.
            rng: where places are drawn from.
            fits: what else the place must fulfil.
        """
        pixels = round(SIZES[look.size] * self._height)
        mask = drawn_mask(look, pixels)
        height, width = mask.shape
        if width > self._width - 2 * MARGIN or height > self._height - 2 * MARGIN:
            return None
        for u, v in rng.random((TRIES, 2)).tolist():
            x = MARGIN + round(u * (self._width - 2 * MARGIN - width))
            thing = Thing(look, pixels, *self._stand(look, x, v, width, height))
            if fits(thing) and self._visible_with(thing, mask):
                self.things.append(thing)
                self._masks.append(mask)
                return thing
        return None

    def drop(self) -> None:
        """Take the last object away again."""
        self.things.pop()
        self._masks.pop()

    def finished(self) -> tuple[Thing, ...]:
        """Return the objects with what is visible and hidden of them."""
        shares, hides = occlusion(self.things, self._masks)
        return tuple(
            replace(thing, visible=round(share, 3), hides=tuple(hidden))
            for thing, share, hidden in zip(self.things, shares, hides, strict=True)
        )

    def _stand(
        self, look: Look, x: int, v: float, width: int, height: int
    ) -> tuple[tuple[int, int, int, int], float]:
        lowest = self._height - MARGIN
        if KINDS[look.kind].flies:
            bottom = MARGIN + height + round(v * (lowest - MARGIN - height))
            depth = float(bottom) if bottom > self._ground else bottom - self._height  # in the sky: behind all
        else:
            # A foot on the ground, and never so high that the head is out of the picture.
            highest = max(self._ground + round(0.03 * self._height), MARGIN + height)
            bottom = highest + round(v * (lowest - highest))
            depth = float(bottom)
        return (x, bottom - height, x + width, bottom), depth

    def _visible_with(self, thing: Thing, mask: "NDArray[np.bool_]") -> bool:
        if not any(_touch(thing.box, other.box) for other in self.things):
            return True
        shares, _ = occlusion([*self.things, thing], [*self._masks, mask])
        return min(shares) >= LEAST_VISIBLE


def occlusion(things: Sequence[Thing], masks: "Sequence[NDArray[np.bool_]]") -> tuple[list[float], list[list[int]]]:
    """Return what share of each thing's pixels is visible, and which others it hides, from their masks."""
    shares: list[float] = []
    hides: list[list[int]] = [[] for _ in things]
    for i, (thing, mask) in enumerate(zip(things, masks, strict=True)):
        seen, area = mask.copy(), int(mask.sum())
        for j, other in enumerate(things):
            if nearer(things, j, i) and _touch(thing.box, other.box):
                x1, y1 = max(thing.box[0], other.box[0]), max(thing.box[1], other.box[1])
                x2, y2 = min(thing.box[2], other.box[2]), min(thing.box[3], other.box[3])
                below = (slice(y1 - thing.box[1], y2 - thing.box[1]), slice(x1 - thing.box[0], x2 - thing.box[0]))
                above = (slice(y1 - other.box[1], y2 - other.box[1]), slice(x1 - other.box[0], x2 - other.box[0]))
                covered = mask[below] & masks[j][above]
                seen[below] &= ~covered
                if int(covered.sum()) >= HIDES * area:
                    hides[j].append(i)
        shares.append(int(seen.sum()) / area)
    return shares, hides


def nearer(things: Sequence[Thing], i: int, j: int) -> bool:
    """Tell whether thing i is nearer than thing j, and so drawn over it."""
    return i != j and (things[i].depth, i) > (things[j].depth, j)


def _touch(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
