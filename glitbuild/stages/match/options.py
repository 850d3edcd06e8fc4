"""The options of the commands: the same names on the command line and in a pipeline file."""

import re
from dataclasses import dataclass

from glitbuild.clip.facts import FactOptions
from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.flism.regions import check_area_limits


@dataclass(frozen=True, slots=True)
class MatchOptions(FactOptions):
    """Options of ``glitbuild match``; see ``glitbuild match --help``."""

    dir: str
    out: str
    gpus: int | None = None
    workers: int | None = None
    detector: str = "yolov8n.pt"
    clip_model: str = "ViT-L-14-336"
    clip_pretrained: str | None = None
    score: float | None = None
    min_area: float = 0.01
    max_area: float = 0.8
    default_regions: bool = True
    ray_address: str | None = None
    overwrite: bool = False
    trust_detector: bool = False
    detector_sha256: str | None = None

    def __post_init__(self) -> None:
        FactOptions.__post_init__(self)
        check_workers(self.workers, self.gpus, self.ray_address)
        if not self.default_regions and self.detector == "none":
            raise ConfigError("--no-default-regions --detector none", "no regions are left", "give one of the two")
        if self.detector_sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", self.detector_sha256):
            what = f"--detector-sha256 {self.detector_sha256}"
            raise ConfigError(what, "not a SHA-256", "give its 64 hexadecimal digits, as sha256sum prints them")
        if self.detector_sha256 is not None and self.detector in ("none", "demo"):
            raise ConfigError(f"--detector-sha256 --detector {self.detector}", "no file", "give one of the two")
        check_area_limits(self.min_area, self.max_area)
