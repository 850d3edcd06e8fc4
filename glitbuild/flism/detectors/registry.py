"""Choosing and loading the detector that ``--detector SPEC`` names."""

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from glitbuild.demo_models import checksum, embedded_file
from glitbuild.demo_models.detector import WEIGHTS as DEMO_WEIGHTS
from glitbuild.demo_models.detector import load_demo_detector
from glitbuild.errors import ConfigError, ModelError
from glitbuild.files import not_weights
from glitbuild.flism.detectors.base import Detector

DEFAULT_SCORE = 0.25
DEFAULT_SCORE_HF = 0.5
"""Default for transformers models: the paper runs its detector, YOLOS, at 0.5; YOLO's scores are lower."""


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """Specification of a detector, checked as far as possible without loading it.

    Attributes:
        spec: ``none``, ``demo``, ``hf:NAME_OR_DIR``, or an ultralytics name or file; files and folders as absolute
            paths.
        score: lowest score of a detection, 0 to 1.
        identity: identifier recorded in the dataset's configuration: the name, or the SHA-256 of a local file.
        sha256: SHA-256 of the file, if known: of a local file, or required of a download.
        trusted: whether a pickle may run code.
    """

    spec: str
    score: float
    identity: str
    sha256: str | None = None
    trusted: bool = False

    @classmethod
    def parse(
        cls, spec: str, score: float | None, trusted: bool = False, sha256: str | None = None
    ) -> "DetectorSpec":
        """Check a spec and its score.

        Args:
            spec: specification as in the attribute of this name.
            score: lowest score of a detection, 0 to 1; None for the detector's default.
            trusted: whether a ``.pt`` file may run code while it is opened.
            sha256: SHA-256 that the file must have; such a file is trusted.

        Raises:
            ModelError: a file or folder is missing or doesn't match the SHA-256, the embedded model is damaged, or
                the detector needs ultralytics, which isn't installed.
            ConfigError: the score is not between 0 and 1.
        """
        hf = spec.startswith("hf:")
        if score is None:
            score = DEFAULT_SCORE_HF if hf else DEFAULT_SCORE
        if not 0 <= score <= 1:
            raise ConfigError(f"--score {score}", "out of range", "give a number from 0 to 1")
        if spec == "none":
            return cls(spec, score, spec)
        if not hf:
            _require_ultralytics(spec)
        identity = _identity(spec, hf)
        if spec == "demo":
            return cls(spec, score, identity)
        path = Path(spec.removeprefix("hf:")).expanduser()
        if sha256:
            sha256, trusted = sha256.lower(), True
            if hf or (path.is_file() and identity != f"sha256:{sha256}"):
                why = "hf: models have none" if hf else f"the file's SHA-256 is {identity.removeprefix('sha256:')}"
                raise ModelError(f"--detector-sha256 {sha256}", why, "give the SHA-256 of the intended file")
        elif path.is_file():
            sha256 = identity.removeprefix("sha256:")
        if path.exists():  # workers may run in another folder
            spec = ("hf:" if hf else "") + str(path.resolve())
        return cls(spec, score, identity, sha256, trusted)

    @property
    def is_local(self) -> bool:
        """Whether the detector is available without a download."""
        return self.spec in ("none", "demo") or Path(self.spec.removeprefix("hf:")).exists()

    def load(self, device: str) -> Detector:
        """Load the detector's weights.

        Raises:
            ModelError: the weights are unavailable or unusable.
        """
        if self.spec == "none":
            from glitbuild.flism.detectors.base import NoDetector

            return NoDetector()
        if self.spec.startswith("hf:"):
            from glitbuild.flism.detectors.transformers import TransformersDetector

            return TransformersDetector(self.spec.removeprefix("hf:"), self.score, device)
        if self.spec == "demo":
            return load_demo_detector(self.score, device)
        from glitbuild.flism.detectors.ultralytics import load_ultralytics

        return load_ultralytics(self.spec, self.score, device, self.sha256, self.trusted)


def _require_ultralytics(spec: str) -> None:
    if find_spec("ultralytics") is None:
        fix = "pip install 'glitbuild[yolo]', or use a transformers model (hf:hustvl/yolos-base) or none"
        raise ModelError(f"--detector {spec}", "it needs ultralytics (AGPL-3.0), which isn't installed", fix)


def _identity(spec: str, hf: bool) -> str:
    if spec == "demo":
        embedded_file(DEMO_WEIGHTS)
        return f"sha256:{checksum(DEMO_WEIGHTS)}"
    path = Path(spec.removeprefix("hf:")).expanduser()
    if path.is_file():
        _refuse_other(spec, path)
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if hf and path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(path.rglob("*")):
            if file.suffix in (".json", ".safetensors", ".bin"):
                if file.suffix != ".json":
                    _refuse_other(spec, file)
                digest.update(os.fsencode(file.name) + hashlib.sha256(file.read_bytes()).digest())
        return f"hf:sha256:{digest.hexdigest()}"
    if hf and (path.is_absolute() or spec.startswith(("hf:.", "hf:~"))):
        raise ModelError(f"--detector {spec}", "no such folder", "give a folder saved with save_pretrained")
    if not hf and path.suffix not in (".pt", ".onnx"):
        fix = "give none, demo, hf:NAME_OR_DIR, or an ultralytics name or file such as yolov8n.pt"
        raise ModelError(f"--detector {spec}", "unknown detector", fix)
    if not hf and path.name != spec:
        raise ModelError(f"--detector {spec}", "no such file", "check the path")
    return spec


def _refuse_other(spec: str, path: Path) -> None:
    if wrong := not_weights(path):
        raise ModelError(f"--detector {spec}", *wrong)
