"""Loading CLIP models by name, folder or checkpoint file."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from glitbuild.clip import saved
from glitbuild.clip.facts import DEFAULTS, OPTIONS, UNKNOWN, FactOptions, Facts
from glitbuild.clip.fit import quiet_open_clip
from glitbuild.demo_models import checksum, embedded_file
from glitbuild.demo_models.clip import NAME as DEMO_ARCHITECTURE
from glitbuild.demo_models.clip import WEIGHTS as DEMO_WEIGHTS
from glitbuild.demo_models.clip import load_demo_clip
from glitbuild.errors import ConfigError, ModelError
from glitbuild.options import LOAD_CLIP, MATCH, Names, argument, blaming

DEFAULT_MODEL = "ViT-L-14-336"
DEFAULT_PRETRAINED = "openai"
"""Model with which GOAL's code matches."""

DEMO = "demo"
"""Name that selects the embedded model instead of an architecture."""

CONTEXT_LENGTH = "context_length"

log = logging.getLogger(__name__)


def load_clip(
    model: str,
    pretrained: str | None = None,
    *,
    context_length: int | None = None,
    device: str = "cpu",
    force_quick_gelu: bool | None = None,
    image_mean: Sequence[float] | None = None,
    image_std: Sequence[float] | None = None,
    image_interpolation: str | None = None,
    image_resize_mode: str | None = None,
) -> Any:
    """Load a CLIP as a plain open_clip model in evaluation mode.

    Args:
        model: architecture of open_clip, such as ``ViT-B-16``; ``demo`` for the embedded model; or the folder of a
            saved model, such as a run of ``glitbuild train`` or a ``CLIPModel`` of transformers.
        pretrained: tag or checkpoint file for an architecture, ``openai`` by default. The other kinds of models
            come with their own weights.
        context_length: number of tokens that the text tower reads; None for the model's own. To read more, such as
            248, positions are stretched as in Long-CLIP (arXiv 2403.15378): the first 20 are kept, the others
            interpolated. Pass ``model.context_length`` to the tokenizer.
        device: torch device, such as ``cpu`` or ``cuda:0``.
        force_quick_gelu: whether a checkpoint file was trained with QuickGELU. This and the next four options are
            named as in open_clip; they are needed only if neither the file nor open_clip's tables have the value.
        image_mean: mean of red, green and blue that was subtracted, for pixels from 0 to 1.
        image_std: standard deviation of red, green and blue that the pixels were divided by.
        image_interpolation: ``bicubic`` or ``bilinear``.
        image_resize_mode: ``shortest`` for resize and center crop, ``squash`` for resizing both sides.

    Returns:
        The open_clip model, on the device; a ``SiglipModel`` or ``Siglip2Model`` of transformers as a module with
        ``encode_image`` and ``encode_text``.

    Raises:
        ModelError: the architecture or tag is unknown, the weights are unavailable or don't fit, a checkpoint file
            doesn't determine how to use it, or the model can't have this context length.
        ConfigError: ``pretrained`` or one of the last five options is given for a model that comes with its own
            weights, or has an invalid value.

    Example:
        >>> import glitbuild
        >>> model = glitbuild.load_clip("demo")
        >>> type(model).__name__, model.context_length, model.training
        ('CLIP', 77, False)
        >>> glitbuild.load_clip("demo", context_length=248).positional_embedding.shape[0]
        248
    """
    from glitbuild.clip.towers import stretch

    given = _Given(
        force_quick_gelu=force_quick_gelu,
        image_mean=image_mean,
        image_std=image_std,
        image_interpolation=image_interpolation,
        image_resize_mode=image_resize_mode,
    )
    spec = ClipSpec.parse(model, pretrained, given.facts, LOAD_CLIP)
    clip = spec.load(device)
    if context_length not in (None, clip.context_length):
        with blaming(spec.shown):
            stretch(clip, context_length)
    return clip


class _Given(FactOptions):
    """Same options, written as arguments of ``load_clip`` in errors."""

    written = staticmethod(argument)


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """Specification of a CLIP model.

    Attributes:
        model: one of open_clip's architectures, such as ``ViT-B-16``; or ``demo``; or the path of a folder with a
            model, such as a run.
        pretrained: tag of open_clip for that architecture, or path of a local checkpoint; empty if the model comes
            with its own weights.
        identity: identifier recorded in a dataset's configuration: the tag, or the SHA-256 of a file.
        facts: complete facts about a checkpoint's weights; for other models, open_clip's tables or the folder have
            them.
        changes: settings that differ from what the names alone imply, as JSON values by option; recorded in the
            configuration too.
        names: names of the command's options.
    """

    model: str
    pretrained: str
    identity: str
    facts: Facts = UNKNOWN
    changes: dict[str, Any] = field(default_factory=dict)
    names: Names = MATCH

    @classmethod
    def parse(
        cls, model: str, pretrained: str | None = None, facts: Facts | None = None, names: Names = MATCH
    ) -> "ClipSpec":
        """Make a specification from options; a checkpoint file is read here, but a tag is only checked by ``load``.

        Args:
            model: one of open_clip's architectures, ``demo``, or a folder.
            pretrained: tag or path of a checkpoint; by default OpenAI's weights.
            facts: facts that the user gives about a checkpoint's weights.
            names: names of the command's options, for errors.

        Raises:
            ModelError: the file or folder doesn't exist or can't be used, or a checkpoint doesn't determine how to
                use it.
            ConfigError: other weights or settings are given for a model that comes with its own.
        """
        facts = facts or UNKNOWN
        model = model.removeprefix("local-dir:")  # open_clip's own prefix for folders
        folder = Path(model).expanduser()
        if model == DEMO or saved.is_model(folder):
            if pretrained:
                fix = "omit the weights, or name an architecture of open_clip"
                raise ConfigError(f"{model} with the weights {pretrained}", "it has its own weights", fix)
            if model == DEMO:
                _refuse_facts(facts, "the embedded model", names)
                embedded_file(DEMO_WEIGHTS)
                return cls(model, "", f"sha256:{checksum(DEMO_WEIGHTS)}", names=names)
            with blaming(f"{names.model} {model}"):
                known = saved.saved_facts(folder)
                _refuse_facts(facts, f"the folder {model}", names, known)
                return cls(str(folder.resolve()), "", saved.identity(folder), known, known.changes(DEFAULTS), names)
        if folder.exists() and not (folder.name == model and _is_architecture(model)):
            raise ModelError(f"{names.model} {model}", *saved.no_model(folder, names.pretrained))
        if model.startswith("hf-hub:"):
            fix = "download the repository and give its folder, or give an architecture and a tag"
            raise ModelError(f"{names.model} {model}", "models are not loaded from the Hub by name", fix)
        if folder.name != model:
            fix = "check the path; names of open_clip's architectures have no slash, such as ViT-B-32"
            raise ModelError(f"{names.model} {model}", "neither a folder nor an architecture", fix)
        pretrained = pretrained or DEFAULT_PRETRAINED
        path = Path(pretrained).expanduser()
        if path.is_file():
            return cls._of_file(model, path, facts, names)
        what = f"{names.pretrained} {pretrained}"
        if path.is_dir() and not (path.name == pretrained and _is_tag(model, pretrained)):
            raise ModelError(what, *saved.no_model(path, names.pretrained, names.model))
        if path.name != pretrained or path.suffix in (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz"):
            raise ModelError(what, "no such file", "check the path")
        _refuse_facts(facts, f"the tag {pretrained}", names)
        return cls(model, pretrained, pretrained, names=names)

    @classmethod
    def _of_file(cls, model: str, path: Path, given: Facts, names: Names) -> "ClipSpec":
        import open_clip

        from glitbuild.clip.checkpoint_file import read_checkpoint
        from glitbuild.clip.evidence import facts_beside, facts_within
        from glitbuild.clip.facts import by_architecture, facts_of_file, usual_facts
        from glitbuild.clip.fit import context_length

        what = f"{names.pretrained} {path}"
        _check_architecture(model, names)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        checkpoint, usual = read_checkpoint(path, what), usual_facts(model)
        if checkpoint.left_out:
            others = ", ".join(checkpoint.left_out[:3])
            log.warning("%s also contains %d parts that are not used (%s)", what, len(checkpoint.left_out), others)
        if usual.quick_gelu:  # the architecture's name says so
            given = given.filled(Facts(True))
        place = path.absolute()
        facts = given.filled(checkpoint.facts).filled(facts_within(checkpoint.said))
        facts = facts.filled(facts_of_file(model, place, sha256))
        if facts.unknown:
            facts = facts.filled(facts_beside(place, model, what))
        facts = by_architecture(model, facts, what, names.written)
        changes = facts.changes(usual)
        if tokens := context_length(checkpoint.state, open_clip.get_model_config(model)):
            changes[CONTEXT_LENGTH] = tokens
        if changes:
            log.info("%s: read with %s", what, ", ".join(f"{name} {value}" for name, value in changes.items()))
        return cls(model, str(path.resolve()), f"sha256:{sha256}", facts, changes, names)

    @property
    def name(self) -> str:
        """Name of the model in records; of a folder, only the last part of its path, which may be private."""
        return Path(self.model).name

    @property
    def is_local(self) -> bool:
        """Whether the weights are a file; otherwise loading may download them."""
        return not self.pretrained or Path(self.pretrained).is_file()

    def tokenizer(self) -> Any:
        """Return the model's tokenizer in open_clip's form, once the model is loaded.

        Raises:
            ModelError: it is unavailable, or not the model's own.
        """
        import open_clip

        length = self.changes.get(CONTEXT_LENGTH)
        if self.model != DEMO and not self.pretrained:
            with blaming(self.shown):
                return saved.tokenizer(Path(self.model), length)
        try:
            with quiet_open_clip():
                return open_clip.get_tokenizer(self._architecture, context_length=length)
        except Exception as error:  # the Hub's and transformers' own errors
            first = str(error).strip().partition("\n")[0] or type(error).__name__
            why = f"its tokenizer is unavailable ({first})"
            raise ModelError(self.shown, why, "check the network connection") from error

    @property
    def _architecture(self) -> str:
        """open_clip's name of the architecture of a model that isn't a folder."""
        return DEMO_ARCHITECTURE if self.model == DEMO else self.model

    @property
    def shown(self) -> str:
        """Option for the architecture or the folder, with its value, for errors."""
        return f"{self.names.model} {self.model}"

    def model_cfg(self) -> dict[str, Any]:
        """Return the architecture's configuration in open_clip's format, once the model is loaded.

        Raises:
            ModelError: it has none.
        """
        import open_clip

        if self.model != DEMO and not self.pretrained:
            with blaming(self.shown):
                return saved.saved_model_cfg(Path(self.model))
        config = dict(open_clip.get_model_config(self._architecture))
        if not self.pretrained:
            return config
        known = self.facts.quick_gelu
        quick_gelu = self._tag_has_quick_gelu() if known is None else known
        return config | {"quick_gelu": quick_gelu} if quick_gelu or "quick_gelu" in config else config

    def load(self, device: str) -> Any:
        """Return the open_clip model in evaluation mode.

        Raises:
            ModelError: open_clip doesn't know the architecture or the tag, or the weights are unavailable or don't
                fit the architecture.
        """
        with blaming(self.shown):
            if self.model == DEMO:
                return load_demo_clip(device)
            if not self.pretrained:
                return saved.load_saved(Path(self.model), device)
            _check_architecture(self.model, self.names)
            return self._load_file(device) if self.is_local else self._load_tag(device)

    def _load_file(self, device: str) -> Any:
        from glitbuild.clip.checkpoint_file import BIG_VISION, read_checkpoint
        from glitbuild.clip.fit import fill

        path, what = Path(self.pretrained), f"{self.names.pretrained} {self.pretrained}"
        checkpoint = read_checkpoint(path, what)
        with quiet_open_clip():
            import open_clip

            model = open_clip.create_model(
                self.model,
                pretrained_text=False,
                force_context_length=self.changes.get(CONTEXT_LENGTH),
                force_preprocess_cfg=self.facts.preprocess_cfg(),
                quick_gelu=bool(self.facts.quick_gelu),
            )
        if path.suffix in BIG_VISION:
            self._load_big_vision(model, what)
        else:
            fill(model, checkpoint.state, what, self.model)
        return model.to(device).eval()

    def _load_big_vision(self, model: Any, what: str) -> None:
        from open_clip.convert import load_big_vision_weights

        try:
            load_big_vision_weights(model, self.pretrained)
        except Exception as error:  # numpy's and open_clip's own errors
            why = f"not big_vision weights of {self.model} ({str(error) or type(error).__name__})"
            raise ModelError(what, why, "give a checkpoint of this architecture") from error

    def _load_tag(self, device: str) -> Any:
        import open_clip

        quick_gelu = self._tag_has_quick_gelu()
        try:
            with quiet_open_clip():
                model = open_clip.create_model(
                    self.model,
                    pretrained=self.pretrained,
                    force_quick_gelu=quick_gelu,
                    device=device,
                    require_pretrained=True,
                )
        except Exception as error:  # the hub's, torch's and open_clip's own errors
            why = str(error).partition("\n")[0] or type(error).__name__
            fix = "check the network connection, or give a local checkpoint of this architecture"
            raise ModelError(f"{self.names.pretrained} {self.pretrained}", why, fix) from error
        return model.eval()

    def _tag_has_quick_gelu(self) -> bool:
        """Check that open_clip knows the tag, and return whether the weights were trained with QuickGELU."""
        import open_clip

        tags = open_clip.list_pretrained_tags_by_model(self.model)
        if self.pretrained not in tags:
            fix = f"give the path of a checkpoint or one of {self.model}'s tags: " + (", ".join(tags) or "none")
            what = f"{self.names.pretrained} {self.pretrained}"
            raise ModelError(what, "neither a file nor a tag of this model", fix)
        # open_clip would load such weights into a model with the other activation, with just a warning.
        own = open_clip.get_model_config(self.model).get("quick_gelu")
        return bool(own or open_clip.get_pretrained_cfg(self.model, self.pretrained).get("quick_gelu"))


def _is_architecture(model: str) -> bool:
    import open_clip

    return model in open_clip.list_models()


def _is_tag(model: str, tag: str) -> bool:
    import open_clip

    return tag in open_clip.list_pretrained_tags_by_model(model)


def _check_architecture(model: str, names: Names) -> None:
    import open_clip

    known = open_clip.list_models()
    if model not in known:
        near = get_close_matches(model, known, n=5, cutoff=0)
        fix = f"use one of open_clip's {len(known)}, such as " + ", ".join(near)
        raise ModelError(f"{names.model} {model}", "unknown architecture", fix)


def _refuse_facts(given: Facts, where: str, names: Names, known: Facts | None = None) -> None:
    """Refuse options that contradict the known facts of a model, or can't be compared before it is loaded.

    Raises:
        ConfigError: an option is refused; the message names it.
    """
    for fact, name in OPTIONS.items():
        value = getattr(given, fact)
        if value is None or (known and value == getattr(known, fact)):
            continue
        raise ConfigError(names.written(name, value), f"{where} determines this itself", "omit it")
