"""What a scene is made of: a pure description, from which picture, caption and truth follow."""

from dataclasses import dataclass

from glitbuild.records import Box

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
