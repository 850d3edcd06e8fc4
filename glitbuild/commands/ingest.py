"""``glitbuild ingest``."""

from typing import Any

import click

from glitbuild.commands.common import common, downloads, overwrite
from glitbuild.commands.report import report


@click.command(
    short_help="Read images with captions and write checked shards.",
    epilog="Example: glitbuild ingest photos/ --out data/raw",
)
@click.argument("source", nargs=-1, required=True)
@click.option("--out", required=True, help="Dataset directory to write; a local path or an fsspec URL.")
@click.option(
    "--format",
    default="auto",
    show_default=True,
    help="folder, jsonl, csv, parquet, webdataset, hf, or a corpus: docci, dci, coco, ...",
)
@click.option("--image-column", help="Column with the image, its path or URL.  [default: found by its name]")
@click.option("--caption-column", help="Column with the caption.  [default: found by its name]")
@click.option("--split", help="Split of a corpus or a Hugging Face dataset.  [default: all of them]")
@click.option(
    "--keep-columns",
    default="",
    callback=lambda context, parameter, value: tuple(value.split(",")) if value else (),
    help="Further columns that records keep: names with commas between them, or all.",
)
@click.option("--boxes-column", help="Column with regions that people marked: boxes with labels or sentences.")
@click.option(
    "--boxes-format",
    default="xyxy",
    show_default=True,
    help="How boxes are written: xyxy or xywh in pixels, or xyxy-normalized from 0 to 1.",
)
@click.option("--shard-size", default=1000, show_default=True, help="Rows per shard.")
@click.option(
    "--max-pixels", default=100_000_000, show_default=True, help="Most pixels of an image; larger ones are skipped."
)
@click.option(
    "--max-side", type=int, help="Shrink images whose longer side has more pixels.  [default: keep their size]"
)
@click.option(
    "--duplicates", default="exact", show_default=True, help="Duplicates to skip: keep (none), exact or near."
)
@click.option(
    "--near-distance",
    default=4,
    show_default=True,
    help="Most bits of 64 in which hashes of near duplicates differ.",
)
@click.option("--exclude", multiple=True, help="Dataset directory whose images are skipped, near duplicates too.")
@click.option(
    "--captions/--no-captions",
    default=True,
    show_default=True,
    help="Without: images alone, for `glitbuild caption`; captions that the input has are left out.",
)
@downloads
@click.option("--retry-skipped", is_flag=True, help="Retry failed downloads, in their shards.")
@click.option("--extend", is_flag=True, help="Add rows that were appended to the last input, and further inputs.")
@click.option("--workers", type=int, help="Number of Ray workers.  [default: threads of this process, without Ray]")
@click.option("--ray-address", help="Ray cluster to join.  [default: this machine]")
@overwrite
@common
def ingest(plain: bool, **options: Any) -> None:
    """Read images with captions and write them as checked WebDataset shards.

    SOURCE is a folder of images with .txt or .json files of the same name, a .jsonl, .csv or .parquet
    file, WebDataset tars, a Hugging Face dataset, or a known corpus as it is downloaded. Images given as
    http(s) addresses are downloaded. What can't be used is listed in OUT/skipped/.
    """
    from glitbuild.stages.ingest.command import run_ingest
    from glitbuild.stages.ingest.options import IngestOptions

    report(run_ingest(IngestOptions(**options), plain), options["out"])
