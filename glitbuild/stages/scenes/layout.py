"""The objects of a scene: each drawn on its own, and placed so that none is hidden too much."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.scene import SIZES, Look, Thing
from glitbuild.stages.scenes.shapes import COLOURS, Shape, lettering, pattern_mask, role_colours, second_colour

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


SCALE = 2
"""Drawn at twice the size and reduced: smooth edges at a quarter of the cost of four times the size."""

Placed = list[tuple[Shape, list[float], int]]

Drawing = tuple[Placed, int, int]
"""Shapes with their points and the thickness of their lines, and the width and height that hold them."""


def drawn_mask(look: Look, pixels: int) -> "NDArray[np.bool_]":
    """Return which pixels of its tight bounds an object covers by at least half."""
    _, bounds, solid = _alpha(_place(look, pixels))
    x1, y1, x2, y2 = bounds
    return solid[y1:y2, x1:x2]


def sprite(look: Look, pixels: int) -> "tuple[Image.Image, Image.Image, tuple[int, int]]":
    """Return an object's colours, its opacity, and where in them its tight bounds begin."""
    from PIL import Image

    drawing = _place(look, pixels)
    alpha, (x1, y1, *_), _ = _alpha(drawing)
    colours = role_colours(look.colour)
    image = _paint(drawing, colours)
    if look.pattern != "plain":
        other = _paint(drawing, colours | {"body": second_colour(look.colour)})
        step = max(4, round(pixels * 0.085))
        mask = np.zeros((image.height, image.width), np.uint8)
        # From the tight bounds on, so that the pattern moves with the object and not with its margin.
        mask[y1:, x1:] = pattern_mask(look.pattern, image.width - x1, image.height - y1, step)
        image.paste(other, (0, 0), Image.fromarray(mask))
    return image, alpha, (x1, y1)


def _alpha(drawing: Drawing) -> "tuple[Image.Image, tuple[int, int, int, int], NDArray[np.bool_]]":
    from PIL import Image, ImageDraw

    placed, width, height = drawing
    image = Image.new("L", (width * SCALE, height * SCALE))
    draw = ImageDraw.Draw(image)
    for shape, points, thickness in placed:
        _draw(draw, shape, points, thickness, 255)
    alpha = image.reduce(SCALE)
    solid = np.asarray(alpha) >= 128
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    return alpha, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1), solid


def _paint(drawing: Drawing, colours: dict[str, tuple[int, int, int]]) -> "Image.Image":
    from PIL import Image, ImageDraw

    placed, width, height = drawing
    # What lies under the edges shows through where they are soft.
    image = Image.new("RGB", (width * SCALE, height * SCALE), colours["shade"])
    draw = ImageDraw.Draw(image)
    for shape, points, thickness in placed:
        _draw(draw, shape, points, thickness, colours[shape.role])
    return image.reduce(SCALE)


def _draw(draw: Any, shape: Shape, points: list[float], thickness: int, fill: Any) -> None:
    if shape.width:
        draw.line(points, fill=fill, width=thickness, joint="curve")
    else:
        draw.polygon(points, fill=fill)


def _place(look: Look, pixels: int) -> Drawing:
    """Return the shapes in pixels of the drawing, flipped and tilted, and the size that holds them."""
    kind = KINDS[look.kind]
    shapes = kind.shapes
    if look.text:
        ink = "light" if sum(COLOURS[look.colour]) < 380 else "dark"
        shapes += lettering(look.text, ink)
    longer = pixels * SCALE
    width, height = (longer, longer / kind.aspect) if kind.aspect > 1 else (longer * kind.aspect, longer)
    points = np.array([point for shape in shapes for point in shape.points])
    points = (points - 0.5) * (width, height)
    if look.facing == "left":
        points[:, 0] *= -1
    if look.tilt:
        angle = math.radians(look.tilt)
        cos, sin = math.cos(angle), math.sin(angle)
        points = points @ np.array([[cos, sin], [-sin, cos]])
    margin = SCALE + max(shape.width for shape in shapes) * longer / 2
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    points -= low
    columns, rows = (math.ceil(extent / SCALE) for extent in (high - low).tolist())
    flat = points.ravel().tolist()
    placed: Placed = []
    start = 0
    for shape in shapes:
        end = start + 2 * len(shape.points)
        placed.append((shape, flat[start:end], max(1, round(shape.width * longer))))
        start = end
    return placed, columns, rows


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
