"""Capital letters as strokes, and the words that signs show."""

from glitbuild.stages.scenes.shapes import Point, Shape, line

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
