"""The settings of scenes: which there are, and in what light and weather."""

from dataclasses import dataclass

import numpy as np

from glitbuild.stages.scenes.colours import Rgb
from glitbuild.stages.scenes.options import pick
from glitbuild.stages.scenes.scene import Setting


@dataclass(frozen=True, slots=True)
class Place:
    """A setting.

    Attributes:
        phrase: as captions name it, with its article.
        ground: what things stand on.
        floors: the two looks the ground may have, by the texture that is drawn.
        colours: of the ground, and of the wall or the hills behind it.
        indoor: the sky is seen through a window only.
    """

    phrase: str
    ground: str
    floors: dict[str, str]
    colours: tuple[Rgb, Rgb]
    indoor: bool = False


PLACES = {
    "beach": Place(
        "a beach", "sand", {"ripples": "rippled by the wind", "smooth": "smooth"}, ((228, 206, 156), (62, 132, 176))
    ),
    "street": Place(
        "a street",
        "asphalt",
        {"specks": "rough and speckled", "smooth": "smooth"},
        ((120, 120, 124), (170, 158, 148)),
    ),
    "meadow": Place(
        "a meadow", "grass", {"blades": "long and uncut", "smooth": "cut short"}, ((122, 172, 88), (92, 140, 82))
    ),
    "desert": Place(
        "a desert",
        "ground",
        {"ripples": "rippled by the wind", "specks": "stony"},
        ((222, 180, 118), (204, 152, 96)),
    ),
    "snowfield": Place(
        "a snowy field",
        "snow",
        {"smooth": "untouched and smooth", "specks": "marked with small pits"},
        ((232, 238, 244), (196, 210, 224)),
    ),
    "kitchen": Place(
        "a kitchen",
        "floor",
        {"tiles": "tiled", "smooth": "bare and even"},
        ((202, 190, 172), (214, 224, 222)),
        True,
    ),
    "living room": Place(
        "a living room",
        "floor",
        {"boards": "made of boards", "smooth": "covered by an even carpet"},
        ((172, 128, 88), (226, 208, 186)),
        True,
    ),
    "workshop": Place(
        "a workshop",
        "floor",
        {"specks": "stained with small spots", "boards": "made of boards"},
        ((152, 148, 142), (178, 120, 98)),
        True,
    ),
}

TIMES: dict[str, tuple[Rgb, Rgb, float]] = {
    "morning": ((168, 200, 236), (252, 226, 206), 0.97),
    "noon": ((96, 164, 232), (196, 224, 246), 1.0),
    "evening": ((120, 104, 160), (250, 168, 104), 0.88),
    "night": ((18, 24, 58), (52, 60, 104), 0.68),
}
"""The sky's colours, above and at the horizon, and how bright the ground is."""

WEATHERS = ("clear", "cloudy", "rainy", "foggy")
LIGHTS = ("left", "right", "even")


def make_setting(place: str, rng: np.random.Generator) -> Setting:
    """Return a place with random ground, time, weather and light."""
    u = rng.random(5).tolist()
    return Setting(
        place,
        pick(list(PLACES[place].floors), u[0]),
        pick(list(TIMES), u[1]),
        pick(WEATHERS, u[2]),
        pick(LIGHTS, u[3]),
        round(0.36 + 0.16 * u[4], 3),
    )
