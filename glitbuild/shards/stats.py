"""Statistics of a dataset: totals, distributions, and the values of the kept columns."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.runners import each_shard
from glitbuild.flism.regions import area
from glitbuild.records import Sample, Value
from glitbuild.shards.manifest import Manifest, ShardEntry
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store

MOST_DIFFERENT = 10_000
"""Most distinct values of a column that are counted; a column with more, such as names, has no frequent ones."""
MOST_SHOWN = 20


@dataclass(slots=True)
class ColumnCount:
    """Statistics of one column.

    Attributes:
        total: number of values.
        sum: sum of the values of a numeric column; ``low`` and ``high`` are their minimum and maximum.
        values: number of occurrences of each text or boolean; None once there are more than ``MOST_DIFFERENT``.
        is_number: whether the column is numeric.
    """

    total: int = 0
    sum: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    values: Counter[str] | None = field(default_factory=Counter)
    is_number: bool = False

    def add(self, value: Value) -> None:
        """Add a value."""
        self.total += 1
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.is_number = True
            self.sum += value
            self.low, self.high = min(self.low, value), max(self.high, value)
        elif self.values is not None:
            self.values[str(value).lower() if isinstance(value, bool) else value] += 1
            self._forget_if_too_many()

    def merge(self, other: "ColumnCount") -> None:
        """Add statistics of the same column that were collected elsewhere."""
        self.total += other.total
        self.sum += other.sum
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.is_number = self.is_number or other.is_number
        if self.values is None or other.values is None:
            self.values = None
            return
        self.values.update(other.values)
        self._forget_if_too_many()

    def as_dict(self) -> dict[str, Any]:
        """Return the statistics for JSON: ``mean``, ``min`` and ``max``, or ``different`` and frequent ``values``.

        If there are too many distinct values to count, ``different`` is a lower bound and ``values`` is empty.
        """
        if self.is_number:
            return {"count": self.total, "mean": self.sum / self.total, "min": self.low, "max": self.high}
        if self.values is None:
            return {"count": self.total, "different": MOST_DIFFERENT + 1, "values": {}}
        ordered = sorted(self.values.items(), key=lambda item: (-item[1], item[0]))
        return {"count": self.total, "different": len(ordered), "values": dict(ordered[:MOST_SHOWN])}

    def _forget_if_too_many(self) -> None:
        if self.values is not None and len(self.values) > MOST_DIFFERENT:
            self.values = None


SIMILARITY_EDGES = np.linspace(-0.2, 1.0, 25)
AREA_EDGES = np.linspace(0.0, 1.0, 21)
COUNT_EDGES = np.arange(0, 52)


HISTOGRAMS = ("words", "sentences", "regions", "similarity", "best_similarity", "area")


@dataclass(slots=True)
class Histogram:
    """Histogram with fixed edges; a value beyond them is counted in the nearest bin.

    Attributes:
        edges: B + 1 ascending numbers.
        counts: B numbers.
        total: number of values; ``sum``, ``low`` and ``high`` are their sum, minimum and maximum.
    """

    edges: NDArray[Any]
    counts: NDArray[np.int64] = field(init=False)
    total: int = 0
    sum: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.edges) - 1, dtype=np.int64)

    def add(self, values: list[float]) -> None:
        """Add values."""
        if not values:
            return
        self.counts += np.histogram(np.clip(values, self.edges[0], self.edges[-1]), self.edges)[0]
        self.total += len(values)
        self.sum += float(np.sum(values))
        self.low, self.high = min(self.low, *values), max(self.high, *values)

    def merge(self, other: "Histogram") -> None:
        """Add a histogram with the same edges."""
        self.counts += other.counts
        self.total += other.total
        self.sum += other.sum
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def as_dict(self) -> dict[str, Any]:
        """Return the histogram for JSON; mean, minimum and maximum are 0.0 if it is empty."""
        mean, low, high = (self.sum / self.total, self.low, self.high) if self.total else (0.0, 0.0, 0.0)
        figures = {"count": self.total, "mean": round(mean, 5), "min": round(low, 5), "max": round(high, 5)}
        return figures | {
            "edges": [round(float(edge), 5) for edge in self.edges],
            "counts": self.counts.tolist(),
        }


@dataclass(slots=True)
class Stats:
    """Distributions over a dataset.

    Attributes:
        words: number of whitespace-separated words per caption.
        sentences: number of sentences per caption.
        regions: number of candidate regions per image.
        similarity: cosine similarity of every pair.
        best_similarity: cosine similarity of each image's best pair.
        area: area of each pair's region, as a share of the image.
        kinds: number of candidate regions by kind.
        chosen: number of pairs by the kind of their region.
        labels: number of detected regions by label; ``as_dict`` puts the most frequent first.
        given_labels: number of given regions by label, same as above.
        columns: statistics of the kept columns.
    """

    words: Histogram = field(default_factory=lambda: Histogram(np.arange(0, 1001, 20)))
    sentences: Histogram = field(default_factory=lambda: Histogram(COUNT_EDGES))
    regions: Histogram = field(default_factory=lambda: Histogram(COUNT_EDGES))
    similarity: Histogram = field(default_factory=lambda: Histogram(SIMILARITY_EDGES))
    best_similarity: Histogram = field(default_factory=lambda: Histogram(SIMILARITY_EDGES))
    area: Histogram = field(default_factory=lambda: Histogram(AREA_EDGES))
    kinds: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    given_labels: dict[str, int] = field(default_factory=dict)
    columns: dict[str, ColumnCount] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Add a sample."""
        if sample.caption:
            self.words.add([len(sample.caption.split())])
        for name, value in sample.source.extra.items():
            self.columns.setdefault(name, ColumnCount()).add(value)
        matched = sample.matched
        if matched is None:
            return
        self.sentences.add([len(matched.sentences)])
        self.regions.add([len(matched.regions)])
        self.similarity.add([pair.similarity for pair in matched.pairs])
        self.best_similarity.add([sample.best.similarity])
        pixels = sample.image.width * sample.image.height
        chosen = [pair.region for pair in sample.pairs]
        self.area.add([area(region.box) / pixels for region in chosen])
        for region in chosen:
            self.chosen[region.kind] = self.chosen.get(region.kind, 0) + 1
        for region in matched.regions:
            self.kinds[region.kind] = self.kinds.get(region.kind, 0) + 1
            if region.label:
                labels = self.given_labels if region.kind == "given" else self.labels
                labels[region.label] = labels.get(region.label, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """Return the statistics for JSON."""
        labels = {"labels": _most_frequent_first(self.labels)}
        if self.given_labels:
            labels["given_labels"] = _most_frequent_first(self.given_labels)
        columns = {"columns": {name: of.as_dict() for name, of in self.columns.items()}} if self.columns else {}
        kinds = {"kinds": dict(sorted(self.kinds.items())), "chosen": dict(sorted(self.chosen.items()))}
        return {name: getattr(self, name).as_dict() for name in HISTOGRAMS} | kinds | labels | columns

    def merge(self, other: "Stats") -> None:
        """Add statistics that were collected elsewhere, with the same edges."""
        for name in HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for name in ("kinds", "chosen", "labels", "given_labels"):
            counts = getattr(self, name)
            for value, count in getattr(other, name).items():
                counts[value] = counts.get(value, 0) + count
        for name, column in other.columns.items():
            self.columns.setdefault(name, ColumnCount()).merge(column)


def _most_frequent_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def stats_of_shard(store: Store, entry: ShardEntry) -> Stats:
    """Read a shard and collect its statistics; only one sample is in memory at a time.

    Raises:
        DatasetError: the shard is damaged.
    """
    stats = Stats()
    for sample, _ in read_shard(store, entry.name, entry.sha256):
        stats.add(sample)
    return stats


def collect(
    store: Store,
    manifest: Manifest,
    progress: Callable[[int], None] = lambda samples: None,
    cluster: Cluster | None = None,
) -> Stats:
    """Collect the statistics of a dataset; the result doesn't depend on where or in which order shards are read.

    Args:
        store: dataset directory.
        manifest: manifest of the dataset.
        progress: callback that gets the number of samples of each finished shard.
        cluster: cluster on which to read shards in parallel; None for this process.

    Raises:
        DatasetError: a shard is damaged.
    """
    stats = Stats()
    with closing(each_shard(store, manifest, stats_of_shard, cluster)) as shards:
        for entry, found in shards:
            stats.merge(found)
            progress(entry.samples)
    return stats
