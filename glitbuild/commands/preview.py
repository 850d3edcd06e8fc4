"""``glitbuild preview``."""

from typing import Any

import click

from glitbuild.commands.common import common
from glitbuild.commands.report import report_preview


@click.command(
    short_help="Write a page with images, regions and sentences to look at.",
    epilog="Example: glitbuild preview data/pairs --out preview.html",
)
@click.argument("dir")
@click.option("--out", required=True, help="HTML file to write; a local path or an fsspec URL.")
@click.option("--samples", default=200, show_default=True, help="Number of samples, spread evenly.")
@click.option("--seed", type=int, help="Draw the samples at random with this seed instead.")
@click.option("--max-side", default=512, show_default=True, help="Longest side of an image in pixels.")
@common
def preview(plain: bool, **options: Any) -> None:
    """Write one HTML file with pictures, their regions and their sentences, to look at.

    It needs nothing beside it and no network. Pointing at a sentence lights its region and the other way round.
    """
    from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview

    report_preview(run_preview(PreviewOptions(**options), plain))
