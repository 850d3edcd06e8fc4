"""YOLO and RT-DETR models through ultralytics: a file (.pt, .onnx) or one of ultralytics' names."""

import math
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ModelError
from glitbuild.flism.detectors.base import Detection, as_stored
from glitbuild.flism.detectors.weights import local_weights, opened_as, reason, refusal

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

        tame_ultralytics()
        self.batch_size = batch_size
        # As an object: a name such as "cuda:0" would make ultralytics rewrite CUDA_VISIBLE_DEVICES.
        self._model, self._score, self._device = model, score, torch.device(device)
        self._image_size = image_size

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return the detections in each RGB image, boxes in its pixels.

        Every image is letterboxed to the same square (``rect=False``): with ultralytics' default its
        size, and so its detections, would depend on the other images of the batch.
        """
        import torch

        threads = torch.get_num_threads()
        try:
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
        finally:
            torch.set_num_threads(threads)  # it takes as many as it likes when it first chooses its device
        return [
            [
                Detection((x1, y1, x2, y2), str(result.names[int(kind)]), min(float(score), 1.0))
                for x1, y1, x2, y2, score, kind in result.boxes.data[:, :6].tolist()
            ]
            for result in results
        ]

    def warm_up(self) -> None:
        """Detect in an empty picture: exported files are opened only now, and what ultralytics sets up is."""
        from PIL import Image

        self.detect([Image.new("RGB", (64, 64))])


def load_ultralytics(
    weights: str, score: float, device: str, sha256: str | None = None, trusted: bool = False
) -> UltralyticsDetector:
    """Load a detector that ``ultralytics.YOLO`` opens.

    Args:
        weights: a file, or a name that ultralytics knows and downloads, such as ``yolov8n.pt``.
        score: detections below this confidence are dropped.
        device: a torch device: ``cpu``, ``cuda:0``.
        sha256: of the file, where it is known.
        trusted: run whatever code a ``.pt`` file, which is a pickle, asks for; otherwise it may name only
            classes of torch and ultralytics.

    Raises:
        ModelError: there is no such model, it is not a detector or not the file it should be, or it asks for
            code and isn't trusted.
    """
    quiet_ultralytics()
    exported = Path(weights).suffix != ".pt"
    try:
        from ultralytics.models import YOLO

        tame_ultralytics()
        if Path(weights).suffix == ".onnx":
            import onnxruntime  # noqa: F401 - ultralytics asks for it only at the first picture
        file = local_weights(weights, sha256)
        with opened_as(file, sha256, trusted) as checked:
            model = YOLO(str(checked), task="detect" if exported else None, verbose=False)
        # Exported models are built for one batch size, which is 1 unless they were exported otherwise.
        detector = UltralyticsDetector(model, score, device, batch_size=1 if exported else 16)
        if model.task == "detect":
            detector.warm_up()
    except ModelError:
        raise
    except Exception as error:  # its loaders raise whatever went wrong: AttributeError, KeyError, ...
        if refused := refusal(error, weights):
            raise refused from error
        fix = "give a .pt or .onnx file (for .onnx: pip install 'glitbuild[onnx]'), or a name it can download"
        raise ModelError(f"--detector {weights}", reason(error), fix) from error
    if model.task != "detect":
        raise ModelError(f"--detector {weights}", f"it is a model for {model.task}", "give a detector")
    return detector


def quiet_ultralytics() -> None:
    """Keep ultralytics from installing packages by itself, in every worker, and from logging to standard output."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")


def tame_ultralytics() -> None:
    """Undo what importing ultralytics does to the process, and what would let a result depend on time.

    Its non-maximum suppression stops after a time limit and then returns the rest of a batch's images
    without detections.
    """
    import torchvision  # noqa: F401 - the suppression is torchvision's only where that has been imported
    from PIL import Image
    from ultralytics.utils import checks, events, nms, patches

    if not isinstance(nms.non_max_suppression, partial):
        nms.non_max_suppression = partial(nms.non_max_suppression, max_time_img=math.inf)
    if Image.open is getattr(patches, "image_open", None):
        Image.open = patches._image_open  # theirs fails with ImportError on a picture that can't be identified
    checks.AUTOINSTALL = False
    events.events.enabled = False  # it would tell its makers of every prediction
