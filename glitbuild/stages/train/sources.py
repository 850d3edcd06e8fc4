"""The datasets of a training, and the shards of all of them in one list."""

from collections.abc import Iterable
from dataclasses import dataclass

from glitbuild.shards.manifest import Manifest, ShardEntry, open_dataset


@dataclass(frozen=True, slots=True)
class Source:
    """One of the matched datasets of a training.

    Attributes:
        url: absolute path or URL of the dataset directory.
        manifest: manifest of the dataset.
        repeat: how often each of its samples is seen per epoch; 0.5 is every other one.
        is_local: whether it is in a local file system.
    """

    url: str
    manifest: Manifest
    repeat: float = 1.0
    is_local: bool = True

    @classmethod
    def open(cls, url: str, repeat: float = 1.0) -> "Source":
        """Open a finished dataset.

        Raises:
            ConfigError: there is no dataset, or the command that makes it hasn't finished.
        """
        store, manifest = open_dataset(url)
        return cls(store.root if store.is_local else store.url, manifest, repeat, store.is_local)


@dataclass(frozen=True, slots=True)
class SourceShard:
    """A shard of a training: its dataset, and its entry in the manifest."""

    source: Source
    entry: ShardEntry

    @property
    def remote_bytes(self) -> int:
        """Size of its tar if it has to be downloaded; 0 if it is local."""
        return 0 if self.source.is_local else self.entry.bytes


def shards_of(sources: Iterable[Source]) -> tuple[SourceShard, ...]:
    """Return the shards of all datasets, numbered as in ``Place``."""
    return tuple(SourceShard(source, entry) for source in sources for entry in source.manifest.shards)
