"""What a scene is made of: settings, things and relations; image, caption and truth follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glitbuild.records import Box
from glitbuild.stages.scenes.options import pick
from glitbuild.stages.scenes.shapes import Rgb

SIZES = {"small": 0.17, "medium": 0.25, "large": 0.36}
"""The longer side of an object, as a share of the picture's height."""


@dataclass(frozen=True, slots=True)
class Look:
    """What an object looks like, wherever it is; ``text`` is what a signpost says."""

    kind: str
    colour: str
    pattern: str
    size: str
    facing: str
    tilt: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a scene.

    Attributes:
        look: what it looks like.
        pixels: its longer side before it is tilted.
        box: tight bounds of its drawn pixels, what others hide included; always inside the picture.
        depth: things of greater depth are nearer and drawn later.
        visible: the share of its pixels that no other thing hides.
        hides: the things that it hides at least 2% of, as indices.
    """

    look: Look
    pixels: int
    box: tuple[int, int, int, int]
    depth: float
    visible: float = 1.0
    hides: tuple[int, ...] = ()

    @property
    def ref(self) -> str:
        """What tells it from every other object of its scene: no two of a kind have the same colour."""
        return f"{self.look.colour} {self.look.kind}"

    @property
    def centre(self) -> tuple[float, float]:
        """The centre of its box."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) / 2, (y1 + y2) / 2


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a scene is, and in what light; ``floor`` is the look of the ground there."""

    place: str
    floor: str
    time: str
    weather: str
    light: str
    horizon: float


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene.

    Attributes:
        index: its running number in its split.
        base: the scene whose random numbers it shares: its own index, or the first of its contrast group.
        width: of the picture, in pixels.
        height: same as above.
        setting: what is behind the things.
        things: at least one.
        differs: in what it differs from the others of its contrast group: ``colour``, ``pattern`` or
            ``place``; empty where it is in none.
        focus: the thing that differs, or -1.
        late: how likely it is, from 0 to 1, that what tells it from its group comes among the last sentences.
        false: its caption has a sentence that is not true.
    """

    seed: int
    split: str
    index: int
    base: int
    width: int
    height: int
    setting: Setting
    things: tuple[Thing, ...]
    differs: str = ""
    focus: int = -1
    late: float = 0.0
    false: bool = False

    @property
    def key(self) -> str:
        """The key of its sample."""
        return f"{self.index:09d}"

    @property
    def group(self) -> str:
        """The key of the first scene of its contrast group, or empty."""
        return f"{self.base:09d}" if self.differs else ""

    @property
    def whole(self) -> Box:
        """The box of the whole picture."""
        return 0, 0, self.width, self.height


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
