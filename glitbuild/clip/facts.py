"""Facts about weights that their architecture's name doesn't tell: activation, normalization and resizing."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from glitbuild.errors import ConfigError, ModelError
from glitbuild.options import Content, Options, about, flag

Colour = tuple[float, float, float]
"""One number each for red, green and blue, for pixel values from 0 to 1."""

CONTEXT, LONG_CONTEXT = 77, 248
"""Number of tokens that CLIP's text tower reads, and that it reads after stretching as in Long-CLIP."""

LEAST_CONTEXT = 8
"""Least number of tokens that a user may ask for; fewer hold no sentence."""

INTERPOLATIONS = ("bicubic", "bilinear")
RESIZE_MODES = ("shortest", "squash")

OPTIONS = {
    "quick_gelu": "force_quick_gelu",
    "mean": "image_mean",
    "std": "image_std",
    "interpolation": "image_interpolation",
    "resize_mode": "image_resize_mode",
}
"""Option for each fact, named as in open_clip's training, with underscores."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What must be known to use weights as they were trained; None for unknown facts.

    Attributes:
        quick_gelu: whether the activation is QuickGELU, as in OpenAI's models, instead of GELU.
        mean: mean that is subtracted from the pixels.
        std: standard deviation that the pixels are divided by.
        interpolation: interpolation of the resize, ``bicubic`` or ``bilinear``.
        resize_mode: ``shortest`` to resize the shorter side and crop the centre, ``squash`` to resize both sides.
    """

    quick_gelu: bool | None = None
    mean: Colour | None = None
    std: Colour | None = None
    interpolation: str | None = None
    resize_mode: str | None = None

    def filled(self, other: "Facts") -> "Facts":
        """Return these facts, completed by the other's where unknown."""
        missing = {name: getattr(other, name) for name in self.unknown}
        return replace(self, **missing)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the unknown facts."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is None)

    def preprocess_cfg(self) -> dict[str, Any]:
        """Return the known preprocessing under open_clip's names."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: value for name, value in known.items() if name != "quick_gelu"}

    def changes(self, usual: "Facts") -> dict[str, Any]:
        """Return the known facts that differ from others, as JSON values by option."""
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
"""Defaults of open_clip; all but the activation are those of OpenAI's models."""

UNKNOWN = Facts()

OPENAI = replace(DEFAULTS, quick_gelu=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactOptions(Options):
    """Options for facts that neither a checkpoint nor the files next to it provide.

    Raises:
        ConfigError: an option has a value that no model can be used with.
    """

    force_quick_gelu: bool | None = field(
        default=None,
        metadata=about(
            "Whether a checkpoint was trained with QuickGELU.",
            absent="from the file or those next to it",
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
        metadata=about("Interpolation of its resize step.", choices=INTERPOLATIONS, content=Content.DERIVED),
    )
    image_resize_mode: str | None = field(
        default=None,
        metadata=about(
            "Resize step: shortest (side, with a center crop) or squash (both sides).",
            choices=RESIZE_MODES,
            content=Content.DERIVED,
        ),
    )

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.image_std is not None and not min(self.image_std) > 0:
            what = self.written("image_std", self.image_std)
            raise ConfigError(what, "pixels are divided by these numbers", "give numbers above 0")

    @property
    def facts(self) -> Facts:
        """Facts that the options give."""
        return Facts(
            self.force_quick_gelu,
            colour(self.image_mean),
            colour(self.image_std),
            self.image_interpolation,
            self.image_resize_mode,
        )


def colour(value: Any) -> Colour | None:
    """Return one number per channel, from three or, as in open_clip, from one for all; None for anything else."""
    numbers = [value] if isinstance(value, int | float) else value
    if not isinstance(numbers, list | tuple) or not all(isinstance(each, int | float) for each in numbers):
        return None
    if len(numbers) == 1:
        numbers = [*numbers] * 3
    return (float(numbers[0]), float(numbers[1]), float(numbers[2])) if len(numbers) == 3 else None


def facts_of_tag(model: str, tag: str) -> Facts | None:
    """Return the facts about the weights of a tag; None if the architecture has no such tag."""
    import open_clip

    known = open_clip.get_pretrained_cfg(model, tag)
    return _facts(model, known) if known else None


def facts_of_file(model: str, path: Path, sha256: str) -> Facts:
    """Return the facts about a tag's file, identified by its SHA-256, its name, or its path in the Hub's cache."""
    import open_clip

    for tag in open_clip.list_pretrained_tags_by_model(model):
        known = open_clip.get_pretrained_cfg(model, tag)
        if _is_file_of(known, path, sha256):
            return _facts(model, known)
    return Facts()


def usual_facts(model: str) -> Facts:
    """Return open_clip's defaults for an architecture."""
    import open_clip

    return replace(DEFAULTS, quick_gelu=bool(open_clip.get_model_config(model).get("quick_gelu")))


def by_architecture(model: str, facts: Facts, what: str, written: Callable[..., str] = flag) -> Facts:
    """Complete facts from the published weights of an architecture, if these agree.

    Args:
        model: one of open_clip's architectures.
        facts: facts about the weights that are certain.
        what: option with the checkpoint, for errors.
        written: function that formats an option and its value for errors.

    Raises:
        ModelError: the published weights of this architecture differ in an unknown fact.
    """
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    kinds = [_facts(model, open_clip.get_pretrained_cfg(model, tag)) for tag in tags] or [usual_facts(model)]
    usual = usual_facts(model).quick_gelu
    if all(kind.quick_gelu != usual for kind in kinds):
        # All published weights have the other activation, but those that are trained under this name don't.
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
        "mean": "the mean of their pixels",
        "std": "the standard deviation of their pixels",
        "interpolation": "how their images were interpolated",
        "resize_mode": "how their images were made square",
    }
    listed = ", ".join(words[name] for name in open_ones)
    return f"neither the file nor one next to it says {listed}, and published weights of {model} differ in that"


def _fix(open_ones: dict[str, list[Any]], written: Callable[..., str]) -> str:
    ways = []
    for name, values in open_ones.items():
        spelled = [written(OPTIONS[name], value) for value in values]
        if name == "quick_gelu":
            spelled = [f"{written(OPTIONS[name], True)} (OpenAI, DFN, MetaCLIP)", written(OPTIONS[name], False)]
        ways.append(" or ".join(spelled))
    return "give " + ", ".join(ways) + "; or put the weights' open_clip_config.json next to them"


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
    # The names of these files end in the first digits of their SHA-256.
    if "mlfoundations" in url and sha256.startswith(name.rpartition("-")[2].partition(".")[0]):
        return True
    if "fbaipublicfiles" in url and path.name == name:
        return True
    cached, cloned = f"models--{hub.replace('/', '--')}", hub.rpartition("/")[2]
    return bool(hub) and (cached in path.parts or path.parent.name == cloned)
