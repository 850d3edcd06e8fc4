"""The demo detector, trained on the kinds of objects in drawn scenes only."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glitbuild.demo_models import FOLDER, embedded_file
from glitbuild.errors import ModelError
from glitbuild.flism.detectors.ultralytics import UltralyticsDetector, quiet_ultralytics

WEIGHTS = "detector.safetensors"
CONFIG = "detector.json"
"""File with the architecture and the class names."""


def build_network(architecture: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Build ultralytics' network for an architecture, with random weights.

    Args:
        architecture: ``base``, one of ultralytics' model files, and the compound scaling: ``depth``, ``width``,
            ``max_channels``.
        names: class names.
    """
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    scale = [architecture["depth"], architecture["width"], architecture["max_channels"]]
    described = yaml_model_load(architecture["base"]) | {"scales": {"n": scale}, "scale": "n", "nc": len(names)}
    network = DetectionModel(described, nc=len(names), verbose=False)
    network.names = dict(enumerate(names))
    return network


def load_demo_detector(score: float, device: str, folder: Path = FOLDER) -> UltralyticsDetector:
    """Load the embedded detector.

    Args:
        score: lowest confidence of a detection.
        device: torch device.
        folder: folder with the detector's files.

    Raises:
        ModelError: a file is missing or altered, or the installed ultralytics builds a different network.
    """
    quiet_ultralytics()
    from safetensors.torch import load_file
    from ultralytics.models import YOLO

    config = json.loads(embedded_file(CONFIG, folder).read_text())
    state = load_file(embedded_file(WEIGHTS, folder))
    network = build_network(config["architecture"], config["names"])
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()} | counters)
    except RuntimeError as error:
        fix = "install the version of ultralytics in requirements.lock"
        raise ModelError("--detector demo", "the weights don't fit ultralytics' network", fix) from error
    model = YOLO(config["architecture"]["base"], task="detect", verbose=False)
    model.model = network.eval()
    detector = UltralyticsDetector(model, score, device, config["architecture"]["image_size"])
    detector.warm_up()
    return detector
