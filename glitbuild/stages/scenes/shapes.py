"""The simple shapes that every kind of object is made of, in a unit square with y down."""

import math
from dataclasses import dataclass

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
