"""``glitbuild stats``."""

import json

import click

from glitbuild.commands.common import common, parallel


@click.command(short_help="Count what is in a dataset.", epilog="Example: glitbuild stats data/pairs")
@click.argument("dir")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--html", help="HTML file to write: charts, worst and best pairs; a local path or an fsspec URL.")
@parallel
@common
def stats(
    plain: bool, dir: str, as_json: bool, html: str | None, workers: int | None, ray_address: str | None
) -> None:
    """Count what is in a dataset: totals, distributions, skipped by reason."""
    from glitbuild.engine.cluster import choose_cluster
    from glitbuild.shards.manifest import open_dataset

    cluster = choose_cluster(workers, ray_address=ray_address)
    store, manifest = open_dataset(dir)
    if html:
        from glitbuild.stages.publish.page.statistics import write_statistics

        found = write_statistics(store, manifest, html, plain, cluster)
    else:
        from glitbuild.engine.progress import Progress
        from glitbuild.shards.stats import collect

        with Progress("stats", manifest.totals["samples"], plain) as progress:
            found = collect(store, manifest, progress.advance, cluster)
    if as_json:
        click.echo(json.dumps({"totals": manifest.totals, "skipped": manifest.skipped} | found.as_dict(), indent=1))
        return
    from glitbuild.tables import print_stats

    print_stats(manifest, found.as_dict())
    if html:
        click.echo(f"Look at {html}")
