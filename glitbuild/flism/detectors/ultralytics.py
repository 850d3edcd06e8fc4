"""YOLO and RT-DETR models through ultralytics: a file (.pt, .onnx) or one of ultralytics' names."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ModelError
from glitbuild.flism.detectors.base import Detection, as_stored

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SIZE = 640
MAX_DETECTIONS = 300


class UltralyticsDetector:
    """Detects with a model of ultralytics.

    Args:
        model: an ``ultralytics.YOLO`` whose task is detection.
        score: detections below this confidence are dropped.
        device: a torch device: ``cpu``, ``cuda:0``.
        image_size: edge in pixels of the square that every image is letterboxed to.
        batch_size: images at a time.
    """

    def __init__(
        self, model: Any, score: float, device: str, image_size: int = IMAGE_SIZE, batch_size: int = 16
    ) -> None:
        import torch

        self.batch_size = batch_size
        # As an object: a name such as "cuda:0" would make ultralytics rewrite CUDA_VISIBLE_DEVICES.
        self._model, self._score, self._device = model, score, torch.device(device)
        self._image_size = image_size

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return the detections in each RGB image, boxes in its pixels.

        Every image is letterboxed to the same square (``rect=False``): with ultralytics' default its
        size, and so its detections, would depend on the other images of the batch.
        """
        results: Any = self._model.predict(
            as_stored(images),
            imgsz=self._image_size,
            conf=self._score,
            max_det=MAX_DETECTIONS,
            rect=False,
            device=self._device,
            verbose=False,
            save=False,
        )
        return [
            [
                Detection((x1, y1, x2, y2), str(result.names[int(kind)]), min(float(score), 1.0))
                for x1, y1, x2, y2, score, kind in result.boxes.data[:, :6].tolist()
            ]
            for result in results
        ]


def load_ultralytics(weights: str, score: float, device: str) -> UltralyticsDetector:
    """Load a detector that ``ultralytics.YOLO`` opens.

    Args:
        weights: a file, or a name that ultralytics knows and downloads, such as ``yolov8n.pt``.
        score: detections below this confidence are dropped.
        device: a torch device: ``cpu``, ``cuda:0``.

    Raises:
        ModelError: there is no such model, or it is not a detector.
    """
    quiet_ultralytics()
    from PIL import Image

    exported = Path(weights).suffix != ".pt"
    try:
        from ultralytics.models import YOLO

        if Path(weights).suffix == ".onnx":
            import onnxruntime  # noqa: F401 - ultralytics asks for it only at the first picture
        model = YOLO(weights, task="detect" if exported else None, verbose=False)
        # Exported models are built for one batch size, which is 1 unless they were exported otherwise.
        detector = UltralyticsDetector(model, score, device, batch_size=1 if exported else 16)
        if model.task == "detect":
            detector.detect([Image.new("RGB", (64, 64))])  # exported files are opened only now
    except Exception as error:  # its loaders raise whatever went wrong: AttributeError, KeyError, ...
        fix = "give a .pt or .onnx file (for .onnx: pip install 'glitbuild[onnx]'), or a name it can download"
        raise ModelError(f"--detector {weights}", str(error) or type(error).__name__, fix) from error
    if model.task != "detect":
        raise ModelError(f"--detector {weights}", f"it is a model for {model.task}", "give a detector")
    return detector


def quiet_ultralytics() -> None:
    """Keep ultralytics from installing packages by itself, in every worker, and from logging to standard output."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")
