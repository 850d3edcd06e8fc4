"""Interface of object detectors, and the detector that finds nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from glitbuild.records import Box

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Detection:
    """A detected object: box (xyxy in pixels of the given image), class name, and score from 0 to 1."""

    box: Box
    label: str
    score: float


class Detector(Protocol):
    """A detector with its weights loaded; its detections in an image don't depend on the rest of the batch."""

    batch_size: int
    """Preferred number of images per call."""

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return the detections in each RGB image, above the detector's score threshold."""
        ...


def as_stored(images: "Sequence[Image]") -> "list[Image]":
    """Return the same images without metadata, because some libraries would rotate them according to it."""
    return [_without_metadata(image) if image.info else image for image in images]


def _without_metadata(image: "Image") -> "Image":
    bare = image.copy()
    bare.info = {}
    return bare


class NoDetector:
    """Detector that finds nothing."""

    batch_size = 64

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return an empty list for each image."""
        return [[] for _ in images]
