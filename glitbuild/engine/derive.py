"""Deriving one dataset from another shard by shard, as ``match`` and ``caption`` do."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from glitbuild.engine.task import Result, ShardTask, versions_of
from glitbuild.errors import DatasetError, OptionsChangedError
from glitbuild.records import Sample
from glitbuild.shards.layout import FOLDERS, tar_path
from glitbuild.shards.manifest import (
    Manifest,
    files_beyond,
    open_dataset,
    prepare_directory,
    read_manifest,
    refuse_earlier_schema,
    write_manifest,
)
from glitbuild.shards.output import refuse_overlap
from glitbuild.shards.reader import read_shard
from glitbuild.shards.sidecar import Config, Sidecar, finished_sidecars, written_sidecars
from glitbuild.shards.store import Store

OTHER_INPUT = "give the same input, another --out, or --overwrite"

log = logging.getLogger(__name__)


def open_input_and_output(dir: str, out: str) -> tuple[Store, Manifest, Store]:
    """Open a finished dataset, and the directory of the dataset to derive from it.

    Raises:
        ConfigError: there is no such dataset, or the files of the two would overlap.
    """
    source, manifest = open_dataset(dir)
    store = Store(out)
    refuse_overlap([dir], out)
    return source, manifest, store


def begun_with(out: Store) -> Config | None:
    """Return the configuration of a dataset that is finished or at least begun; None if there is none yet."""
    if manifest := read_manifest(out):
        return manifest.config
    return next((sidecar.config for sidecar in written_sidecars(out)), None)


@dataclass(slots=True)
class Derivation:
    """Plan for deriving a dataset: read ``todo``, call ``prepare``, make the shards, then call ``finish``.

    Args:
        source: store of the input, a finished dataset.
        manifest: manifest of the input.
        out: dataset directory to write, locked by the caller.
        config: options that determine the content, including the stage.
        overwrite: whether to remove what an earlier run wrote.

    Attributes:
        todo: shards to make because they are missing, damaged, or made from input that has changed since.
        images: number of samples in the shards to make.
        finished: result to report if there is nothing to do.

    Raises:
        OptionsChangedError: a finished shard was made with other options, or from another dataset.
    """

    source: Store
    manifest: Manifest
    out: Store
    config: Config
    overwrite: bool
    todo: list[ShardTask] = field(init=False)
    images: int = field(init=False)
    finished: Result | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        before = None if self.overwrite else read_manifest(self.out)
        changed, lost = self._compare()
        known = {entry.name for entry in before.shards} if before else set()
        names = {*changed, *lost}
        self.todo = [ShardTask(entry.name, entry.sha256) for entry in self.manifest.shards if entry.name in names]
        self.images = sum(entry.samples for entry in self.manifest.shards if entry.name in names)
        if before and not self.todo:
            self.finished = Result(before, done_before=True)
            return
        if not self.overwrite:
            refuse_earlier_schema(self.out)
        grown = len(changed) + sum(name not in known for name in lost if before)
        total, stage = len(self.manifest.shards), self.config["stage"]
        if grown:
            log.info("%s: %d of %d shards have new or changed input", stage, grown, total)
        if len(self.todo) > grown:
            log.info("%s: %d of %d shards to do", stage, len(self.todo), total)

    def prepare(self) -> None:
        """Prepare the directory for writing; call it only after all options have been checked."""
        prepare_directory(self.out, self.overwrite, [entry.name for entry in self.manifest.shards])

    def finish(self, images_per_second: float) -> Result:
        """Write the manifest once all shards are finished, and remove partial files of workers that died."""
        self.out.sweep(FOLDERS)
        sidecars = finished_sidecars(self.out, [entry.name for entry in self.manifest.shards])
        made = write_manifest(self.out, sidecars, self.config, versions_of(self.config["stage"]))
        return Result(made, False, images_per_second)

    def _compare(self) -> tuple[list[str], list[str]]:
        """Return the shards whose input has changed, and those that are missing or damaged."""
        if self.overwrite:
            return [], [entry.name for entry in self.manifest.shards]
        sizes = {name: size for folder in FOLDERS for name, size in self.out.sizes(folder).items()}
        changed: dict[str, Sidecar] = {}
        lost: list[str] = []
        for entry in self.manifest.shards:
            sidecar = Sidecar.read(self.out, entry.name)
            if sidecar is None:
                lost.append(entry.name)
                continue
            sidecar.check_config(self.out, self.config)
            if sidecar.input.get("sha256") != entry.sha256:
                changed[entry.name] = sidecar
            elif damaged := [name for name, file in sidecar.files.items() if sizes.get(name) != file.bytes]:
                log.warning("%s is missing or has another size: remaking its shard", self.out.path(damaged[0]))
                lost.append(entry.name)
        beyond = files_beyond(self.out, {entry.name for entry in self.manifest.shards})
        if any(name.endswith(".json") for name in beyond):
            raise OptionsChangedError(self.out.url, "it holds more shards than the input has", OTHER_INPUT)
        same = len(changed) + len(lost) < len(self.manifest.shards)
        if changed and not same and not any(map(self._shares_a_sample, changed.values())):
            why = f"shard {next(iter(changed))} was made from another input"
            raise OptionsChangedError(self.out.url, why, OTHER_INPUT)
        return list(changed), lost

    def _shares_a_sample(self, old: Sidecar) -> bool:
        """Return whether a shard and its current input have a sample in common, so that the dataset is the same."""
        identity = _identity if self.manifest.has_captions else _picture
        stated = old.files[tar_path(old.shard)]
        before = {identity(sample) for sample in _readable(self.out, old.shard, stated.sha256)}
        sha256 = next(entry.sha256 for entry in self.manifest.shards if entry.name == old.shard)
        return any(identity(sample) in before for sample, _ in read_shard(self.source, old.shard, sha256))


def _identity(sample: Sample) -> tuple[str, ...]:
    return sample.key, sample.image.sha256, sample.caption


def _picture(sample: Sample) -> tuple[str, ...]:
    return sample.key, sample.image.sha256


def _readable(store: Store, shard: str, sha256: str) -> Iterator[Sample]:
    """Yield the samples of a shard, up to the point where it can't be read."""
    try:
        for sample, _ in read_shard(store, shard, sha256):
            yield sample
    except DatasetError as error:
        log.debug("%s", error)
