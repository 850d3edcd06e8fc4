"""``glitbuild push``."""

from typing import Any

import click

from glitbuild.commands.common import common


@click.command(
    short_help="Send a dataset or a model to the Hugging Face Hub.",
    epilog="Example: glitbuild push data/pairs anna/birds --private",
)
@click.argument("path")
@click.argument("repo", metavar="NAMESPACE/NAME")
@click.option("--private", is_flag=True, help="Create the repository as private, if it doesn't exist.")
@click.option("--create-pr", is_flag=True, help="Upload to a pull request, which others can merge.")
@click.option("--license", default="", help="License under its name on the Hub.  [default: those of the samples]")
@click.option("--eval", default="", help="Metrics for the model card: the file of `glitbuild eval --out`.")
@click.option("--message", default="", help="Message of the last commit, and title of the pull request.")
@click.option(
    "--dry-run", is_flag=True, help="Print what would be uploaded, and the card, without network or token."
)
@common
def push(plain: bool, **options: Any) -> None:
    """Send a dataset or a model to the Hugging Face Hub, with a card.

    PATH is a finished dataset directory, or the folder of a run or of an export. The token comes from HF_TOKEN or
    from the file that `hf auth login` writes. Interrupted, the same command sends what is still lacking.
    """
    from glitbuild.stages.publish.hub.command import PushOptions, plan_push, run_push
    from glitbuild.stages.publish.hub.report import print_plan, print_pushed

    given = PushOptions(**options)
    if given.dry_run:
        print_plan(plan_push(given, plain), given)
    else:
        print_pushed(run_push(given, plain))
