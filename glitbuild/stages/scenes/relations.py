"""Where things are in the picture and to each other, from their boxes and masks alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from glitbuild.stages.scenes.scene import Thing

Cell = tuple[int, int]
"""Column and row of the thirds of a picture: (0, 0) is the upper left."""


@dataclass(frozen=True, slots=True)
class Relation:
    """``name`` is true of the thing at hand and the thing ``other``; ``value`` is a ratio where it has one."""

    name: str
    other: int
    value: float = 0.0


def cell(box: tuple[int, int, int, int], width: int, height: int) -> Cell:
    """Return the third, across and down, in which the centre of a box lies."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return min(int(3 * x / width), 2), min(int(3 * y / height), 2)


def relations(things: Sequence[Thing], i: int, width: int, height: int) -> list[Relation]:
    """Return what is true of thing i and each other thing.

    * ``left``, ``right``: its centre is at least a tenth of the width further, and the boxes overlap across by
      at most a quarter of the narrower one.
    * ``above``, ``below``: likewise, down the picture.
    * ``next``: the boxes are less than a twelfth of the width apart, side by side at the same height.
    * ``front``, ``behind``: one hides some of the other.
    * ``wider``: its box is ``value`` times as wide (1.5 to 6).
    """
    found = []
    one = things[i]
    for j, other in enumerate(things):
        if i == j:
            continue
        across = _overlap(one.box[0], one.box[2], other.box[0], other.box[2])
        down = _overlap(one.box[1], one.box[3], other.box[1], other.box[3])
        dx, dy = other.centre[0] - one.centre[0], other.centre[1] - one.centre[1]
        if abs(dx) >= width / 10 and across <= 0.25:
            found.append(Relation("left" if dx > 0 else "right", j))
        if abs(dy) >= height / 10 and down <= 0.25:
            found.append(Relation("above" if dy > 0 else "below", j))
        gap = max(one.box[0], other.box[0]) - min(one.box[2], other.box[2])
        if 0 <= gap < width / 12 and down >= 0.5:
            found.append(Relation("next", j))
        if j in one.hides:
            found.append(Relation("front", j))
        if i in other.hides:
            found.append(Relation("behind", j))
        ratio = (one.box[2] - one.box[0]) / (other.box[2] - other.box[0])
        if 1.5 <= ratio <= 6:
            found.append(Relation("wider", j, round(ratio, 1)))
    return found


def _overlap(start: int, end: int, other_start: int, other_end: int) -> float:
    """Return how much of the shorter interval lies in the other; negative where they are apart."""
    return (min(end, other_end) - max(start, other_start)) / min(end - start, other_end - other_start)
