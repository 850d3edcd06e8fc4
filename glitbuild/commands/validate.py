"""``glitbuild validate``."""

import click

from glitbuild.commands.common import common, parallel
from glitbuild.errors import DatasetError


@click.command(short_help="Check a dataset against its manifest.", epilog="Example: glitbuild validate data/pairs")
@click.argument("dir")
@parallel
@common
def validate(plain: bool, dir: str, workers: int | None, ray_address: str | None) -> None:
    """Check a dataset against its manifest: files, hashes, records, spans, boxes."""
    from glitbuild.engine.cluster import choose_cluster
    from glitbuild.engine.progress import Progress
    from glitbuild.shards.manifest import open_dataset
    from glitbuild.shards.validate import validate as problems_of

    cluster = choose_cluster(workers, ray_address=ray_address)
    store, manifest = open_dataset(dir)
    count = 0
    with Progress("validate", manifest.totals["samples"], plain) as progress:
        for problem in problems_of(store, manifest, progress.advance, cluster):
            count += 1
            click.echo(problem)
    if count:
        raise DatasetError(dir, f"{count} problems", "remove the sidecars of the shards named and make them again")
    click.echo(f"{dir} is valid: {manifest.totals['samples']:,} samples in {len(manifest.shards):,} shards")
