"""The colours and patterns that objects have, by the name that captions use."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
