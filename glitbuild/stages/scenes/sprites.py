"""An object drawn on its own: which pixels it has, and what they look like."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from glitbuild.stages.scenes.colours import COLOURS, pattern_mask, role_colours, second_colour
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.letters import lettering
from glitbuild.stages.scenes.scene import Look
from glitbuild.stages.scenes.shapes import Shape

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
