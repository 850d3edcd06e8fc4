"""Validation of a dataset directory against its manifest: every file, hash, record, span and box."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.runners import each_shard
from glitbuild.errors import DatasetError
from glitbuild.shards.layout import FOLDERS, MANIFEST, shard_files, sidecar_path, sizes_path, tar_path
from glitbuild.shards.manifest import Manifest, ShardEntry, Sums, sizes_json
from glitbuild.shards.rows import RowOrder, ShardRows, repeated_keys
from glitbuild.shards.shard_check import Problem, ShardCheck
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of checking one shard.

    Attributes:
        problems: problems of the shard's own files.
        sidecar: sidecar of the shard; None if it is missing or wrong.
        samples: number of samples according to the sidecar or, without one, to the manifest.
        rows: rows of the shard; None if it can't be read.
    """

    problems: list[Problem]
    sidecar: Sidecar | None
    samples: int
    rows: ShardRows | None


def check_shard(manifest: Manifest, store: Store, entry: ShardEntry) -> Checked:
    """Check one shard by itself.

    Args:
        manifest: manifest of the dataset; it need not list the shards.
        store: dataset directory.
        entry: entry of the shard in the manifest.
    """
    sidecar, problems = _read_sidecar(store, manifest, entry)
    check = ShardCheck(store, manifest, entry, sidecar)
    problems.extend(check.problems())
    right = not any(problem.file == sidecar_path(entry.name) for problem in problems)
    samples = sidecar.samples if sidecar else entry.samples
    return Checked(problems, sidecar if right else None, samples, check.rows)


def validate(
    store: Store,
    manifest: Manifest,
    progress: Callable[[int], None] = lambda samples: None,
    cluster: Cluster | None = None,
) -> Iterator[Problem]:
    """Yield every problem of a dataset, streaming each tar; only one shard's records are in memory at a time.

    Consequences of a problem are not reported again: if a file is damaged, its content is not compared with other
    files. If the sidecar and the manifest differ, the shard's own files decide which of them is wrong.

    Args:
        store: dataset directory.
        manifest: manifest that ``open_dataset`` returned.
        progress: callback that gets the number of samples of each checked shard.
        cluster: cluster on which to check shards in parallel; None for this process.
    """
    place = sizes_path(manifest.schema)
    listed = {place}
    order, has_rows = RowOrder(), manifest.config["stage"] in ("ingest", "scenes")
    keys: list[tuple[str, NDArray[Any]]] = []
    sums, summable = Sums(), True
    sidecar_sizes: list[ShardEntry] = []
    with closing(
        each_shard(store, manifest, partial(check_shard, replace(manifest, shards=())), cluster)
    ) as shards:
        for entry, checked in shards:
            listed |= {sidecar_path(entry.name), *shard_files(entry.name, manifest.config["stage"])}
            yield from checked.problems
            right = checked.sidecar is not None
            if has_rows and (problem := order.problem(checked.rows)):
                yield Problem(sidecar_path(entry.name), problem)
                right = False
            elif not has_rows and checked.rows and checked.rows.runs is not None:
                keys.append((entry.name, checked.rows.runs))
            if checked.sidecar and right:
                sums.add(checked.sidecar)
            summable = summable and right
            sidecar_sizes.append(replace(entry, samples=checked.samples))
            progress(entry.samples)
    for shard in order.moved if order.complete else ():
        yield Problem(MANIFEST, f"rows were moved to shard {shard}, which it doesn't list")
    for shard, key in repeated_keys(keys):
        yield Problem(tar_path(shard), f"key {key:09d} is also in another shard")
    of_manifest = manifest.totals, manifest.skipped, manifest.sources
    if summable and of_manifest != (sums.totals, sums.skipped, sums.most_frequent_sources):
        yield Problem(MANIFEST, "its totals, sources or skipped rows are not the sums over the shards")
    # If the manifest is wrong about a shard, that has been reported above.
    sizes = [sizes_json(manifest.shards), sizes_json(sidecar_sizes)]
    if not store.exists(place) or store.read(place) not in sizes:
        yield Problem(place, "missing, or its numbers of samples differ from the manifest")
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
        return None, [Problem(path, f"it is not the sidecar of {', '.join(files)}")]
    if sidecar.schema != manifest.schema:
        return sidecar, [Problem(path, f"its schema is {sidecar.schema}, but the manifest's is {manifest.schema}")]
    if sidecar.config not in (manifest.config, manifest.shard_config):
        return sidecar, [Problem(path, "its options differ from those in the manifest")]
    if sidecar.to_json() != store.read(path):
        return sidecar, [Problem(path, "its bytes have changed since it was written")]
    return sidecar, []
