"""``glitbuild export``."""

from typing import Any

import click

from glitbuild.commands.common import common
from glitbuild.commands.report import report_export


@click.command(
    short_help="Write the model of a run for open_clip or transformers.",
    epilog="Example: glitbuild export runs/glit --to exported --format hf",
)
@click.argument("run")
@click.option("--to", required=True, help="Folder to write; it appears only when it is complete.")
@click.option(
    "--format",
    required=True,
    type=click.Choice(["hf", "open_clip"]),
    help="hf: a CLIPModel of transformers, with its tokenizer and image processor. open_clip: for local-dir:.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in --to.")
@common
def export(plain: bool, **options: Any) -> None:
    """Write the model of a RUN as a folder that other libraries read.

    What was written is read back and compared with the model before it appears. RUN is the folder of
    a run, or demo.
    """
    from glitbuild.stages.export.command import ExportOptions, run_export

    report_export(run_export(ExportOptions(**options)), options["to"])
