"""No detector: an image's candidates are its five default regions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glitbuild.flism.detectors.base import Detection

if TYPE_CHECKING:
    from PIL.Image import Image


class NoDetector:
    """Finds nothing."""

    batch_size = 64

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return an empty list for each image."""
        return [[] for _ in images]
