"""Read every shard of a dataset, here or on a cluster; what was found comes in the order of the shards."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.runners import running
from glitbuild.engine.task import done
from glitbuild.shards.manifest import Manifest, ShardEntry
from glitbuild.shards.store import Store

Found = TypeVar("Found")

FIX = "see what glitbuild validate says of the dataset"


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A shard to read, as the manifest lists it."""

    entry: ShardEntry

    @property
    def shard(self) -> str:
        """Name of the shard."""
        return self.entry.name


class Reader(Generic[Found]):
    """A worker that applies a function to shards.

    Args:
        url: of the dataset directory.
        read: takes the directory and a shard's entry; picklable, as is what it returns.
    """

    def __init__(self, url: str, read: Callable[[Store, ShardEntry], Found]) -> None:
        self._store, self._read = Store(url), read

    def run(self, task: ReadTask) -> tuple[str, Found]:
        """Return the shard's name and what was found."""
        return task.shard, self._read(self._store, task.entry)


def each_shard(
    store: Store, manifest: Manifest, read: Callable[[Store, ShardEntry], Found], cluster: Cluster | None = None
) -> Generator[tuple[ShardEntry, Found], None, None]:
    """Yield each shard's entry and what a function found in it.

    Close the generator to end its workers before it is exhausted.

    Args:
        store: the dataset directory.
        manifest: of the dataset.
        read: see ``Reader``.
        cluster: where to run; None for this process.

    Raises:
        GlitbuildError: what ``read`` raised at the first shard that could not be read.
    """
    tasks = (ReadTask(entry) for entry in manifest.shards)
    url = store.root if store.is_local else store.url
    with running(partial(Reader, url, read), cluster) as runner:
        reports = done(runner.run(tasks), at_once=True, fix=FIX)
        yield from zip(manifest.shards, in_order((entry.name for entry in manifest.shards), reports), strict=True)


def in_order(names: Iterable[str], reports: Iterator[tuple[str, Found]]) -> Iterator[Found]:
    """Yield what was found in the order of the names; what comes early waits."""
    early: dict[str, Found] = {}
    for name in names:
        while name not in early:
            came, found = next(reports)
            early[came] = found
        yield early.pop(name)
