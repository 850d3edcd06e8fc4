"""Is a dataset directory what its manifest says: every file, hash, record, span and box."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from glitbuild.errors import DatasetError
from glitbuild.shards.layout import FOLDERS, MANIFEST, shard_files, sidecar_path, sizes_path
from glitbuild.shards.manifest import Manifest, ShardEntry, Sums, sizes_json
from glitbuild.shards.row_order import RowOrder
from glitbuild.shards.shard_check import Problem, ShardCheck
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store


def validate(
    store: Store, manifest: Manifest, progress: Callable[[int], None] = lambda samples: None
) -> Iterator[Problem]:
    """Yield every problem of a dataset, streaming each tar; one shard's records are in memory at a time.

    What follows from a problem is not reported again: where a file is damaged, its content is not compared
    with that of others. Where the sidecar and the manifest differ, the shard's own files say which is wrong.

    Args:
        store: the dataset directory.
        manifest: as ``open_dataset`` returned it.
        progress: called with the number of samples checked, a shard at a time.
    """
    place = sizes_path(manifest.schema)
    listed = {place}
    order = RowOrder()
    sums, summable = Sums(), True
    sidecar_sizes: list[ShardEntry] = []
    for entry in manifest.shards:
        listed |= {sidecar_path(entry.name), *shard_files(entry.name, manifest.config["stage"])}
        sidecar, problems = _read_sidecar(store, manifest, entry)
        problems.extend(ShardCheck(store, manifest, entry, sidecar, order).problems())
        yield from problems
        if sidecar is None or any(problem.file == sidecar_path(entry.name) for problem in problems):
            summable = False
        else:
            sums.add(sidecar)
        sidecar_sizes.append(replace(entry, samples=sidecar.samples if sidecar else entry.samples))
        progress(entry.samples)
    for shard in order.moved if order.complete else ():
        yield Problem(MANIFEST, f"rows were moved to shard {shard}, which it doesn't name")
    of_manifest = manifest.totals, manifest.skipped, manifest.sources
    if summable and of_manifest != (sums.totals, sums.skipped, sums.most_frequent_sources):
        yield Problem(MANIFEST, "its totals, sources or skipped inputs are not the sums over the shards")
    # Where the manifest is wrong about a shard, that was said above.
    sizes = [sizes_json(manifest.shards), sizes_json(sidecar_sizes)]
    if not store.exists(place) or store.read(place) not in sizes:
        yield Problem(place, "missing, or not the numbers of samples in the manifest")
    for name in (name for folder in FOLDERS for name in store.names(folder)):
        if name not in listed:
            yield Problem(name, "not in the manifest")


def _read_sidecar(store: Store, manifest: Manifest, entry: ShardEntry) -> tuple[Sidecar | None, list[Problem]]:
    path = sidecar_path(entry.name)
    try:
        sidecar = Sidecar.read(store, entry.name)
    except DatasetError as error:
        return None, [Problem(path, error.why)]
    if sidecar is None:
        return None, [Problem(path, "missing")]
    files = shard_files(entry.name, manifest.config["stage"])
    if sidecar.shard != entry.name or sidecar.files.keys() != set(files):
        return None, [Problem(path, f"it is not about {', '.join(files)}")]
    if sidecar.schema != manifest.schema:
        return sidecar, [Problem(path, f"its schema is {sidecar.schema}, the manifest's is {manifest.schema}")]
    if sidecar.config not in (manifest.config, manifest.shard_config):
        return sidecar, [Problem(path, "was made with other options than the manifest says")]
    if sidecar.to_json() != store.read(path):
        return sidecar, [Problem(path, "its bytes are not those that were written")]
    return sidecar, []
