"""What things are drawn with: simple shapes in a unit square with y down, colours and patterns, letters."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


Point = tuple[float, float]

OVAL_POINTS = 28
"""Corners of the polygon that stands for an ellipse, so that it can be tilted like everything else."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape.

    Attributes:
        role: what it is painted with: ``body`` has the object's colour and pattern, ``shade`` and ``tint``
            are darker and lighter versions of the colour, all others are fixed colours.
        points: the corners of a polygon, or of a line.
        width: of a line, as a share of the object's longer side; 0 for a polygon.
    """

    role: str
    points: tuple[Point, ...]
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object.

    Attributes:
        name: as captions say it, in the singular.
        aspect: width by height.
        shapes: drawn one over the other; what faces a side faces right.
        faces: it has a front: left and right look different.
        tilts: it may lie or hang askew.
        narrow: too little of it has its own colour for a pattern to be seen; it is always plain.
        flies: it may be anywhere in the picture, not only on the ground.
    """

    name: str
    aspect: float
    shapes: tuple[Shape, ...]
    faces: bool = False
    tilts: bool = False
    narrow: bool = False
    flies: bool = False


def poly(role: str, *points: Point) -> Shape:
    """Return a filled polygon."""
    return Shape(role, points)


def rect(role: str, x1: float, y1: float, x2: float, y2: float) -> Shape:
    """Return a filled rectangle."""
    return Shape(role, ((x1, y1), (x2, y1), (x2, y2), (x1, y2)))


def oval(role: str, x1: float, y1: float, x2: float, y2: float) -> Shape:
    """Return the ellipse that fills a rectangle."""
    return arc(role, x1, y1, x2, y2, 0, 360)


def arc(role: str, x1: float, y1: float, x2: float, y2: float, start: float, end: float) -> Shape:
    """Return the part of an ellipse between two angles in degrees, clockwise from the right, closed by a chord."""
    steps = max(3, round(OVAL_POINTS * (end - start) / 360))
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    cx, cy, rx, ry = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
    return Shape(role, tuple((cx + rx * math.cos(angle), cy + ry * math.sin(angle)) for angle in angles))


def line(role: str, width: float, *points: Point) -> Shape:
    """Return a line through the points."""
    return Shape(role, points, width)


Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (208, 34, 38),
    "orange": (242, 134, 24),
    "yellow": (246, 214, 46),
    "green": (44, 148, 62),
    "turquoise": (36, 186, 184),
    "blue": (36, 84, 206),
    "purple": (126, 52, 168),
    "pink": (244, 138, 186),
    "brown": (124, 78, 40),
    "black": (34, 34, 38),
    "white": (244, 244, 240),
    "grey": (136, 138, 142),
}

PATTERNS = ("plain", "striped", "dotted", "checked", "zigzag", "metallic")

FIXED: dict[str, Rgb] = {
    "dark": (46, 44, 50),
    "light": (240, 240, 236),
    "cream": (240, 226, 196),
    "glass": (176, 216, 234),
    "wood": (146, 100, 58),
    "metal": (168, 172, 180),
    "leaf": (74, 140, 60),
    "roof": (150, 66, 52),
    "yellow": (250, 222, 90),
    "orange": (238, 140, 40),
    "pink": (240, 160, 170),
}
"""What the roles of shapes other than the object's own colour look like."""


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """Return ``one`` with a share of ``other`` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def second_colour(colour: str) -> Rgb:
    """Return the other colour of a pattern: the same, but lighter or darker, so that the name stays true."""
    rgb = COLOURS[colour]
    bright = sum(rgb) > 520
    return mix(rgb, (0, 0, 0), 0.42) if bright else mix(rgb, (255, 255, 255), 0.5)


def role_colours(colour: str) -> dict[str, Rgb]:
    """Return what to paint each role of an object of this colour with."""
    rgb = COLOURS[colour]
    shade = mix(rgb, (255, 255, 255), 0.22) if colour == "black" else mix(rgb, (0, 0, 0), 0.28)
    return FIXED | {"body": rgb, "shade": shade, "tint": mix(rgb, (255, 255, 255), 0.35)}


def pattern_mask(pattern: str, width: int, height: int, step: int) -> "NDArray[np.uint8]":
    """Return, for a pattern other than plain, how much of the second colour each pixel has.

    Args:
        pattern: its name.
        width: in pixels.
        height: same as above.
        step: width of a stripe; everything else follows from it.
    """
    y, x = np.ogrid[0:height, 0:width]
    mask: Any
    if pattern == "striped":
        mask = ((x // step) % 2 == 0) & (y >= 0)
    elif pattern == "dotted":
        pitch = 2 * step
        mask = ((x % pitch) - step) ** 2 + ((y % pitch) - step) ** 2 < (0.62 * step) ** 2
    elif pattern == "checked":
        mask = (x // step + y // step) % 2 == 0
    elif pattern == "zigzag":
        mask = ((y + abs(x % (2 * step) - step)) // step) % 2 == 0
    else:  # metallic: soft bands of light
        return (127.5 + 127.5 * np.sin((x + 2.5 * y) / (1.3 * step))).astype(np.uint8)
    drawn: NDArray[np.uint8] = mask.astype(np.uint8) * 255
    return drawn


WORDS = ("STOP", "OPEN", "EXIT", "SALE", "SLOW", "CAFE", "TAXI", "ZOO")

_STROKES: dict[str, tuple[tuple[Point, ...], ...]] = {
    "A": (((0, 1), (0.5, 0), (1, 1)), ((0.2, 0.65), (0.8, 0.65))),
    "C": (((1, 0.1), (0.6, 0), (0.15, 0.1), (0, 0.5), (0.15, 0.9), (0.6, 1), (1, 0.9)),),
    "E": (((1, 0), (0, 0), (0, 1), (1, 1)), ((0, 0.5), (0.8, 0.5))),
    "F": (((1, 0), (0, 0), (0, 1)), ((0, 0.5), (0.8, 0.5))),
    "I": (((0.5, 0), (0.5, 1)),),
    "L": (((0, 0), (0, 1), (1, 1)),),
    "N": (((0, 1), (0, 0), (1, 1), (1, 0)),),
    "O": (((0.5, 0), (0.1, 0.15), (0, 0.5), (0.1, 0.85), (0.5, 1), (0.9, 0.85), (1, 0.5), (0.9, 0.15), (0.5, 0)),),
    "P": (((0, 1), (0, 0), (0.8, 0), (1, 0.25), (0.8, 0.52), (0, 0.52)),),
    "S": (((1, 0.08), (0.5, 0), (0.05, 0.15), (0.1, 0.42), (0.9, 0.56), (0.95, 0.85), (0.5, 1), (0, 0.9)),),
    "T": (((0, 0), (1, 0)), ((0.5, 0), (0.5, 1))),
    "W": (((0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)),),
    "X": (((0, 0), (1, 1)), ((1, 0), (0, 1))),
    "Z": (((0, 0), (1, 0), (0, 1), (1, 1)),),
}


def lettering(word: str, role: str) -> tuple[Shape, ...]:
    """Return the strokes of a word on the board of a signpost."""
    x1, y1, x2, y2 = 0.1, 0.12, 0.9, 0.38
    pitch = (x2 - x1) / len(word)
    return tuple(
        line(role, 0.034, *((x1 + pitch * (number + 0.12 + 0.66 * x), y1 + (y2 - y1) * y) for x, y in stroke))
        for number, letter in enumerate(word)
        for stroke in _STROKES[letter]
    )
