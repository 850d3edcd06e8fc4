"""Pictures with coarse shapes, as photographs have them: those of noise look like nothing."""

import numpy as np
from PIL import Image


def smooth(seed: int, size: tuple[int, int] = (600, 400)) -> Image.Image:
    """Draw a picture of soft patches of colour, another one for each seed."""
    patches = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)
