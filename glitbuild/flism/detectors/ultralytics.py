"""YOLO and RT-DETR models through ultralytics, from a file (.pt, .onnx) or one of ultralytics' names."""

import hashlib
import math
import os
import pickletools
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ModelError
from glitbuild.files import not_weights
from glitbuild.flism.detectors.base import Detection, as_stored

if TYPE_CHECKING:
    from PIL.Image import Image


TRUST = "--trust-detector"


def local_weights(weights: str, sha256: str | None = None) -> Path:
    """Return the file with the weights, which ultralytics downloads if it is one of its names.

    Args:
        weights: file, or name. Downloads are kept in torch's folder for weights: in the working folder, where
            ultralytics would put them, the next run would take the file for a different detector.
        sha256: SHA-256 that the file must have, if known.

    Raises:
        ModelError: there is no such file, and it can't be downloaded.
    """
    path = Path(weights)
    if path.exists():
        return path
    import torch
    from ultralytics.utils import SETTINGS
    from ultralytics.utils.downloads import attempt_download_asset

    kept = Path(SETTINGS["weights_dir"], weights)
    if not kept.is_file():
        kept = Path(torch.hub.get_dir(), "checkpoints", "ultralytics", weights)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept = Path(attempt_download_asset(str(kept)))
    if not kept.is_file():
        fix = "give a file, or a name that ultralytics knows, such as yolov8n.pt"
        raise ModelError(f"--detector {weights}", "no such file, and it could not be downloaded", fix)
    return kept


@contextmanager
def opened_as(path: Path, sha256: str | None, trusted: bool) -> Iterator[Path]:
    """Yield the file to open, whose bytes are those that were checked.

    While the context is active, ultralytics opens a pickle with torch's restricted unpickler, unless it is trusted.
    A ``.pt`` file is copied first, so that it can't be changed between the check and the opening.

    Raises:
        ModelError: the file doesn't have that SHA-256, or this ultralytics has no restricted unpickler.
    """
    from ultralytics.nn import tasks

    data = path.read_bytes()
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"--detector {path}", f"its SHA-256 is not {sha256}", "give the intended file")
    if wrong := not_weights(path):
        raise ModelError(f"--detector {path}", *wrong)
    if path.suffix != ".pt":
        yield path
        return
    if not trusted and not (hasattr(tasks, "SAFE_LOAD") and tasks._SafeLoad.SUPPORTED):
        why = "the installed ultralytics can't open it without running code in it"
        raise ModelError(f"--detector {path}", why, f"upgrade ultralytics, or give {TRUST}")
    with tempfile.TemporaryDirectory(prefix="glitbuild-") as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(data)
        before, tasks.SAFE_LOAD = getattr(tasks, "SAFE_LOAD", False), not trusted
        try:
            yield copy
        finally:
            tasks.SAFE_LOAD = before


def refusal(error: BaseException, weights: str) -> ModelError | None:
    """Return the error for a file that was refused because it asks for code, or None if the cause is different."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, UnpicklingError):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return None
    data = Path(weights).read_bytes() if Path(weights).is_file() else b""
    if not (asked := _asked(str(seen)) or _first_global(data)):
        return None
    digest = f" (SHA-256 {hashlib.sha256(data).hexdigest()})" if data else ""
    why = f"this file{digest} runs code when it is opened: it asks for {asked}"
    fix = f"if you trust its source, add {TRUST}, or --detector-sha256 with its SHA-256"
    return ModelError(f"--detector {weights}", why, fix)


def reason(error: Exception) -> str:
    """Return why a file can't be opened, without ultralytics' advice."""
    text = str(error) or type(error).__name__
    if "TorchScript archive" in text:
        return "a TorchScript archive, not an ultralytics checkpoint"
    if isinstance(error, TypeError) and "ERROR" in text:
        return "not an ultralytics checkpoint, or a damaged one"
    return text


def _first_global(data: bytes) -> str | None:
    """Return the first name outside torch that a bare pickle imports; None if the bytes aren't such a pickle."""
    strings: list[str] = []
    with suppress(ValueError, EOFError, IndexError, UnicodeDecodeError):
        for operation, argument, _ in pickletools.genops(data):
            name = str(argument).replace(" ", ".") if operation.name in ("GLOBAL", "INST") else None
            if operation.name == "STACK_GLOBAL":
                name = ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)
            if name and not name.startswith(("torch.", "collections.")):
                return name
    return None


def _asked(message: str) -> str | None:
    """Return the forbidden name that a pickle asks for, from the message of the restricted unpickler."""
    if found := re.search(r"GLOBAL ([\w.]+)", message):
        return found[1]
    if found := re.search(r"reduce for unrecognized function ([^\n]+)|unsafe (getattr\([^)]*\))", message):
        return found[1] or found[2]
    if found := re.search(r"Can only (?:create new object|build|SETITEM)[^\n]*", message):
        return found[0]
    return None


IMAGE_SIZE = 640
MAX_DETECTIONS = 300


class UltralyticsDetector:
    """Detects with a model of ultralytics.

    Args:
        model: ``ultralytics.YOLO`` whose task is detection.
        score: lowest confidence of a detection.
        device: torch device, such as ``cpu`` or ``cuda:0``.
        image_size: edge length in pixels of the square that every image is letterboxed to.
        batch_size: number of images per batch.
    """

    def __init__(
        self, model: Any, score: float, device: str, image_size: int = IMAGE_SIZE, batch_size: int = 16
    ) -> None:
        import torch

        tame_ultralytics()
        self.batch_size = batch_size
        # As an object, because a name such as "cuda:0" would make ultralytics change CUDA_VISIBLE_DEVICES.
        self._model, self._score, self._device = model, score, torch.device(device)
        self._image_size = image_size

    def detect(self, images: "Sequence[Image]") -> list[list[Detection]]:
        """Return the detections in each RGB image, with boxes in its pixels.

        Every image is letterboxed to the same square (``rect=False``): with ultralytics' default, its size, and so
        its detections, would depend on the other images of the batch.
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
            torch.set_num_threads(threads)  # ultralytics changes the number when it first selects its device
        return [
            [
                Detection((x1, y1, x2, y2), str(result.names[int(kind)]), min(float(score), 1.0))
                for x1, y1, x2, y2, score, kind in result.boxes.data[:, :6].tolist()
            ]
            for result in results
        ]

    def warm_up(self) -> None:
        """Run once on an empty image, so that exported files are opened and ultralytics is set up completely."""
        from PIL import Image

        self.detect([Image.new("RGB", (64, 64))])


def load_ultralytics(
    weights: str, score: float, device: str, sha256: str | None = None, trusted: bool = False
) -> UltralyticsDetector:
    """Load a detector that ``ultralytics.YOLO`` opens.

    Args:
        weights: file, or name that ultralytics knows and downloads, such as ``yolov8n.pt``.
        score: lowest confidence of a detection.
        device: torch device, such as ``cpu`` or ``cuda:0``.
        sha256: SHA-256 of the file, if known.
        trusted: whether a ``.pt`` file, which is a pickle, may run any code; otherwise it may only name classes of
            torch and ultralytics.

    Raises:
        ModelError: there is no such model, it is not a detector, it doesn't have that SHA-256, or it asks for code
            and isn't trusted.
    """
    quiet_ultralytics()
    exported = Path(weights).suffix != ".pt"
    try:
        from ultralytics.models import YOLO

        tame_ultralytics()
        if Path(weights).suffix == ".onnx":
            import onnxruntime  # noqa: F401 - ultralytics imports it only at the first image
        file = local_weights(weights, sha256)
        with opened_as(file, sha256, trusted) as checked:
            model = YOLO(str(checked), task="detect" if exported else None, verbose=False)
        # Exported models are built for a fixed batch size, by default 1.
        detector = UltralyticsDetector(model, score, device, batch_size=1 if exported else 16)
        if model.task == "detect":
            detector.warm_up()
    except ModelError:
        raise
    except Exception as error:  # its loaders raise errors of any kind: AttributeError, KeyError, ...
        if refused := refusal(error, weights):
            raise refused from error
        fix = "give a .pt or .onnx file (for .onnx: pip install 'glitbuild[onnx]'), or a name it can download"
        raise ModelError(f"--detector {weights}", reason(error), fix) from error
    if model.task != "detect":
        raise ModelError(f"--detector {weights}", f"it is a model for {model.task}", "give a detection model")
    return detector


def quiet_ultralytics() -> None:
    """Keep ultralytics, in every worker, from installing packages by itself and from logging to standard output."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")


def tame_ultralytics() -> None:
    """Undo side effects of importing ultralytics, and remove a dependence of results on time.

    Its non-maximum suppression stops after a time limit, and returns the remaining images of the batch without
    detections.
    """
    import torchvision  # noqa: F401 - ultralytics uses torchvision's suppression only if it has been imported
    from PIL import Image
    from ultralytics.utils import checks, events, nms, patches

    if not isinstance(nms.non_max_suppression, partial):
        nms.non_max_suppression = partial(nms.non_max_suppression, max_time_img=math.inf)
    if Image.open is getattr(patches, "image_open", None):
        Image.open = patches._image_open  # theirs fails with ImportError on an image that can't be identified
    checks.AUTOINSTALL = False
    events.events.enabled = False  # they would report every prediction to its makers
