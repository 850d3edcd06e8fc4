"""``glitbuild run``."""

import click

from glitbuild.commands.common import common
from glitbuild.commands.report import report_stage


@click.command(
    short_help="Run the stages of a pipeline file.", epilog="Example: glitbuild run pipelines/pairs.yaml"
)
@click.argument("pipeline")
@common
def run(plain: bool, pipeline: str) -> None:
    """Run the stages of a PIPELINE file; what is finished is passed over."""
    from glitbuild.pipeline import load_pipeline, run_pipeline

    for stage, result in run_pipeline(load_pipeline(pipeline), plain):
        report_stage(stage, result)
