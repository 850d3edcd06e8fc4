"""``glitbuild scenes``."""

from typing import Any

import click

from glitbuild.commands.common import common, overwrite
from glitbuild.commands.report import report


@click.command(
    short_help="Draw scenes with long captions and the truth about them.",
    epilog="Example: glitbuild scenes --count 1000 --seed 1 --out data/scenes",
)
@click.option("--count", type=int, required=True, help="Number of scenes.")
@click.option("--out", required=True, help="Dataset directory to write; a local path or an fsspec URL.")
@click.option("--seed", default=0, show_default=True, help="Seed from which everything follows.")
@click.option(
    "--split", default="train", show_default=True, help="Split: train, val or test, which share no scene."
)
@click.option("--min-objects", default=2, show_default=True, help="Fewest objects per scene.")
@click.option("--max-objects", default=9, show_default=True, help="Most objects per scene.")
@click.option("--kinds", default="", help="Kinds of objects, separated by commas.  [default: all of the split]")
@click.option("--held-out-kinds", is_flag=True, help="With --split test: kinds that training never sees.")
@click.option(
    "--contrast", default=0.5, show_default=True, help="Share of scenes in groups of four that differ in one thing."
)
@click.option(
    "--late", default=0.8, show_default=True, help="Share of these groups whose captions tell the difference last."
)
@click.option("--noise", default=0.0, show_default=True, help="Share of captions with a false sentence.")
@click.option("--size", default=384, show_default=True, help="Height of the images in pixels.")
@click.option("--shard-size", default=1000, show_default=True, help="Samples per shard.")
@overwrite
@common
def scenes(plain: bool, **options: Any) -> None:
    """Draw scenes with long captions whose regions and sentences are known exactly.

    What is known is in OUT/truth/, a row per scene; all else is a dataset as `glitbuild ingest` makes it.
    """
    from glitbuild.stages.scenes.command import run_scenes
    from glitbuild.stages.scenes.options import ScenesOptions

    report(run_scenes(ScenesOptions(**options), plain), options["out"])
