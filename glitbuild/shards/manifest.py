"""The manifest: written last of all, it says that the dataset is whole and what is in it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from glitbuild.errors import ConfigError, DatasetError
from glitbuild.records import SCHEMA
from glitbuild.shards.layout import FOLDERS, MANIFEST, SIZES, tar_path
from glitbuild.shards.schemas import misfit
from glitbuild.shards.sidecar import Config, Sidecar, add_counts
from glitbuild.shards.store import Store


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard in the manifest: ``bytes`` and ``sha256`` are those of its tar."""

    name: str
    samples: int
    skipped: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished dataset holds and how it was made; see ``schemas/manifest.schema.json``."""

    versions: dict[str, str]
    config: Config
    totals: dict[str, int]
    skipped: dict[str, int]
    shards: tuple[ShardEntry, ...]


def write_manifest(store: Store, sidecars: Iterable[Sidecar], config: Config, versions: dict[str, str]) -> Manifest:
    """Write ``sizes.json`` and then the manifest, from the sidecars of all shards in order."""
    entries: list[ShardEntry] = []
    totals = {"samples": 0, "skipped": 0, "bytes": 0}
    reasons: dict[str, int] = {}
    for sidecar in sidecars:
        tar = sidecar.files[tar_path(sidecar.shard)]
        skipped = sum(sidecar.skipped.values())
        entries.append(ShardEntry(sidecar.shard, sidecar.samples, skipped, tar.bytes, tar.sha256))
        totals = add_counts(
            totals, {"samples": sidecar.samples, "skipped": skipped, "bytes": tar.bytes} | sidecar.totals
        )
        reasons = add_counts(reasons, sidecar.skipped)
    manifest = Manifest(dict(sorted(versions.items())), config, totals, reasons, tuple(entries))
    store.write(SIZES, _pretty({f"{entry.name}.tar": entry.samples for entry in entries}))
    store.write(MANIFEST, _pretty({"schema": SCHEMA} | asdict(manifest)))
    return manifest


def read_manifest(store: Store) -> Manifest | None:
    """Return the manifest, or None where the dataset isn't finished.

    Raises:
        DatasetError: the file is there but doesn't fit its schema.
    """
    if not store.exists(MANIFEST):
        return None
    try:
        content: dict[str, Any] = json.loads(store.read(MANIFEST))
    except ValueError as error:
        raise DatasetError(
            store.path(MANIFEST), f"not JSON ({error})", "run the command that made it again"
        ) from error
    if problem := misfit("manifest", content):
        raise DatasetError(store.path(MANIFEST), problem, "run the command that made it again")
    del content["schema"]
    content["shards"] = tuple(ShardEntry(**entry) for entry in content["shards"])
    return Manifest(**content)


def open_dataset(url: str) -> tuple[Store, Manifest]:
    """Open a finished dataset.

    Raises:
        ConfigError: there is none, or the command that makes it hasn't finished.
    """
    store = Store(url)
    if not store.exists():
        raise ConfigError(url, "no such dataset directory", "make one with glitbuild ingest")
    manifest = read_manifest(store)
    if manifest is None:
        unfinished = any(store.names(folder) for folder in FOLDERS)
        why = "the dataset isn't finished: it has no manifest.json" if unfinished else "not a dataset directory"
        raise ConfigError(url, why, "run the command that makes it (glitbuild ingest or match) to its end")
    return store, manifest


def remove_dataset(store: Store) -> None:
    """Remove a dataset's files and nothing else; the marks of completion go first."""
    store.remove(MANIFEST)
    store.remove(SIZES)
    names = [name for folder in FOLDERS for name in store.names(folder)]
    for name in sorted(names, key=lambda name: not name.endswith(".json")):
        if name.rpartition(".")[2] in ("json", "jsonl", "tar", "parquet"):
            store.remove(name)


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
