"""``glitbuild demo``."""

from typing import Any

import click

from glitbuild.commands.common import common, overwrite


@click.command(
    short_help="Run every stage on drawn scenes, without a network.", epilog="Example: glitbuild demo --out demo"
)
@click.option("--out", default="glitbuild-demo", show_default=True, help="Directory to write.")
@click.option(
    "--real", is_flag=True, help="Two photographs and real models, which it downloads, instead of scenes."
)
@overwrite
@common
def demo(plain: bool, **options: Any) -> None:
    """Run every stage on drawn scenes with the embedded models: no network, no GPU, a minute or two.

    Ends with what each stage made, how right it was, what the training changed, and a page to look at.
    """
    from glitbuild.demo.run import print_report, run_demo
    from glitbuild.demo.stages import DemoOptions

    print_report(run_demo(DemoOptions(**options), plain))
