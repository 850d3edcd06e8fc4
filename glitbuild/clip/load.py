"""From ``--clip-model`` and ``--clip-pretrained`` to a model with its weights."""

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from glitbuild.clip import saved
from glitbuild.clip.demo import NAME as DEMO_ARCHITECTURE
from glitbuild.clip.demo import WEIGHTS as DEMO_WEIGHTS
from glitbuild.clip.demo import load_demo_clip
from glitbuild.clip.quiet import quiet_open_clip
from glitbuild.embedded.files import checksum, embedded_file
from glitbuild.errors import ConfigError, ModelError

DEFAULT_MODEL = "ViT-L-14-336"
DEFAULT_PRETRAINED = "openai"
"""What GOAL's code matched with."""

DEMO = "demo"
"""Instead of an architecture: the embedded model."""


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A CLIP model as open_clip names it.

    Attributes:
        model: one of open_clip's architectures, such as ``ViT-B-16``, or ``demo``, or the path of a folder
            with a model, such as a run's.
        pretrained: one of its tags for that architecture, or a local checkpoint's path; empty where the model
            brings its own weights.
        identity: what stands in a dataset's config: the tag, or the SHA-256 of a file.
    """

    model: str
    pretrained: str
    identity: str

    @classmethod
    def parse(cls, model: str, pretrained: str | None = None) -> "ClipSpec":
        """Name a model. Only files are looked at: open_clip takes many seconds to import, ``load`` asks it.

        Args:
            model: of open_clip's architectures, or ``demo``, or a folder.
            pretrained: a tag or a checkpoint's path; OpenAI's weights where none is given.

        Raises:
            ModelError: ``pretrained`` is a path, and there is no file; or the embedded model's is missing.
            ConfigError: a model that has weights of its own is to get others.
        """
        folder = Path(model).expanduser()
        if model == DEMO or saved.is_saved(folder):
            if pretrained:
                fix = "leave the weights away, or name an architecture of open_clip"
                raise ConfigError(f"{model} with the weights {pretrained}", "it has its own weights", fix)
            if model == DEMO:
                embedded_file(DEMO_WEIGHTS)
                return cls(model, "", f"sha256:{checksum(DEMO_WEIGHTS)}")
            return cls(str(folder.resolve()), "", saved.identity(folder))
        pretrained = pretrained or DEFAULT_PRETRAINED
        path = Path(pretrained).expanduser()
        if path.is_file():
            return cls(model, str(path.resolve()), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        if path.name != pretrained or path.suffix in (".pt", ".pth", ".bin", ".safetensors"):
            raise ModelError(f"--clip-pretrained {pretrained}", "no such file", "check the path")
        return cls(model, pretrained, pretrained)

    @property
    def name(self) -> str:
        """What records call it: of a folder the last part of its path; where it lies is nobody else's business."""
        return Path(self.model).name

    @property
    def is_local(self) -> bool:
        """Whether the weights are a file; otherwise loading may download them."""
        return not self.pretrained or Path(self.pretrained).is_file()

    @property
    def architecture(self) -> str:
        """The name that open_clip knows it by, once it is loaded."""
        if self.model == DEMO:
            return DEMO_ARCHITECTURE
        return self.model if self.pretrained else saved.architecture(Path(self.model))

    def model_cfg(self) -> dict[str, Any]:
        """Return the architecture as open_clip's own files describe one, once the model is loaded."""
        import open_clip

        if self.model != DEMO and not self.pretrained:
            return saved.saved_model_cfg(Path(self.model))
        quick_gelu = {"quick_gelu": True} if self.pretrained and self._check() else {}
        return dict(open_clip.get_model_config(self.architecture)) | quick_gelu

    def load(self, device: str) -> Any:
        """Return the open_clip model in evaluation mode.

        Raises:
            ModelError: open_clip doesn't know the architecture or the tag, or the weights can't be had or
                don't fit the architecture.
        """
        if self.model == DEMO:
            return load_demo_clip(device)
        if not self.pretrained:
            return saved.load_saved(Path(self.model), device)
        import open_clip

        quick_gelu = self._check()
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
            fix = "check the network or give a local checkpoint of this architecture"
            raise ModelError(f"--clip-pretrained {self.pretrained}", why, fix) from error
        return model.eval()

    def _check(self) -> bool:
        """See that open_clip knows the names; return whether the weights were trained with QuickGELU."""
        import open_clip

        known = open_clip.list_models()
        if self.model not in known:
            near = get_close_matches(self.model, known, n=5, cutoff=0)
            fix = f"use one of open_clip's {len(known)}, such as " + ", ".join(near)
            raise ModelError(f"--clip-model {self.model}", "unknown architecture", fix)
        if self.is_local:
            return False
        tags = open_clip.list_pretrained_tags_by_model(self.model)
        if self.pretrained not in tags:
            fix = f"use a checkpoint's path or one of {self.model}'s tags: " + (", ".join(tags) or "none")
            raise ModelError(f"--clip-pretrained {self.pretrained}", "neither a file nor a tag of this model", fix)
        # open_clip loads such weights into a model with the other activation, with only a warning.
        return bool(open_clip.get_pretrained_cfg(self.model, self.pretrained).get("quick_gelu"))
