"""What is known of weights beside their architecture's name: activation, input normalization, training data."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from glitbuild.errors import ConfigError, ModelError
from glitbuild.options import Content, Options, about, flag

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


def facts_of_tag(model: str, tag: str) -> Facts | None:
    """Return what is known of the weights that a tag names; None where the architecture has no such tag."""
    import open_clip

    known = open_clip.get_pretrained_cfg(model, tag)
    return _facts(model, known) if known else None


def facts_of_file(model: str, path: Path, sha256: str) -> Facts:
    """Return what is known of a file that is a tag's: by its SHA-256, its name, or its place in the Hub's cache."""
    import open_clip

    for tag in open_clip.list_pretrained_tags_by_model(model):
        known = open_clip.get_pretrained_cfg(model, tag)
        if _is_file_of(known, path, sha256):
            return _facts(model, known)
    return Facts()


def usual_facts(model: str) -> Facts:
    """Return what open_clip takes for an architecture where nothing else is said."""
    import open_clip

    return replace(DEFAULTS, quick_gelu=bool(open_clip.get_model_config(model).get("quick_gelu")))


def by_architecture(model: str, facts: Facts, what: str, written: Callable[..., str] = flag) -> Facts:
    """Complete facts by what is known of an architecture's weights, where these leave no choice.

    Args:
        model: one of open_clip's architectures.
        facts: what is known for sure of the weights.
        what: the option with the checkpoint, for errors.
        written: how errors write an option and its value.

    Raises:
        ModelError: weights of this architecture exist that differ in what is not known.
    """
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    kinds = [_facts(model, open_clip.get_pretrained_cfg(model, tag)) for tag in tags] or [usual_facts(model)]
    usual = usual_facts(model).quick_gelu
    if all(kind.quick_gelu != usual for kind in kinds):
        # All that are published have the other activation, but those that are trained under this name don't.
        kinds += [replace(kind, quick_gelu=usual) for kind in kinds]
    for name in OPTIONS:
        value = getattr(facts, name)
        kinds = [kind for kind in kinds if value in (None, getattr(kind, name))] or kinds
    choices = {name: list(dict.fromkeys(getattr(kind, name) for kind in kinds)) for name in facts.unknown}
    open_ones = {name: values for name, values in choices.items() if len(values) > 1}
    if open_ones:
        raise ModelError(what, _why(model, open_ones), _fix(open_ones, written))
    return facts.filled(kinds[0])


def _why(model: str, open_ones: dict[str, list[Any]]) -> str:
    words = {
        "quick_gelu": "whether they were trained with QuickGELU",
        "mean": "the mean of their pictures' pixels",
        "std": "the deviation of these",
        "interpolation": "how their pictures are interpolated",
        "resize_mode": "how these are made square",
    }
    listed = ", ".join(words[name] for name in open_ones)
    return f"neither the file nor one beside it says {listed}, and weights of {model} differ in that"


def _fix(open_ones: dict[str, list[Any]], written: Callable[..., str]) -> str:
    ways = []
    for name, values in open_ones.items():
        spelled = [written(OPTIONS[name], value) for value in values]
        if name == "quick_gelu":
            spelled = [f"{written(OPTIONS[name], True)} (OpenAI, DFN, MetaCLIP)", written(OPTIONS[name], False)]
        ways.append(" or ".join(spelled))
    return "give " + ", ".join(ways) + "; or put the weights' open_clip_config.json beside them"


def _facts(model: str, known: dict[str, Any]) -> Facts:
    said = Facts(
        bool(known.get("quick_gelu")) or usual_facts(model).quick_gelu,
        colour(known.get("mean")),
        colour(known.get("std")),
        known.get("interpolation"),
        known.get("resize_mode"),
    )
    return said.filled(DEFAULTS)


def _is_file_of(known: dict[str, Any], path: Path, sha256: str) -> bool:
    url, hub = known.get("url", ""), known.get("hf_hub", "").rpartition("/")[0]
    name = url.rpartition("/")[2]
    if "openaipublic" in url and sha256 == url.split("/")[-2]:
        return True
    # Of these the name ends in the first digits.
    if "mlfoundations" in url and sha256.startswith(name.rpartition("-")[2].partition(".")[0]):
        return True
    if "fbaipublicfiles" in url and path.name == name:
        return True
    cached, cloned = f"models--{hub.replace('/', '--')}", hub.rpartition("/")[2]
    return bool(hub) and (cached in path.parts or path.parent.name == cloned)
