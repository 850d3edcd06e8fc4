"""A dataset made from another, a shard from a shard: what ``match`` and ``caption`` have in common."""

import logging
from collections.abc import Callable, Iterator
from functools import partial

from glitbuild.engine.result import Result
from glitbuild.engine.task import ShardTask
from glitbuild.engine.versions import versions_of
from glitbuild.errors import OptionsChangedError
from glitbuild.shards.layout import FOLDERS
from glitbuild.shards.manifest import (
    Manifest,
    files_beyond,
    open_dataset,
    prepare_directory,
    read_manifest,
    refuse_earlier_schema,
    write_manifest,
)
from glitbuild.shards.overlap import refuse_overlap
from glitbuild.shards.sidecar import Config, Sidecar, finished_sidecars
from glitbuild.shards.store import Store

MakeShards = Callable[[list[ShardTask], Callable[[], None]], float]
"""Makes these shards and returns the images a second; calls the function once, before it writes anything."""

log = logging.getLogger(__name__)


def open_input_and_output(dir: str, out: str) -> tuple[Store, Manifest, Store]:
    """Open a finished dataset, and the directory of the one to make from it.

    Raises:
        ConfigError: there is no such dataset, or one of the two would lie among the files of the other.
    """
    source, manifest = open_dataset(dir)
    store = Store(out)
    refuse_overlap([dir], out)
    return source, manifest, store


def derive(manifest: Manifest, out: Store, config: Config, overwrite: bool, make: MakeShards) -> Result:
    """Make the shards that are missing, and the manifest.

    Args:
        manifest: of the input.
        out: the dataset directory to write.
        config: the options that decide the content, the stage among them.
        overwrite: remove what an earlier run wrote.
        make: called if a shard is missing.

    Raises:
        OptionsChangedError: a finished shard was made with other options or from another input.
    """
    todo = list(_todo(manifest, out, config, overwrite))
    if not todo and (done := read_manifest(out)):
        return Result(done, done_before=True)
    if not overwrite:
        refuse_earlier_schema(out)
    stage, shards, rate = config["stage"], [entry.name for entry in manifest.shards], 0.0
    prepare = partial(prepare_directory, out, overwrite, shards)
    if todo:
        log.info("%s: %d of %d shards to do", stage, len(todo), len(shards))
        rate = make(todo, prepare)
    else:
        prepare()
    return Result(write_manifest(out, finished_sidecars(out, shards), config, versions_of(stage)), False, rate)


def _todo(manifest: Manifest, out: Store, config: Config, overwrite: bool) -> Iterator[ShardTask]:
    sizes = {name: size for folder in FOLDERS for name, size in out.sizes(folder).items()}
    for entry in manifest.shards:
        sidecar = None if overwrite else Sidecar.read(out, entry.name)
        if sidecar is None:
            yield ShardTask(entry.name, entry.sha256)
            continue
        sidecar.check_config(out, config)
        if sidecar.input.get("sha256") != entry.sha256:
            why = f"shard {entry.name} was made from another input than the one given now"
            raise OptionsChangedError(out.url, why, "give the same input, another --out, or --overwrite")
        if damaged := [name for name, file in sidecar.files.items() if sizes.get(name) != file.bytes]:
            log.warning("%s is missing or has another size: its shard is made again", out.path(damaged[0]))
            yield ShardTask(entry.name, entry.sha256)
    beyond = files_beyond(out, {entry.name for entry in manifest.shards})
    if not overwrite and any(name.endswith(".json") for name in beyond):
        why = "it holds more shards than the input has"
        raise OptionsChangedError(out.url, why, "give the same input, another --out, or --overwrite")
