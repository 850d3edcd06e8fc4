"""YOLOS, DETR, RT-DETR and similar detectors through transformers (``hf:NAME_OR_DIR``)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ModelError
from glitbuild.flism.detectors.base import Detection, as_stored

if TYPE_CHECKING:
    from PIL.Image import Image


class TransformersDetector:
    """A model that ``AutoModelForObjectDetection`` loads; without NMS, because these models predict sets.

    Args:
        name: folder saved with ``save_pretrained``, or name on the Hugging Face Hub.
        score: lowest score of a detection.
        device: torch device, such as ``cpu`` or ``cuda:0``.

    Raises:
        ModelError: transformers is not installed, or can't load the model.
    """

    batch_size = 8

    def __init__(self, name: str, score: float, device: str) -> None:
        try:
            from transformers import AutoImageProcessor, AutoModelForObjectDetection
        except ImportError as error:
            raise ModelError(
                f"--detector hf:{name}", "transformers is missing", "pip install 'glitbuild[hf]'"
            ) from error
        try:
            self._processor: Any = AutoImageProcessor.from_pretrained(name, trust_remote_code=False)  # type: ignore[no-untyped-call]
            model = AutoModelForObjectDetection.from_pretrained(name, trust_remote_code=False)
        except Exception as error:  # OSError, ValueError or KeyError, depending on what is wrong with the folder
            fix = "give a folder saved with save_pretrained, or a detector's name on the Hub"
            raise ModelError(f"--detector hf:{name}", str(error).partition("\n")[0], fix) from error
        self._model = model.eval().to(device)
        self._score, self._device = score, device

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return the detections in each RGB image, with boxes in its pixels.

        Only images of equal size are batched: batches of several sizes would be padded, and some of these models
        (YOLOS) attend to the padding, so that detections would depend on the other images of the batch.
        """
        by_size = defaultdict[tuple[int, int], list[int]](list)
        for index, image in enumerate(images):
            by_size[image.size].append(index)
        found: list[list[Detection]] = [[] for _ in images]
        for indices in by_size.values():
            for index, detections in zip(indices, self._detect([images[i] for i in indices]), strict=True):
                found[index] = detections
        return found

    def _detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        import torch

        inputs = self._processor(images=as_stored(images), return_tensors="pt").to(self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs)
        sizes = [(image.height, image.width) for image in images]
        results = self._processor.post_process_object_detection(outputs, self._score, target_sizes=sizes)
        names = self._model.config.id2label
        return [
            [
                Detection((x1, y1, x2, y2), str(names[kind]), min(score, 1.0))
                for (x1, y1, x2, y2), kind, score in zip(
                    result["boxes"].tolist(),
                    result["labels"].tolist(),
                    result["scores"].tolist(),
                    strict=True,
                )
            ]
            for result in results
        ]
