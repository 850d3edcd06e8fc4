"""``glitbuild stats --html``: distributions as charts, the worst and the best pairs."""

from dataclasses import dataclass

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.progress import Progress
from glitbuild.errors import DatasetError
from glitbuild.records import Region
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.output import check_writable, write_file
from glitbuild.shards.stats import Stats
from glitbuild.shards.store import Store
from glitbuild.stages.publish.page.card import region_name
from glitbuild.stages.publish.page.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, chart, rows
from glitbuild.stages.publish.page.figures import Extreme, Figures, collect_figures
from glitbuild.stages.publish.page.template import render
from glitbuild.stages.publish.page.thumbnails import crop, data_url

TOTALS = {
    "samples": "samples",
    "skipped": "skipped",
    "pairs": "pairs: a sentence and its region",
    "regions": "candidate regions",
    "objects": "detected regions",
    "boxes": "given regions",
}
"""Of the manifest, and what the page calls them."""

CROP_SIDE = 320
"""Longer edge, in pixels, of a region's picture."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair on the page: the region's crop as a URL, which region it is, and the sentence."""

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
    """Count what is in a dataset and write the page.

    Args:
        store: the dataset directory.
        manifest: of the dataset.
        out: the HTML file, a local path or an fsspec URL.
        plain: progress as lines, also on a terminal.
        cluster: where to read shards in parallel; None for this process.

    Returns:
        What ``glitbuild stats`` prints.

    Raises:
        ConfigError: the file can't be written.
        DatasetError: a shard or a picture is damaged.
    """
    check_writable(out, [store.url], option="--html")
    with Progress("stats", manifest.totals["samples"], plain) as progress:
        figures = collect_figures(store, manifest, progress.advance, cluster)
    write_file(out, statistics_page(store.name, manifest, figures))
    return figures.stats


def statistics_page(name: str, manifest: Manifest, figures: Figures) -> bytes:
    """Return the page.

    Args:
        name: of the dataset.
        manifest: of the dataset.
        figures: of the dataset.

    Raises:
        DatasetError: a picture is damaged.
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
        fix = "glitbuild validate lists all that is damaged"
        raise DatasetError(f"sample {sample.key}", str(error), fix) from error
    image, name = sample.image, region_name(pair.region)
    return Shown(picture, name, pair.region, image.width, image.height, pair.text, pair.similarity, sample.key)
