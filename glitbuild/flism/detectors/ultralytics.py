"""YOLO and RT-DETR models through ultralytics: a file (.pt, .onnx) or one of ultralytics' names."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ModelError
from glitbuild.flism.detectors.base import Detection

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SIZE = 640
MAX_DETECTIONS = 300


class UltralyticsDetector:
    """A detector that ``ultralytics.YOLO`` opens.

    Args:
        weights: a file, or a name that ultralytics knows and downloads, such as ``yolov8n.pt``.
        score: detections below this confidence are dropped.
        device: a torch device: ``cpu``, ``cuda:0``.

    Raises:
        ModelError: there is no such model, or it is not a detector.
    """

    def __init__(self, weights: str, score: float, device: str) -> None:
        # Ultralytics would otherwise install packages by itself, in every worker, and log to standard output.
        os.environ.setdefault("YOLO_AUTOINSTALL", "false")
        os.environ.setdefault("YOLO_VERBOSE", "false")
        import torch
        from PIL import Image

        exported = Path(weights).suffix != ".pt"
        # Exported models are built for one batch size, which is 1 unless they were exported otherwise.
        self.batch_size = 1 if exported else 16
        # As an object: a name such as "cuda:0" would make ultralytics rewrite CUDA_VISIBLE_DEVICES.
        self._score, self._device = score, torch.device(device)
        try:
            from ultralytics.models import YOLO

            if Path(weights).suffix == ".onnx":
                import onnxruntime  # noqa: F401 - ultralytics asks for it only at the first picture
            self._model = YOLO(weights, task="detect" if exported else None, verbose=False)
            if self._model.task == "detect":
                self.detect([Image.new("RGB", (64, 64))])  # exported files are opened only now
        except Exception as error:  # its loaders raise whatever went wrong: AttributeError, KeyError, ...
            fix = "give a .pt or .onnx file (for .onnx: pip install 'glitbuild[onnx]'), or a name it can download"
            raise ModelError(f"--detector {weights}", str(error) or type(error).__name__, fix) from error
        if self._model.task != "detect":
            raise ModelError(f"--detector {weights}", f"it is a model for {self._model.task}", "give a detector")

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return the detections in each RGB image, boxes in its pixels.

        Every image is letterboxed to the same square (``rect=False``): with ultralytics' default its
        size, and so its detections, would depend on the other images of the batch.
        """
        results: Any = self._model.predict(
            list(images),
            imgsz=IMAGE_SIZE,
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
