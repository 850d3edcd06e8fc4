"""A dataset made from another, a shard from a shard: the plan that ``match`` and ``caption`` have in common."""

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
from glitbuild.shards.sidecar import Config, Sidecar, finished_sidecars
from glitbuild.shards.store import Store

OTHER_INPUT = "give the same input, another --out, or --overwrite"

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


@dataclass(slots=True)
class Derivation:
    """What is to be made, in which order: ``todo``, then ``prepare``, then the shards, then ``finish``.

    Args:
        source: the input, a finished dataset.
        manifest: of the input.
        out: the dataset directory to write, locked by the caller.
        config: the options that decide the content, the stage among them.
        overwrite: remove what an earlier run wrote.

    Attributes:
        todo: the shards to make: missing, damaged, or made from what the input no longer is.
        images: number of samples in these.
        finished: what there is to report if nothing is to be done.

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
        """Make the directory ready; call it when nothing can be wrong with the options any more."""
        prepare_directory(self.out, self.overwrite, [entry.name for entry in self.manifest.shards])

    def finish(self, images_per_second: float) -> Result:
        """Write the manifest; all shards are there, and what workers that died left half-written goes."""
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
                log.warning("%s is missing or has another size: its shard is made again", self.out.path(damaged[0]))
                lost.append(entry.name)
        beyond = files_beyond(self.out, {entry.name for entry in self.manifest.shards})
        if any(name.endswith(".json") for name in beyond):
            raise OptionsChangedError(self.out.url, "it holds more shards than the input has", OTHER_INPUT)
        same = len(changed) + len(lost) < len(self.manifest.shards)
        if changed and not same and not any(map(self._shares_a_sample, changed.values())):
            why = f"shard {next(iter(changed))} was made from another input than the one given now"
            raise OptionsChangedError(self.out.url, why, OTHER_INPUT)
        return list(changed), lost

    def _shares_a_sample(self, old: Sidecar) -> bool:
        """Whether a shard and what it would be made from now have a sample in common: it is the same dataset."""
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
    """Yield the samples of a shard, as far as it can be read."""
    try:
        for sample, _ in read_shard(store, shard, sha256):
            yield sample
    except DatasetError as error:
        log.debug("%s", error)
