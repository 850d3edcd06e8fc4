"""Compares an exported model, as read by the target library, with its source."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from glitbuild.errors import ExportError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

LEAST_COSINE = 0.9999

TEXTS = (
    "a red ball",
    "A dog sits on the grass; it doesn't look at the 3 birds.",
    " ".join(f"In row {number} there are {number + 3} small stones, all of them grey." for number in range(10)),
    " ".join(f"The sign number {number} is blue, and beside it stands a tree." for number in range(40)),
)
"""Two short texts, so that there is padding; one longer than 77 tokens, and one that must be truncated."""

IMAGES = 3


class Encoder(Protocol):
    """A model together with its preprocessing of images and texts."""

    def images(self, images: "Sequence[Image]") -> "Tensor":
        """Return the projected embeddings of RGB images, B x D."""
        ...

    def texts(self, texts: Sequence[str]) -> "Tensor":
        """Return the projected embeddings of texts, B x D."""
        ...


def verify(source: Encoder, exported: Encoder, image_size: int, name: str) -> float:
    """Compare embeddings of random images and fixed texts; return the smallest cosine.

    Args:
        source: model that was exported.
        exported: exported model, as its library reads it.
        image_size: side of the models' input in pixels.
        name: name of the export, for the error.

    Raises:
        ExportError: the embeddings differ.
    """
    import torch

    pictures = random_images(image_size)
    least = 1.0
    with torch.inference_mode():
        for what, ours, theirs in (
            ("images", source.images(pictures), exported.images(pictures)),
            ("texts", source.texts(TEXTS), exported.texts(TEXTS)),
        ):
            cosine = float(torch.nn.functional.cosine_similarity(ours.double(), theirs.double()).min())
            if not cosine > LEAST_COSINE:  # "not >" so that NaN fails too
                why = f"its embeddings of {what} differ from the source's (cosine {cosine:.5f})"
                fix = "nothing was written; please report it with the versions of open_clip and transformers"
                raise ExportError(name, why, fix)
            least = min(least, cosine)
    return least


def random_images(size: int) -> "list[Image]":
    """Return smooth random images, the same every time.

    They are wider than the input by a small multiple of 4: libraries round the position of the centre crop
    differently, which is not an error of the export.
    """
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    large = (size + 8, size)
    return [Image.fromarray(pixels).resize(large, Image.Resampling.BICUBIC) for pixels in noise]
