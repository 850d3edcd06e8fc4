"""``glitbuild stats --html``: distributions as charts and the worst and best pairs, in one pass over a dataset."""

import heapq
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from glitbuild.clip.facts import CONTEXT, LONG_CONTEXT
from glitbuild.engine.cluster import Cluster
from glitbuild.engine.progress import Progress
from glitbuild.engine.runners import each_shard
from glitbuild.errors import DatasetError
from glitbuild.records import MatchedPair, Region, Sample
from glitbuild.shards.manifest import Manifest, ShardEntry
from glitbuild.shards.output import check_writable, write_file
from glitbuild.shards.reader import read_shard
from glitbuild.shards.stats import Histogram, Stats
from glitbuild.shards.store import Store
from glitbuild.stages.publish.page.card import crop, data_url, region_name, render
from glitbuild.stages.publish.page.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, chart, rows

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer


MOST_PAIRS = 12
"""Number of worst pairs shown, and of best pairs."""


def _fine() -> Stats:
    """Return statistics with bins narrow enough that a chart can choose its own bars."""
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
    """A pair with its sample and the sample's JPEG."""

    pair: MatchedPair
    sample: Sample
    jpeg: bytes


@dataclass(slots=True)
class Highest:
    """The pairs with the highest similarities so far; ties go to the earlier ones.

    Attributes:
        sign: 1, or -1 for the lowest similarities.
    """

    sign: int
    _heap: list[tuple[float, int, Extreme]] = field(default_factory=list)
    _seen: int = 0

    def add(self, found: Extreme) -> None:
        """Add a pair, and drop the least extreme one if there are too many."""
        self._seen += 1
        entry = (self.sign * found.pair.similarity, -self._seen, found)
        if len(self._heap) < MOST_PAIRS:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def merge(self, other: "Highest") -> None:
        """Add the pairs of another object, as if they came after these."""
        for *_, found in sorted(other._heap, key=lambda entry: -entry[1]):
            self.add(found)

    def in_order(self) -> list[Extreme]:
        """Return the pairs, most extreme first."""
        return [found for *_, found in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


@dataclass(slots=True)
class Figures:
    """Distributions of a dataset.

    Attributes:
        stats: statistics as ``glitbuild stats`` prints them.
        fine: the same statistics in narrow bins.
        tokens: number of CLIP tokens per caption, start and end of text included.
        beyond: number of captions with more tokens than a CLIP reads, by its context length.
        worst: some of the pairs with the lowest similarity, one per image.
        best: some of the pairs with the highest similarity, one per image.
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
            self.worst.add(Extreme(min(sample.pairs, key=lambda pair: pair.similarity), sample, jpeg))
            self.best.add(Extreme(sample.best, sample, jpeg))

    def merge(self, other: "Figures") -> None:
        """Add the distributions of the data that follows."""
        self.stats.merge(other.stats)
        self.fine.merge(other.fine)
        self.tokens.merge(other.tokens)
        self.beyond = {length: count + other.beyond[length] for length, count in self.beyond.items()}
        self.worst.merge(other.worst)
        self.best.merge(other.best)


def figures_of_shard(store: Store, entry: ShardEntry) -> Figures:
    """Collect the distributions of a shard, with only one sample and the extreme pairs in memory.

    Raises:
        DatasetError: the shard is damaged.
    """
    from glitbuild.clip.text import clip_tokenizer

    tokenizer, figures = clip_tokenizer("ViT-B-16"), Figures()  # all OpenAI architectures share this tokenizer
    for sample, jpeg in read_shard(store, entry.name, entry.sha256):
        figures.add(sample, jpeg, tokenizer)
    return figures


def collect_figures(
    store: Store, manifest: Manifest, progress: Callable[[int], None], cluster: Cluster | None = None
) -> Figures:
    """Collect the distributions of a dataset.

    Args:
        store: dataset directory.
        manifest: manifest of the dataset.
        progress: called after each shard with the number of samples done.
        cluster: Ray cluster that reads shards in parallel; None for this process.

    Raises:
        DatasetError: a shard is damaged.
    """
    figures = Figures()
    with closing(each_shard(store, manifest, figures_of_shard, cluster)) as shards:
        for entry, found in shards:
            figures.merge(found)
            progress(entry.samples)
    return figures


TOTALS = {
    "samples": "samples",
    "skipped": "skipped",
    "pairs": "pairs: a sentence and its region",
    "regions": "candidate regions",
    "objects": "detected regions",
    "boxes": "given regions",
}
"""Totals of the manifest, and their names on the page."""

CROP_SIDE = 320
"""Longer side of a region's image, in pixels."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair on the page: crop of the region as a data URL, name of the region, and sentence."""

    crop: str
    name: str
    region: Region
    width: int
    height: int
    text: str
    similarity: float
    key: str


def write_statistics(
    store: Store, manifest: Manifest, out: str, plain: bool = False, cluster: Cluster | None = None
) -> Stats:
    """Collect the distributions of a dataset and write the page.

    Args:
        store: dataset directory.
        manifest: manifest of the dataset.
        out: HTML file to write, a local path or an fsspec URL.
        plain: whether to report progress as lines even on a terminal.
        cluster: Ray cluster that reads shards in parallel; None for this process.

    Returns:
        Statistics that ``glitbuild stats`` prints.

    Raises:
        ConfigError: the file can't be written.
        DatasetError: a shard or an image is damaged.
    """
    check_writable(out, [store.url], option="--html")
    with Progress("stats", manifest.totals["samples"], plain) as progress:
        figures = collect_figures(store, manifest, progress.advance, cluster)
    write_file(out, statistics_page(store.name, manifest, figures))
    return figures.stats


def statistics_page(name: str, manifest: Manifest, figures: Figures) -> bytes:
    """Return the page.

    Args:
        name: name of the dataset.
        manifest: manifest of the dataset.
        figures: distributions of the dataset.

    Raises:
        DatasetError: an image is damaged.
    """
    stats = figures.stats
    return render(
        "stats.html",
        ("base.css", "stats.css"),
        name=name,
        manifest=manifest,
        figures=figures,
        totals=TOTALS,
        charts=_charts(figures),
        frame={
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "top": TOP,
            "bottom": HEIGHT - BOTTOM,
        },
        counts=[
            (title, of, rows(counts))
            for title, of, counts in (
                ("Best regions by kind", "sentences", stats.chosen),
                ("Candidates by kind", "regions", stats.kinds),
                ("Detected labels", "regions", stats.labels),
                ("Given labels", "regions", stats.given_labels),
                *((f"Column {name}", "samples", of.values or {}) for name, of in stats.columns.items()),
                ("Skipped by reason", "inputs", manifest.skipped),
            )
            if counts
        ],
        extremes=[
            ("Worst pairs", "the lowest similarity, one per image", [_shown(each) for each in worst]),
            ("Best pairs", "the highest similarity, one per image", [_shown(each) for each in best]),
        ]
        if (worst := figures.worst.in_order()) and (best := figures.best.in_order())
        else [],
    )


def _charts(figures: Figures) -> list[Chart]:
    fine = figures.fine
    all_charts = (
        ("Similarity of all pairs", "pairs", fine.similarity, "{:.2f}".format),
        ("Similarity of best pairs", "images", fine.best_similarity, "{:.2f}".format),
        ("Words per caption", "captions", fine.words, _whole),
        ("Tokens per caption", "captions", figures.tokens, _whole),
        ("Sentences per caption", "captions", fine.sentences, _whole),
        ("Candidates per image", "images", fine.regions, _whole),
        ("Area of a sentence's region", "pairs", fine.area, "{:.0%}".format),
    )
    return [
        chart(title, of, values, text, tuple(figures.beyond) if values is figures.tokens else ())
        for title, of, values, text in all_charts
        if values.total
    ]


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _shown(extreme: Extreme) -> Shown:
    sample, pair = extreme.sample, extreme.pair
    try:
        picture = data_url(crop(extreme.jpeg, pair.box, CROP_SIDE))
    except OSError as error:
        fix = "run `glitbuild validate`, which lists all damage"
        raise DatasetError(f"sample {sample.key}", str(error), fix) from error
    image, name = sample.image, region_name(pair.region)
    return Shown(picture, name, pair.region, image.width, image.height, pair.text, pair.similarity, sample.key)
