"""The options of the commands: the same names on the command line and in a pipeline file."""

import re
from dataclasses import dataclass

from glitbuild.clip.facts import FactOptions
from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.flism.regions import check_area_limits
from glitbuild.ingest.download.options import DownloadOptions
from glitbuild.ingest.duplicates import MODES, Mode
from glitbuild.ingest.given_boxes import FORMATS, XYXY
from glitbuild.ingest.images import MIN_SIDE
from glitbuild.ingest.kept_columns import ALL
from glitbuild.ingest.near import MAX_DISTANCE


@dataclass(frozen=True, slots=True)
class IngestOptions(DownloadOptions):
    """Options of ``glitbuild ingest``; see ``glitbuild ingest --help``."""

    source: tuple[str, ...]
    out: str
    format: str = "auto"
    image_column: str | None = None
    caption_column: str | None = None
    split: str | None = None
    keep_columns: tuple[str, ...] = ()
    boxes_column: str | None = None
    boxes_format: str = XYXY
    shard_size: int = 1000
    max_pixels: int = 100_000_000
    max_side: int | None = None
    duplicates: Mode = "exact"
    near_distance: int = 4
    exclude: tuple[str, ...] = ()
    captions: bool = True
    overwrite: bool = False
    retry_skipped: bool = False
    extend: bool = False
    workers: int | None = None
    ray_address: str | None = None

    def __post_init__(self) -> None:
        DownloadOptions.__post_init__(self)
        if not self.source:
            raise ConfigError("SOURCE", "none given", "name a folder, a file or a dataset")
        for name in ("retry-skipped", "extend"):
            if self.overwrite and getattr(self, name.replace("-", "_")):
                raise ConfigError(f"--overwrite and --{name}", "both given", "give one of the two")
        check_workers(self.workers, None, self.ray_address)
        if not self.captions and self.caption_column is not None:
            raise ConfigError("--no-captions and --caption-column", "both given", "give one of the two")
        self._check_columns()
        for name, value in (("--shard-size", self.shard_size), ("--max-pixels", self.max_pixels)):
            if value < 1:
                raise ConfigError(f"{name} {value}", "too small", "give at least 1")
        if self.max_side is not None and self.max_side < MIN_SIDE:
            raise ConfigError(f"--max-side {self.max_side}", "too small", f"give at least {MIN_SIDE}")
        if self.duplicates not in MODES:
            raise ConfigError(f"--duplicates {self.duplicates}", "unknown", f"give one of: {', '.join(MODES)}")
        if not 0 <= self.near_distance <= MAX_DISTANCE:
            what = f"--near-distance {self.near_distance}"
            raise ConfigError(what, "out of range", f"give 0 to {MAX_DISTANCE} bits")

    def _check_columns(self) -> None:
        columns, what = self.keep_columns, f"--keep-columns {','.join(self.keep_columns)}"
        if not all(columns) or len(set(columns)) < len(columns):
            raise ConfigError(what, "a name is empty or comes twice", "give names with commas between them")
        if ALL in columns and len(columns) > 1:
            raise ConfigError(what, "all, and names beside it", "give one of the two")
        if self.boxes_format not in FORMATS:
            raise ConfigError(
                f"--boxes-format {self.boxes_format}", "unknown", f"give one of: {', '.join(FORMATS)}"
            )


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
