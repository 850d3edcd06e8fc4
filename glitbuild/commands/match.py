"""``glitbuild match``."""

from typing import Any

import click

from glitbuild.commands.common import common, model_options, overwrite
from glitbuild.commands.report import report


@click.command(
    short_help="Pair the sentences of each caption with regions of its image.",
    epilog="Example: glitbuild match data/raw --out data/pairs --gpus 8",
)
@click.argument("dir")
@click.option("--out", required=True, help="Dataset directory to write; a local path or an fsspec URL.")
@click.option("--gpus", type=int, help="Number of GPUs, one worker each.  [default: all there are]")
@click.option("--workers", type=int, help="Number of CPU workers instead; 0 runs in this process, without Ray.")
@click.option(
    "--detector",
    default="yolov8n.pt",
    show_default=True,
    help="An ultralytics name or file (.pt, .onnx), hf:NAME_OR_DIR (YOLOS, DETR, ...), none, or demo.",
)
@click.option("--trust-detector", is_flag=True, help="Let a .pt file, which is a pickle, run the code in it.")
@click.option("--detector-sha256", help="SHA-256 that the detector's file must have; such a file is trusted.")
@click.option(
    "--clip-model",
    default="ViT-L-14-336",
    show_default=True,
    help="Architecture of open_clip, folder of a model, or demo.",
)
@click.option("--clip-pretrained", help="Tag of open_clip, or checkpoint file.  [default: openai]")
@model_options
@click.option("--score", type=float, help="Lowest score of a detection.  [default: 0.25; 0.5 for hf:]")
@click.option(
    "--min-area", default=0.01, show_default=True, help="Smallest area of a detection, as a share of the image."
)
@click.option(
    "--max-area", default=0.8, show_default=True, help="Largest area of a detection, as a share of the image."
)
@click.option(
    "--default-regions/--no-default-regions",
    default=True,
    show_default=True,
    help="Quadrants and centre beside detections; without, only where nothing is detected.",
)
@click.option("--ray-address", help="Ray cluster to join.  [default: Ray on this machine, for this run]")
@overwrite
@common
def match(plain: bool, **options: Any) -> None:
    """Find regions, split captions into sentences, and pair each sentence with its best region.

    DIR is a dataset directory that `glitbuild ingest` finished.
    """
    from glitbuild.stages.match.command import run_match
    from glitbuild.stages.match.options import MatchOptions

    report(run_match(MatchOptions(**options), plain), options["out"])
