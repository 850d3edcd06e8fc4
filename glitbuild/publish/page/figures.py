"""What the page of statistics is made of, counted in one pass over a dataset."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from glitbuild.clip.stretch import CONTEXT, LONG_CONTEXT
from glitbuild.records import Pair, Sample
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.reader import read_shard
from glitbuild.shards.stats import Histogram, Stats
from glitbuild.shards.store import Store

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

MOST_PAIRS = 12
"""Shown of the worst pairs, and of the best."""


def _fine() -> Stats:
    """Return statistics whose bins are narrow enough for a chart to choose its own."""
    return Stats(
        words=Histogram(np.arange(0, 5001)),
        sentences=Histogram(np.arange(0, 501)),
        regions=Histogram(np.arange(0, 501)),
        similarity=Histogram(np.linspace(-1, 1, 201)),
        best_similarity=Histogram(np.linspace(-1, 1, 201)),
        area=Histogram(np.linspace(0, 1, 101)),
    )


@dataclass(frozen=True, slots=True)
class Extreme:
    """A pair with its sample, and the sample's JPEG."""

    pair: Pair
    sample: Sample
    jpeg: bytes


@dataclass(slots=True)
class Highest:
    """The pairs with the highest figures so far; of equals the first stay.

    Attributes:
        sign: 1, or -1 for the lowest.
    """

    sign: int
    _heap: list[tuple[float, int, Extreme]] = field(default_factory=list)
    _seen: int = 0

    def add(self, found: Extreme) -> None:
        """Add one, and forget the least where there are too many."""
        self._seen += 1
        entry = (self.sign * found.pair.similarity, -self._seen, found)
        if len(self._heap) < MOST_PAIRS:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def in_order(self) -> list[Extreme]:
        """Return them, the extreme one first."""
        return [found for *_, found in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


@dataclass(slots=True)
class Figures:
    """The distributions of a dataset.

    Attributes:
        stats: as ``glitbuild stats`` prints them.
        fine: the same, in narrow bins.
        tokens: of CLIP a caption, start and end of text included.
        beyond: captions of more tokens than a CLIP reads, by its context length.
        worst: the pairs with the lowest similarity, one an image; a few of them.
        best: with the highest.
    """

    stats: Stats = field(default_factory=Stats)
    fine: Stats = field(default_factory=_fine)
    tokens: Histogram = field(default_factory=lambda: Histogram(np.arange(0, 8193)))
    beyond: dict[int, int] = field(default_factory=lambda: {CONTEXT: 0, LONG_CONTEXT: 0})
    worst: Highest = field(default_factory=lambda: Highest(-1))
    best: Highest = field(default_factory=lambda: Highest(1))

    def add(self, sample: Sample, jpeg: bytes, tokenizer: "SimpleTokenizer") -> None:
        """Count one sample."""
        self.stats.add(sample)
        self.fine.add(sample)
        if sample.caption:
            tokens = len(tokenizer.encode(sample.caption)) + 2
            self.tokens.add([tokens])
            for length in self.beyond:
                self.beyond[length] += tokens > length
        if sample.matched:
            pairs = sample.matched.pairs
            self.worst.add(Extreme(min(pairs, key=lambda pair: pair.similarity), sample, jpeg))
            self.best.add(Extreme(pairs[sample.matched.best_pair], sample, jpeg))


def collect_figures(
    store: Store, manifest: Manifest, tokenizer: "SimpleTokenizer", progress: Callable[[int], None]
) -> Figures:
    """Read a dataset and count; in memory are one sample and those of the worst and best pairs.

    Args:
        store: the dataset directory.
        manifest: of the dataset.
        tokenizer: CLIP's.
        progress: told of samples that are done.

    Raises:
        DatasetError: a shard is damaged.
    """
    figures = Figures()
    for entry in manifest.shards:
        for sample, jpeg in read_shard(store, entry.name, entry.sha256):
            figures.add(sample, jpeg, tokenizer)
            progress(1)
    return figures
