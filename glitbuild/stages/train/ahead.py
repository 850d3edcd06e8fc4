"""Fetches the shards of a remote dataset before they are needed, and keeps them while they are."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import IO

from glitbuild.errors import GlitbuildError
from glitbuild.shards.manifest import ShardEntry
from glitbuild.shards.store import Store
from glitbuild.stages.train.cache import ShardCache
from glitbuild.stages.train.plan import Place, Plan

THREADS = 4
"""Shards that are fetched at the same time."""

SECONDS_BETWEEN_TRIES = 1.0


class Ahead:
    """Fetches the block that is being trained on and the next one, in threads of its own.

    Threads don't survive a fork, so it begins only when it is told where the training begins.

    Args:
        url: of the dataset directory.
        entries: the manifest's ``shards``.
        plan: the order of the training.
        epochs: of the training.
        cache: of the shards.
    """

    def __init__(self, url: str, entries: Sequence[ShardEntry], plan: Plan, epochs: int, cache: ShardCache) -> None:
        self._url, self._entries, self._plan, self._cache = url, entries, plan, cache
        self._end = plan.blocks * epochs
        self._changed = threading.Condition()
        self._current = -1
        self._held: dict[int, list[IO[bytes]]] = defaultdict(list)

    def reach(self, place: Place) -> None:
        """Be told that all batches before the one that begins here are done with."""
        block = self._plan.block(place)
        begins = self._current < 0
        with self._changed:
            for earlier in [number for number in self._held if number < block]:
                _close(self._held.pop(earlier))
            self._current = block
            self._changed.notify_all()
        if begins:
            self._shards = self._ahead(block)
            for _ in range(THREADS):
                # Daemons: a process that ends doesn't wait for what it no longer needs.
                threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Let go of all shards, and fetch no more than what is being fetched."""
        with self._changed:
            self._current = self._end
            for files in self._held.values():
                _close(files)
            self._held.clear()
            self._changed.notify_all()

    def _ahead(self, first: int) -> Iterator[tuple[int, int]]:
        for block in range(first, self._end):
            for number in sorted(self._cache.whole(self._plan.shards(block), self._entries)):
                yield block, number

    def _run(self) -> None:
        store = Store(self._url)
        while True:
            with self._changed:
                block, number = next(self._shards, (self._end, 0))
                self._changed.wait_for(lambda block=block: block <= self._current + 1)  # type: ignore[misc]
            if block >= self._end or self._current >= self._end:
                return
            self._hold(block, number, store)

    def _hold(self, block: int, number: int, store: Store) -> None:
        """Have a shard and keep it open; where other runs leave no room, until they do or its block is over."""
        while self._current <= block:
            try:
                file = self._cache.open(store, self._entries[number])
            except GlitbuildError:
                return  # who needs the shard meets the same error, and says it
            with self._changed:
                if file and self._current <= block:
                    self._held[block].append(file)
                    return
                if file:
                    file.close()
                self._changed.wait(SECONDS_BETWEEN_TRIES)


def _close(files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()
