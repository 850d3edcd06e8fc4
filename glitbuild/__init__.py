"""Turn images with long captions into region-sentence pairs, and train CLIP on them.

This is the public API. Names are resolved on first use, so that ``import glitbuild`` imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glitbuild.api import caption, evaluate, export, ingest, match, preview, push, scenes, train
    from glitbuild.clip.load import load_clip
    from glitbuild.dataset import GlitDataset, read
    from glitbuild.flism.flism import FLISM
    from glitbuild.stages.train.losses import GlitLoss
    from glitbuild.tsl import TSLLoss

__version__ = "0.1.0"

__all__ = [
    "FLISM",
    "GlitDataset",
    "GlitLoss",
    "TSLLoss",
    "__version__",
    "caption",
    "evaluate",
    "export",
    "ingest",
    "load_clip",
    "match",
    "preview",
    "push",
    "read",
    "scenes",
    "train",
]

_HOMES = {
    "FLISM": "glitbuild.flism.flism",
    "GlitDataset": "glitbuild.dataset",
    "GlitLoss": "glitbuild.stages.train.losses",
    "TSLLoss": "glitbuild.tsl",
    "caption": "glitbuild.api",
    "evaluate": "glitbuild.api",
    "export": "glitbuild.api",
    "ingest": "glitbuild.api",
    "load_clip": "glitbuild.clip.load",
    "match": "glitbuild.api",
    "preview": "glitbuild.api",
    "push": "glitbuild.api",
    "read": "glitbuild.dataset",
    "scenes": "glitbuild.api",
    "train": "glitbuild.api",
}
"""Module that defines each public name."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # later look-ups no longer come through this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
