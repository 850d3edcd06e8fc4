"""The options of ``glitbuild ingest``."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.images.stored import MIN_SIDE
from glitbuild.options import OUT, OVERWRITE, RAY_ADDRESS, Content, about
from glitbuild.stages.ingest.download.fetch import DownloadOptions
from glitbuild.stages.ingest.duplicates import Mode
from glitbuild.stages.ingest.given_boxes import FORMATS, XYXY
from glitbuild.stages.ingest.kept_columns import ALL
from glitbuild.stages.ingest.near import MAX_DISTANCE


@dataclass(frozen=True, slots=True)
class IngestOptions(DownloadOptions):
    """Read images with captions and write them as checked WebDataset shards.

    SOURCE is a folder of images with .txt or .json files of the same name, a .jsonl, .csv or .parquet
    file, WebDataset tars, a Hugging Face dataset, or a known corpus as it is downloaded. Images given as
    http(s) URLs are downloaded. What can't be used is listed in OUT/skipped/.
    """

    source: str | Sequence[str] = field(
        metadata=about(
            "Input or inputs: a folder, a file, a glob, a dataset.", argument=True, content=Content.DERIVED
        )
    )
    out: str = field(metadata=OUT)
    format: str = field(
        default="auto",
        metadata=about(
            "folder, jsonl, csv, parquet, webdataset, hf, or a corpus: docci, dci, coco, ...",
            content=Content.DERIVED,
        ),
    )
    image_column: str | None = field(
        default=None,
        metadata=about(
            "Column with the image, its path or URL.", absent="found by its name", content=Content.DERIVED
        ),
    )
    caption_column: str | None = field(
        default=None,
        metadata=about("Column with the caption.", absent="found by its name", content=Content.DERIVED),
    )
    split: str | None = field(
        default=None,
        metadata=about(
            "Split of a corpus or a Hugging Face dataset.", absent="all of them", content=Content.DERIVED
        ),
    )
    keep_columns: Sequence[str] = field(
        default=(),
        metadata=about(
            "Further columns that records keep: names with commas between them, or all.",
            commas=True,
            content=Content.DERIVED,
        ),
    )
    boxes_column: str | None = field(
        default=None,
        metadata=about(
            "Column with regions that people marked: boxes with labels or sentences.", content=Content.IF_SET
        ),
    )
    boxes_format: str = field(
        default=XYXY,
        metadata=about(
            "How boxes are written: xyxy or xywh in pixels, or xyxy-normalized from 0 to 1.",
            choices=FORMATS,
            content=Content.DERIVED,
        ),
    )
    shard_size: int = field(default=1000, metadata=about("Rows per shard.", least=1, content=Content.YES))
    max_pixels: int = field(
        default=100_000_000,
        metadata=about("Most pixels of an image; larger ones are skipped.", least=1, content=Content.YES),
    )
    max_side: int | None = field(
        default=None,
        metadata=about(
            "Shrink images whose longer side has more pixels.",
            absent="keep their size",
            least=MIN_SIDE,
            content=Content.IF_SET,
        ),
    )
    duplicates: Mode = field(
        default="exact",
        metadata=about("Duplicates to skip: keep (none), exact or near.", content=Content.DERIVED),
    )
    near_distance: int = field(
        default=4,
        metadata=about(
            "Most bits of 64 in which hashes of near duplicates differ.",
            least=0,
            most=MAX_DISTANCE,
            content=Content.DERIVED,
        ),
    )
    exclude: Sequence[str] = field(
        default=(),
        metadata=about("Dataset directory whose images are skipped, near duplicates too.", content=Content.DERIVED),
    )
    captions: bool = field(
        default=True,
        metadata=about(
            "Without: images alone, for `glitbuild caption`; captions that the input has are left out.",
            content=Content.IF_SET,
        ),
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    retry_skipped: bool = field(default=False, metadata=about("Retry failed downloads, in their shards."))
    extend: bool = field(
        default=False,
        metadata=about("Add rows that were appended to the last input, and further inputs."),
    )
    workers: int | None = field(
        default=None,
        metadata=about("Number of Ray workers.", absent="threads of this process, without Ray", least=0),
    )
    ray_address: str | None = field(default=None, metadata=RAY_ADDRESS)

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

    @property
    def sources(self) -> tuple[str, ...]:
        """Inputs in their order."""
        return tuple(self.source)

    def _check_columns(self) -> None:
        columns, what = self.keep_columns, f"--keep-columns {','.join(self.keep_columns)}"
        if not all(columns) or len(set(columns)) < len(columns):
            raise ConfigError(what, "a name is empty or comes twice", "give names with commas between them")
        if ALL in columns and len(columns) > 1:
            raise ConfigError(what, "all, and names beside it", "give one of the two")
