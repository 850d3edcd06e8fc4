"""What every detector does: boxes for a batch of images; and the detector that finds nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from glitbuild.records import Box

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Detection:
    """A detected object: box in pixels of the image as given, class name, score from 0 to 1."""

    box: Box
    label: str
    score: float


class Detector(Protocol):
    """A detector with its weights loaded. What it finds in an image doesn't depend on the batch's others."""

    batch_size: int
    """How many images it likes to be given at once."""

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return the detections in each RGB image, above the detector's score threshold."""
        ...


def as_stored(images: "Sequence[Image]") -> "list[Image]":
    """Return pictures of the same pixels without metadata, by which some libraries would turn them first."""
    return [_without_metadata(image) if image.info else image for image in images]


def _without_metadata(image: "Image") -> "Image":
    bare = image.copy()
    bare.info = {}
    return bare


class NoDetector:
    """Finds nothing."""

    batch_size = 64

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return an empty list for each image."""
        return [[] for _ in images]
