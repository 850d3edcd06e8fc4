"""``glitbuild eval``."""

from typing import Any

import click

from glitbuild.commands.common import common, model_options


@click.command(
    "eval",
    short_help="Measure a model on a dataset.",
    epilog="Example: glitbuild eval runs/one data/pairs --out metrics.json",
)
@click.argument("model")
@click.argument("dir")
@click.option("--pretrained", help="Tag of open_clip, or checkpoint file, of an architecture.  [default: openai]")
@model_options
@click.option(
    "--suite",
    default="",
    help="retrieval, localization, robustness, joint, averaging, separated by commas."
    "  [default: all that DIR can serve]",
)
@click.option("--out", help="JSON file to write; a local path or an fsspec URL.")
@click.option("--markdown", help="Markdown file to write; a local path or an fsspec URL.")
@click.option("--context-length", default=248, show_default=True, help="Number of tokens read per text: 77 or 248.")
@click.option(
    "--joint-pairs", default="best", show_default=True, help="Pairs per image in the suite joint: best or all."
)
@click.option("--batch-size", default=64, show_default=True, help="Images or texts per batch.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: a GPU if there is one.")
@click.option(
    "--cache", help="Folder that keeps the embeddings of shards for the next run; a path or an fsspec URL."
)
@click.option("--cache-size", default=10.0, show_default=True, help="Largest size of --cache in gigabytes.")
@click.option("--gpus", type=int, help="Number of GPUs, one worker each, through Ray.  [default: this process]")
@click.option("--workers", type=int, help="Number of CPU workers instead, through Ray.")
@click.option("--ray-address", help="Ray cluster to join.  [default: Ray on this machine, for this run]")
@click.option("--seed", default=0, show_default=True, help="Seed of the false sentences and of the bootstrap.")
@common
def evaluate(plain: bool, **options: Any) -> None:
    """Measure a model on a dataset: retrieval, localization, robustness.

    MODEL is a folder with a model, such as a run's, an architecture of open_clip, or demo. DIR is a dataset
    directory. The suite joint needs the pairs of `glitbuild match`; localization needs them, or the truth of
    `glitbuild scenes`.
    """
    from glitbuild.stages.evaluate.command import run_eval
    from glitbuild.stages.evaluate.options import EvalOptions
    from glitbuild.stages.evaluate.report import print_report, write_files

    given = EvalOptions(**options)
    report = run_eval(given, plain)
    write_files(report, given)
    print_report(report)
