"""Whether an exported model, read by the library it is for, gives what its source gives."""

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
"""Two short ones, so that there is padding; one longer than 77 tokens, and one that must be cut off."""

IMAGES = 3


class Encoder(Protocol):
    """A model with all that belongs to it: what turns pictures and texts into its inputs."""

    def images(self, images: "Sequence[Image]") -> "Tensor":
        """Return the projected embeddings of RGB pictures, B x D."""
        ...

    def texts(self, texts: Sequence[str]) -> "Tensor":
        """Return the projected embeddings of texts, B x D."""
        ...


def verify(source: Encoder, exported: Encoder, image_size: int, name: str) -> float:
    """Compare embeddings of random pictures and of fixed texts; return the least cosine.

    Args:
        source: the model that was exported.
        exported: what was written, as its library reads it.
        image_size: edge of the models' input in pixels.
        name: of what was written, for the error.

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
            if not cosine > LEAST_COSINE:  # not a number is no agreement either
                why = f"its embeddings of {what} differ from the source's (cosine {cosine:.5f})"
                fix = "nothing was written; please report it with the versions of open_clip and transformers"
                raise ExportError(name, why, fix)
            least = min(least, cosine)
    return least


def random_images(size: int) -> "list[Image]":
    """Return smooth random pictures, the same every time.

    They are a little wider than the input, by a multiple of 4: libraries round the place of the centre crop
    differently, and that is no error of the export.
    """
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    large = (size + 8, size)
    return [Image.fromarray(pixels).resize(large, Image.Resampling.BICUBIC) for pixels in noise]
