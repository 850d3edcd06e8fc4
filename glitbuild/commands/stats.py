"""``glitbuild stats``."""

import json

import click

from glitbuild.commands.common import common


@click.command(epilog="Example: glitbuild stats data/pairs")
@click.argument("dir")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@common
def stats(plain: bool, dir: str, as_json: bool) -> None:
    """Count what is in a dataset: totals, distributions, skipped by reason."""
    from glitbuild.engine.progress import Progress
    from glitbuild.shards.manifest import open_dataset
    from glitbuild.shards.stats import collect

    store, manifest = open_dataset(dir)
    with Progress("stats", manifest.totals["samples"], plain) as progress:
        found = collect(store, manifest, progress.advance).as_dict()
    if as_json:
        click.echo(json.dumps({"totals": manifest.totals, "skipped": manifest.skipped} | found, indent=1))
        return
    from glitbuild.tables import print_stats

    print_stats(manifest, found)
