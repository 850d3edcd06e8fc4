"""From ``--clip-model`` and ``--clip-pretrained`` to a model with its weights."""

import hashlib
import logging
import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from glitbuild.errors import ModelError

DEFAULT_MODEL = "ViT-L-14-336"
DEFAULT_PRETRAINED = "openai"
"""What GOAL's code matched with."""


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A CLIP model as open_clip names it.

    Attributes:
        model: one of open_clip's architectures, such as ``ViT-B-16``.
        pretrained: one of its tags for that architecture, or a local checkpoint's path.
        identity: what stands in a dataset's config: the tag, or the SHA-256 of a local file.
    """

    model: str
    pretrained: str
    identity: str

    @classmethod
    def parse(cls, model: str, pretrained: str) -> "ClipSpec":
        """Name a model. Only files are looked at: open_clip takes many seconds to import, ``load`` asks it.

        Raises:
            ModelError: ``pretrained`` is a path, and there is no file.
        """
        path = Path(pretrained).expanduser()
        if path.is_file():
            return cls(model, str(path.resolve()), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        if path.name != pretrained or path.suffix in (".pt", ".pth", ".bin", ".safetensors"):
            raise ModelError(f"--clip-pretrained {pretrained}", "no such file", "check the path")
        return cls(model, pretrained, pretrained)

    @property
    def is_local(self) -> bool:
        """Whether the weights are a file; otherwise loading may download them."""
        return Path(self.pretrained).is_file()

    def load(self, device: str) -> Any:
        """Return the open_clip model in evaluation mode.

        Raises:
            ModelError: open_clip doesn't know the architecture or the tag, or the weights can't be had or
                don't fit the architecture.
        """
        import open_clip

        quick_gelu = self._check()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            logging.getLogger().addFilter(_drop_records)
            try:
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
            finally:
                logging.getLogger().removeFilter(_drop_records)
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


def _drop_records(record: logging.LogRecord) -> bool:
    # open_clip logs its loading on the root logger, step by step.
    return record.levelno >= logging.ERROR
