"""The files of a finished dataset, with the card and the picture of samples that are made for the Hub."""

import logging
from collections.abc import Iterator
from itertools import chain, islice

from glitbuild.engine.progress import Progress
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.shards.layout import FIRST_SIZES, MANIFEST, SIZES, sidecar_path, sizes_path, tar_path
from glitbuild.shards.manifest import Manifest, open_dataset, sizes_json
from glitbuild.shards.reader import VALIDATE, check_files, read_shard
from glitbuild.shards.sidecar import finished_sidecars
from glitbuild.shards.store import Store, StoredFile
from glitbuild.stages.publish.hub.command import PushOptions
from glitbuild.stages.publish.hub.contents import CARD, Contents, Entry
from glitbuild.stages.publish.hub.dataset_card import dataset_card
from glitbuild.stages.publish.hub.survey import survey
from glitbuild.stages.publish.sheet import MOST, Example, sheet_png

PICTURE = "samples.png"

log = logging.getLogger(__name__)


def dataset_contents(options: PushOptions, plain: bool = False) -> Contents:
    """Return what the repository of a dataset is to hold.

    A ``README.md`` in the dataset directory is taken as the card; otherwise one is made.

    Raises:
        ConfigError: there is no dataset, it isn't finished, or an option doesn't belong to one.
        DatasetError: a file is missing or is not the one that was written.
    """
    if options.eval:
        raise ConfigError("--eval", "these are figures of a model, and this is a dataset", "omit it")
    store, manifest = open_dataset(options.path)
    files = tuple(_files(store, manifest, plain))
    last = [Entry.stored(store, sizes_path(manifest.schema)), Entry.stored(store, MANIFEST)]
    if store.exists(CARD):
        last.append(Entry.stored(store, CARD))
    else:
        last += _made(options, store, manifest, plain)
    return Contents("dataset", store, files, tuple(last), (MANIFEST, SIZES, FIRST_SIZES))


def _files(store: Store, manifest: Manifest, plain: bool) -> list[Entry]:
    """Return the files of all shards, a shard after the other, once their content has been checked."""
    names = [entry.name for entry in manifest.shards]
    entries: list[Entry] = []
    for entry, sidecar in zip(manifest.shards, finished_sidecars(store, names), strict=True):
        if sidecar.files[tar_path(entry.name)].sha256 != entry.sha256:
            raise _wrong(store, sidecar_path(entry.name), "it is not about the shard that the manifest lists")
        entries += [Entry(name, file.bytes, file.sha256) for name, file in sidecar.files.items()]
        entries.append(Entry.stored(store, sidecar_path(entry.name)))
    sizes = sizes_path(manifest.schema)
    if not store.exists(sizes) or store.read(sizes) != sizes_json(manifest.shards):
        raise _wrong(store, sizes, "missing, or not the numbers of samples in the manifest")
    with Progress("push: checking files", len(entries), plain, "files") as progress:
        written = {entry.name: StoredFile(entry.size, entry.sha256) for entry in entries}
        check_files(store, written, progress.advance)
    return entries


def _wrong(store: Store, name: str, why: str) -> DatasetError:
    return DatasetError(store.path(name), why, VALIDATE)


def _made(options: PushOptions, store: Store, manifest: Manifest, plain: bool) -> Iterator[Entry]:
    count_sources = not options.license
    with Progress("push: reading records", manifest.totals["samples"], plain, "samples") as progress:
        found = survey(store, manifest, count_sources, progress.advance)
    if count_sources and not any(licence for _, licence in found.sources):
        log.warning("push: no sample says its licence, so the card says none; --license gives it one")
    if picture := _picture(store, manifest):
        yield Entry.made(PICTURE, picture)
    card = dataset_card(options, manifest, found, PICTURE if picture else "")
    yield Entry.made(CARD, card.encode())


def _picture(store: Store, manifest: Manifest) -> bytes:
    samples = chain.from_iterable(read_shard(store, entry.name, entry.sha256) for entry in manifest.shards)
    examples = [
        Example(sample, jpeg, [given.box for given in sample.boxes or ()]) for sample, jpeg in islice(samples, MOST)
    ]
    return sheet_png(examples) if examples else b""
