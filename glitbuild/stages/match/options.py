"""Options of ``glitbuild match``."""

import re
from dataclasses import dataclass, field

from glitbuild.clip.facts import FactOptions
from glitbuild.clip.precision import AUTO, PRECISIONS
from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.flism.regions import check_area_limits
from glitbuild.options import OUT, OVERWRITE, RAY_ADDRESS, Content, about


@dataclass(frozen=True, slots=True)
class MatchOptions(FactOptions):
    """Find regions, split captions into sentences, and pair each sentence with its best region.

    DIR is a dataset directory that `glitbuild ingest`, `caption` or `scenes` finished.
    """

    dir: str = field(
        metadata=about(
            "Dataset directory that `ingest`, `caption` or `scenes` made.", argument=True, content=Content.DERIVED
        )
    )
    out: str = field(metadata=OUT)
    gpus: int | None = field(
        default=None, metadata=about("Number of GPUs, one worker each.", absent="all there are", least=1)
    )
    workers: int | None = field(
        default=None,
        metadata=about("Number of CPU workers instead; 0 runs in this process, without Ray.", least=0),
    )
    detector: str = field(
        default="yolov8n.pt",
        metadata=about(
            "An ultralytics name or file (.pt, .onnx), hf:NAME_OR_DIR (YOLOS, DETR, ...), none, or demo.",
            content=Content.DERIVED,
        ),
    )
    clip_model: str = field(
        default="ViT-L-14-336",
        metadata=about("Architecture of open_clip, folder of a model, or demo.", content=Content.DERIVED),
    )
    clip_pretrained: str | None = field(
        default=None,
        metadata=about("Tag of open_clip, or checkpoint file.", absent="openai", content=Content.DERIVED),
    )
    score: float | None = field(
        default=None,
        metadata=about(
            "Lowest score of a detection.", absent="0.25; 0.5 for hf:", least=0, most=1, content=Content.DERIVED
        ),
    )
    min_area: float = field(
        default=0.01,
        metadata=about(
            "Smallest area of a detection, as a share of the image.", least=0, most=1, content=Content.YES
        ),
    )
    max_area: float = field(
        default=0.8,
        metadata=about(
            "Largest area of a detection, as a share of the image.", least=0, most=1, content=Content.YES
        ),
    )
    default_regions: bool = field(
        default=True,
        metadata=about(
            "Use quadrants and centre besides detections; without, only where nothing is detected.",
            content=Content.IF_SET,
        ),
    )
    precision: str = field(
        default=AUTO,
        metadata=about(
            "Number format in which CLIP computes; auto is fp16 on a GPU, and on a CPU what is fastest on it.",
            choices=PRECISIONS,
            content=Content.DERIVED,
        ),
    )
    ray_address: str | None = field(default=None, metadata=RAY_ADDRESS)
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    trust_detector: bool = field(
        default=False, metadata=about("Allow a .pt file, which is a pickle, to run the code in it.")
    )
    detector_sha256: str | None = field(
        default=None, metadata=about("SHA-256 that the detector's file must have; such a file is trusted.")
    )

    def __post_init__(self) -> None:
        FactOptions.__post_init__(self)
        check_workers(self.workers, self.gpus, self.ray_address)
        if not self.default_regions and self.detector == "none":
            raise ConfigError("--no-default-regions --detector none", "no regions are left", "omit one of the two")
        if self.detector_sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", self.detector_sha256):
            what = f"--detector-sha256 {self.detector_sha256}"
            raise ConfigError(what, "not a SHA-256", "give its 64 hexadecimal digits, as sha256sum prints them")
        if self.detector_sha256 is not None and self.detector in ("none", "demo"):
            raise ConfigError(
                f"--detector-sha256 --detector {self.detector}",
                "this detector is not a file",
                "omit --detector-sha256",
            )
        check_area_limits(self.min_area, self.max_area)
