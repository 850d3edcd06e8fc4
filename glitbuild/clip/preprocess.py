"""Preprocessing of image regions into CLIP's input pixels, without intermediate images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.facts import colour
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The evaluation transform of an open_clip model, applied to crops.

    It equals open_clip's own transform of ``image.crop(box)`` up to the rounding of the resize (verified in the
    tests), but only the pixels that survive the centre crop are resized, in one step, and a whole batch is
    normalised on the model's device.

    Attributes:
        size: edge length of the square input in pixels.
        squash: whether both edges are resized to ``size``, instead of the shorter one with a centre crop.
        resample: Pillow's number of the resize filter.
        mean: mean of each of the three channels, for pixels from 0 to 1.
        std: standard deviation of each of the three channels, for pixels from 0 to 1.
    """

    size: int
    squash: bool
    resample: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def of(cls, model: Any) -> "Preprocess":
        """Read a model's transform from its configuration.

        Raises:
            ModelError: the model's inputs aren't square or are padded, or its interpolation is not supported.
        """
        from PIL.Image import Resampling

        config = model.visual.preprocess_cfg
        size = config["size"]
        width, height = (size, size) if isinstance(size, int) else size
        mode = config["resize_mode"]
        if width != height or mode not in ("shortest", "squash"):
            what = f"its preprocessing (size {size}, resize mode {mode}) is not supported"
            raise ModelError(THE_MODEL, what, "use a model with a square input that is cropped or squashed")
        # "random" is for training; for evaluation, open_clip uses bicubic instead.
        filters = {"bicubic": Resampling.BICUBIC, "random": Resampling.BICUBIC, "bilinear": Resampling.BILINEAR}
        resample = filters.get(config["interpolation"])
        mean, std = colour(config["mean"]), colour(config["std"])
        if resample is None or mean is None or std is None:
            what = f"interpolation {config['interpolation']}, mean {config['mean']}, std {config['std']}"
            fix = "use a model with bicubic or bilinear interpolation, and three numbers each"
            raise ModelError(THE_MODEL, f"its preprocessing ({what}) is not supported", fix)
        return cls(width, mode == "squash", int(resample), mean, std)

    def crop(self, image: "Image", box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return the model's input pixels for a region.

        Args:
            image: RGB image.
            box: whole pixels of the image, half-open xyxy, not empty.

        Returns:
            size x size x 3, 0 to 255.
        """
        from PIL.Image import Resampling

        crop = image.crop(box)  # otherwise the resize filter would read beyond the region's edges
        resized = crop.resize((self.size, self.size), Resampling(self.resample), box=self.visible(*crop.size))
        return np.asarray(resized)

    def visible(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the part of a crop that remains after the centre crop, xyxy in pixels of the crop."""
        if self.squash:
            return 0.0, 0.0, float(width), float(height)
        # As in torchvision: the longer side is truncated to whole pixels, the offset rounded half to even.
        short, size = min(width, height), self.size
        new_width, new_height = int(size * width / short), int(size * height / short)
        left, top = round((new_width - size) / 2.0), round((new_height - size) / 2.0)
        x, y = width / new_width, height / new_height
        return left * x, top * y, min((left + size) * x, width), min((top + size) * y, height)

    def batch(self, crops: Sequence[NDArray[np.uint8]], device: str) -> "Tensor":
        """Return crops as the model's input: B x 3 x size x size, normalised, float32."""
        import torch

        return self.normalise(torch.from_numpy(np.stack(crops)).to(device))

    def normalise(self, pixels: "Tensor") -> "Tensor":
        """Return pixels (B x size x size x 3, 0 to 255, uint8) as the model's input; see ``batch``."""
        import torch

        values = pixels.permute(0, 3, 1, 2).float().div_(255)
        mean, std = (torch.tensor(three, device=pixels.device).view(3, 1, 1) for three in (self.mean, self.std))
        return values.sub_(mean).div_(std)
