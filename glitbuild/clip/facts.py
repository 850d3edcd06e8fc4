"""What an architecture's name does not say about weights: their activation, and how pictures are prepared."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from glitbuild.errors import ConfigError
from glitbuild.options import Content, Options, about

Colour = tuple[float, float, float]
"""A number for each of red, green and blue, for pixels from 0 to 1."""

CONTEXT, LONG_CONTEXT = 77, 248
"""Tokens that CLIP's text tower reads, and those that it reads once it is stretched as in Long-CLIP."""

INTERPOLATIONS = ("bicubic", "bilinear")
RESIZE_MODES = ("shortest", "squash")

OPTIONS = {
    "quick_gelu": "force_quick_gelu",
    "mean": "image_mean",
    "std": "image_std",
    "interpolation": "image_interpolation",
    "resize_mode": "image_resize_mode",
}
"""The option that decides each fact, spelled as open_clip's training does, with underscores."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What has to be known to use weights as they were trained; None stands for what is not known.

    Attributes:
        quick_gelu: the activation is QuickGELU, as in OpenAI's models, not GELU.
        mean: subtracted from the pixels.
        std: they are divided by it.
        interpolation: ``bicubic`` or ``bilinear``.
        resize_mode: ``shortest``: the shorter side is resized and the centre cut out; ``squash``: both sides are.
    """

    quick_gelu: bool | None = None
    mean: Colour | None = None
    std: Colour | None = None
    interpolation: str | None = None
    resize_mode: str | None = None

    def filled(self, other: "Facts") -> "Facts":
        """Return these facts, and the other's where nothing is known here."""
        missing = {name: getattr(other, name) for name in self.unknown}
        return replace(self, **missing)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the facts that are not known."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is None)

    def preprocess_cfg(self) -> dict[str, Any]:
        """Return what is known of the preparation of pictures, in open_clip's words."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: value for name, value in known.items() if name != "quick_gelu"}

    def changes(self, usual: "Facts") -> dict[str, Any]:
        """Return by option what differs from other facts, as JSON."""
        return {
            option: list(value) if isinstance(value, tuple) else value
            for name, option in OPTIONS.items()
            if (value := getattr(self, name)) is not None and value != getattr(usual, name)
        }


DEFAULTS = Facts(
    quick_gelu=False,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    interpolation="bicubic",
    resize_mode="shortest",
)
"""What open_clip does where nothing else is said. All but the activation is as OpenAI's models have it."""

UNKNOWN = Facts()

OPENAI = replace(DEFAULTS, quick_gelu=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactOptions(Options):
    """The options that say what neither a checkpoint nor its neighbours do.

    Raises:
        ConfigError: an option has a value that no model is read with.
    """

    force_quick_gelu: bool | None = field(
        default=None,
        metadata=about(
            "Whether a checkpoint was trained with QuickGELU.",
            absent="what it or its neighbours say",
            content=Content.DERIVED,
        ),
    )
    image_mean: Sequence[float] | None = field(
        default=None,
        metadata=about(
            "Mean of the pixels that it was trained with, for R, G and B.", count=3, content=Content.DERIVED
        ),
    )
    image_std: Sequence[float] | None = field(
        default=None,
        metadata=about("Standard deviation of these pixels, for R, G and B.", count=3, content=Content.DERIVED),
    )
    image_interpolation: str | None = field(
        default=None,
        metadata=about("Interpolation of its resize.", choices=INTERPOLATIONS, content=Content.DERIVED),
    )
    image_resize_mode: str | None = field(
        default=None,
        metadata=about(
            "Its resize: shortest (with a center crop) or squash (both sides).",
            choices=RESIZE_MODES,
            content=Content.DERIVED,
        ),
    )

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.image_std is not None and not min(self.image_std) > 0:
            what = self.written("image_std", self.image_std)
            raise ConfigError(what, "pixels are divided by it", "give numbers above 0")

    @property
    def facts(self) -> Facts:
        """What they say."""
        return Facts(
            self.force_quick_gelu,
            colour(self.image_mean),
            colour(self.image_std),
            self.image_interpolation,
            self.image_resize_mode,
        )


def colour(value: Any) -> Colour | None:
    """Return three numbers, or one for all three, as open_clip takes it; None where it is neither."""
    numbers = [value] if isinstance(value, int | float) else value
    if not isinstance(numbers, list | tuple) or not all(isinstance(each, int | float) for each in numbers):
        return None
    if len(numbers) == 1:
        numbers = [*numbers] * 3
    return (float(numbers[0]), float(numbers[1]), float(numbers[2])) if len(numbers) == 3 else None
