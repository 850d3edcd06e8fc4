"""The manifest of a dataset: written last, it marks the dataset as complete and lists its contents."""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from glitbuild.errors import ConfigError, DatasetError, OptionsChangedError
from glitbuild.records import FIRST_SCHEMA, SCHEMA
from glitbuild.shards.layout import FIRST_SIZES, FOLDERS, MANIFEST, SIZES, parse, shard_of, tar_path
from glitbuild.shards.sidecar import (
    Config,
    Sidecar,
    SourceCounts,
    add_counts,
    add_sources,
    has_captions,
    most_frequent,
    written_sidecars,
)
from glitbuild.shards.store import Store

TOTALS = ("samples", "skipped", "bytes")
"""Totals that every manifest has; ``match`` adds its own."""

COLUMN_OPTIONS = ("keep_columns", "boxes_column", "boxes_format")
"""Options of ``ingest`` that derived datasets inherit: the types of kept columns, and whether there are boxes."""


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """Entry of a shard in the manifest; ``bytes`` and ``sha256`` refer to its tar."""

    name: str
    samples: int
    skipped: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of a finished dataset, and how they were made; see ``schemas/manifest.schema.json``.

    ``sources`` is None if an older version wrote a part of the dataset; ``schema`` is the version of the format.
    """

    versions: dict[str, str]
    config: Config
    totals: dict[str, int]
    skipped: dict[str, int]
    shards: tuple[ShardEntry, ...]
    sources: SourceCounts | None = None
    schema: str = SCHEMA

    @property
    def shard_config(self) -> Config:
        """The configuration as sidecars record it: without the inputs, because more may be added later."""
        return {name: value for name, value in self.config.items() if name != "sources"}

    @property
    def has_captions(self) -> bool:
        """Whether the samples have captions; either all of them do, or none does."""
        return has_captions(self.config)

    @property
    def has_text(self) -> bool:
        """Whether each sample has a KEY.txt with its caption."""
        return self.has_captions and self.schema != FIRST_SCHEMA

    @property
    def of_columns(self) -> Config:
        """Part of the configuration about kept columns and boxes, which derived datasets inherit."""
        return {name: self.config[name] for name in COLUMN_OPTIONS if name in self.config}


@dataclass(slots=True)
class Sums:
    """Sums over all shards for the manifest: totals, skipped rows by reason, and origins of samples."""

    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    skipped: dict[str, int] = field(default_factory=dict)
    sources: SourceCounts | None = field(default_factory=dict)

    def add(self, sidecar: Sidecar) -> None:
        """Add the counts of a shard."""
        size = sidecar.files[tar_path(sidecar.shard)].bytes
        counts = dict(zip(TOTALS, (sidecar.samples, sum(sidecar.skipped.values()), size), strict=True))
        self.totals = add_counts(self.totals, counts | sidecar.totals)
        self.skipped = add_counts(self.skipped, sidecar.skipped)
        known = self.sources is not None and sidecar.sources is not None
        self.sources = add_sources(self.sources or {}, sidecar.sources or {}) if known else None

    @property
    def most_frequent_sources(self) -> SourceCounts | None:
        """The manifest's ``sources``: the most frequent values of each field."""
        return None if self.sources is None else most_frequent(self.sources)


def write_manifest(store: Store, sidecars: Iterable[Sidecar], config: Config, versions: dict[str, str]) -> Manifest:
    """Write ``shards/sizes.json`` and then the manifest, from the sidecars of all shards in order."""
    entries: list[ShardEntry] = []
    sums = Sums()
    for sidecar in sidecars:
        tar = sidecar.files[tar_path(sidecar.shard)]
        skipped = sum(sidecar.skipped.values())
        entries.append(ShardEntry(sidecar.shard, sidecar.samples, skipped, tar.bytes, tar.sha256))
        sums.add(sidecar)
    manifest = Manifest(
        dict(sorted(versions.items())),
        config,
        sums.totals,
        sums.skipped,
        tuple(entries),
        sums.most_frequent_sources,
    )
    content = asdict(manifest)
    content = {"schema": content.pop("schema")} | content
    if manifest.sources is None:
        del content["sources"]
    store.write(SIZES, sizes_json(entries))
    store.write(MANIFEST, _pretty(content))
    return manifest


def read_manifest(store: Store) -> Manifest | None:
    """Return the manifest, or None if the dataset isn't finished.

    Raises:
        DatasetError: the file exists but doesn't conform to its schema.
    """
    if not store.exists(MANIFEST):
        return None
    try:
        content: dict[str, Any] = parse("manifest", store.read(MANIFEST))
    except ValueError as error:
        fix = "remove it and rerun the command that made it"
        raise DatasetError(store.path(MANIFEST), str(error), fix) from error
    content["shards"] = tuple(ShardEntry(**entry) for entry in content["shards"])
    return Manifest(**content)


def open_dataset(url: str) -> tuple[Store, Manifest]:
    """Open a finished dataset.

    Raises:
        ConfigError: there is no dataset, or the command that makes it hasn't finished.
    """
    store = Store(url)
    if not store.exists():
        raise ConfigError(url, "no such dataset directory", "make one with glitbuild ingest")
    manifest = read_manifest(store)
    if manifest is None:
        unfinished = any(store.names(folder) for folder in FOLDERS)
        why = "the dataset isn't finished: it has no manifest.json" if unfinished else "not a dataset directory"
        raise ConfigError(url, why, "complete the command that makes it (glitbuild ingest or match)")
    return store, manifest


def manifest_sha256(store: Store) -> str:
    """Return the SHA-256 of a finished dataset's manifest, in hex."""
    return hashlib.sha256(store.read(MANIFEST)).hexdigest()


def identity(manifest: Manifest) -> str:
    """Return the SHA-256 over the checksums of a dataset's shards, which stands for all its samples."""
    return hashlib.sha256("".join(entry.sha256 for entry in manifest.shards).encode()).hexdigest()


def require_captions(url: str, manifest: Manifest) -> None:
    """Refuse a dataset without captions.

    Raises:
        ConfigError: the samples have no captions.
    """
    if not manifest.has_captions:
        fix = f"generate captions first: glitbuild caption {url} --out ..."
        raise ConfigError(url, "its images have no captions", fix)


def remove_dataset(store: Store) -> None:
    """Remove a dataset's files and nothing else; those that mark it as complete are removed first."""
    for name in (MANIFEST, SIZES, FIRST_SIZES):
        store.remove(name)
    for name in sorted(files_beyond(store, ()), key=lambda name: not name.endswith(".json")):
        store.remove(name)


def prepare_directory(store: Store, overwrite: bool, shards: Collection[str] | None = None) -> None:
    """Prepare a directory for writing: remove the files that mark it as complete, and partial files of killed runs.

    Args:
        store: dataset directory.
        overwrite: whether to remove an earlier dataset first.
        shards: names of the shards that will exist, if known; files of other shards are removed too.

    Raises:
        OptionsChangedError: the finished shards have an earlier schema.
    """
    if overwrite:
        remove_dataset(store)
    refuse_earlier_schema(store)
    for name in (MANIFEST, SIZES, FIRST_SIZES, *([] if shards is None else files_beyond(store, shards))):
        store.remove(name)
    store.sweep(FOLDERS)


def refuse_earlier_schema(store: Store) -> None:
    """Refuse to add shards to a directory of an earlier version; readers expect the same members in every shard.

    Raises:
        OptionsChangedError: the finished shards have a different schema from the one that this version writes.
    """
    # Checking one is enough: shards of different schemas are never written to the same directory.
    for sidecar in islice(written_sidecars(store), 1):
        if sidecar.schema != SCHEMA:
            why = f"its shards are {sidecar.schema}, but this version writes {SCHEMA}"
            fix = "give another --out, or --overwrite to remake all shards"
            raise OptionsChangedError(store.url, why, fix)


def files_beyond(store: Store, shards: Collection[str]) -> list[str]:
    """Return the files in a dataset directory that belong to any other shards."""
    names = [name for folder in FOLDERS for name in store.names(folder)]
    return [name for name in names if (shard := shard_of(name)) and shard not in shards]


def sizes_json(entries: Iterable[ShardEntry]) -> bytes:
    """Return the content of ``shards/sizes.json``."""
    return _pretty({f"{entry.name}.tar": entry.samples for entry in entries})


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
