"""Options of ``glitbuild ingest``: the same names on the command line and in a pipeline file."""

from dataclasses import dataclass

from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.images.stored import MIN_SIDE
from glitbuild.stages.ingest.download.fetch import DownloadOptions
from glitbuild.stages.ingest.duplicates import MODES, Mode
from glitbuild.stages.ingest.given_boxes import FORMATS, XYXY
from glitbuild.stages.ingest.kept_columns import ALL
from glitbuild.stages.ingest.near import MAX_DISTANCE


@dataclass(frozen=True, slots=True)
class IngestOptions(DownloadOptions):
    """Options of ``glitbuild ingest``; see ``glitbuild ingest --help``."""

    source: str | tuple[str, ...]
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
        for name in ("source", "exclude", "keep_columns"):  # programs and recipes give a single one, or a list
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
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

    @property
    def sources(self) -> tuple[str, ...]:
        """Inputs in their order."""
        return (self.source,) if isinstance(self.source, str) else self.source

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
