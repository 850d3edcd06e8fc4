"""What an architecture's name does not say about weights: their activation, and how pictures are prepared."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from glitbuild.errors import ConfigError

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


def option(name: str, value: object = None) -> str:
    """Return an option as it is written on the command line, with its value where one is given."""
    words = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name.replace('_', '-')}"
    return "--" + name.replace("_", "-") + ("" if value is None else f" {words}")


def argument(name: str, value: object = None) -> str:
    """Return an option as it is written in Python, with its value where one is given."""
    return name if value is None else f"{name}={tuple(value) if isinstance(value, list) else value!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactOptions:
    """The options that say what neither a checkpoint nor its neighbours do.

    Attributes:
        written: how errors write an option and its value.

    Raises:
        ConfigError: an option has a value that no model is read with.
    """

    force_quick_gelu: bool | None = None
    image_mean: Sequence[float] | None = None
    image_std: Sequence[float] | None = None
    image_interpolation: str | None = None
    image_resize_mode: str | None = None
    written: ClassVar[Callable[..., str]] = staticmethod(option)

    def __post_init__(self) -> None:
        for name in ("image_mean", "image_std"):
            three = getattr(self, name)
            if three is None:
                continue
            if len(three) != 3 or not all(math.isfinite(number) for number in three):
                raise ConfigError(
                    self.written(name, three), "not three numbers", "give one for each of red, green, blue"
                )
            if name == "image_std" and not min(three) > 0:
                raise ConfigError(self.written(name, three), "pixels are divided by it", "give numbers above 0")
        for name, known in (("image_interpolation", INTERPOLATIONS), ("image_resize_mode", RESIZE_MODES)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ConfigError(self.written(name, value), "not supported", "give " + " or ".join(known))

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
