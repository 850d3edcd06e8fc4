"""The ``preview`` command: choose samples and write them as an HTML page."""

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from glitbuild.engine.progress import Progress
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.options import Options, about
from glitbuild.records import Sample
from glitbuild.shards.manifest import Manifest, open_dataset
from glitbuild.shards.output import check_writable, write_file
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store
from glitbuild.stages.publish.page.card import BAR_WIDTH, card, data_url, fit, render, thumbnail


@dataclass(frozen=True, slots=True)
class PreviewOptions(Options):
    """Write one HTML file with images, their regions and their sentences, to look at.

    The file is self-contained and needs no network. Pointing at a sentence highlights its region and vice versa.
    """

    dir: str = field(metadata=about("Dataset directory.", argument=True))
    out: str = field(metadata=about("HTML file to write; a local path or an fsspec URL."))
    samples: int = field(default=200, metadata=about("Number of samples, spread evenly.", least=1))
    seed: int | None = field(
        default=None,
        metadata=about("Draw the samples at random with this seed instead.", least=0),
    )
    max_side: int = field(
        default=512,
        metadata=about("Maximum side of an image in pixels.", least=64, most=2048),
    )


def choose(total: int, count: int, seed: int | None) -> list[int]:
    """Return the ascending numbers of at most ``count`` of ``total`` samples: spread evenly, or drawn by a seed."""
    count = min(total, count)
    if seed is None:
        return [number * total // count for number in range(count)]
    return sorted(random.Random(seed).sample(range(total), count))


def read_chosen(store: Store, manifest: Manifest, numbers: Sequence[int]) -> Iterator[tuple[Sample, bytes]]:
    """Yield the samples with the given numbers, and their JPEGs.

    A shard with any of them is read to its end, which verifies it against the manifest.

    Args:
        store: dataset directory.
        manifest: manifest of the dataset.
        numbers: numbers of samples counted over all shards, ascending.

    Raises:
        DatasetError: a shard is damaged.
    """
    first = 0
    for entry in manifest.shards:
        wanted = {number - first for number in numbers if first <= number < first + entry.samples}
        first += entry.samples
        if wanted:
            rows = enumerate(read_shard(store, entry.name, entry.sha256))
            yield from (row for index, row in rows if index in wanted)


MOST_BYTES = 20_000_000
"""Maximum size of a page in bytes; images are shrunk until it fits."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """A written page: location, samples shown, samples of the dataset, size in bytes, and images shrunk to fit."""

    out: str
    samples: int
    of: int
    bytes: int
    shrunk: int


def run_preview(options: PreviewOptions, plain: bool = False) -> Preview:
    """Write a page with samples of a dataset; the same dataset and options give the same bytes.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.

    Raises:
        ConfigError: there is no finished dataset, or the page can't be written or would be too large.
        DatasetError: a shard or an image is damaged.
    """
    store, manifest = open_dataset(options.dir)
    check_writable(options.out, [options.dir])
    numbers = choose(manifest.totals["samples"], options.samples, options.seed)
    samples, pictures = [], []
    with Progress("preview", len(numbers), plain) as progress:
        for sample, jpeg in read_chosen(store, manifest, numbers):
            samples.append(sample)
            pictures.append(_thumbnail(options, sample, jpeg))
            progress.advance(1)
    room = MOST_BYTES - len(_page(options, store.name, manifest, samples, [""] * len(samples)))
    if room < 0:
        why = f"their captions alone exceed a page's {MOST_BYTES / 1e6:.0f} MB"
        raise ConfigError(f"{len(samples):,} samples", why, "give fewer --samples")
    fitting, shrunk = fit(pictures, room)
    page = _page(options, store.name, manifest, samples, [data_url(picture) for picture in fitting])
    write_file(options.out, page)
    if shrunk:
        log.info(f"{shrunk:,} images were shrunk to keep the page below {MOST_BYTES / 1e6:.0f} MB")
    return Preview(options.out, len(samples), manifest.totals["samples"], len(page), shrunk)


def _thumbnail(options: PreviewOptions, sample: Sample, jpeg: bytes) -> bytes:
    try:
        return thumbnail(jpeg, options.max_side)
    except OSError as error:
        fix = "run `glitbuild validate`, which lists all damage"
        raise DatasetError(f"sample {sample.key} of {options.dir}", str(error), fix) from error


def _page(
    options: PreviewOptions, name: str, manifest: Manifest, samples: Sequence[Sample], pictures: Sequence[str]
) -> bytes:
    found = [pair.similarity for sample in samples if sample.matched for pair in sample.matched.pairs]
    low, high = min(found, default=0.0), max(found, default=0.0)
    return render(
        "preview.html",
        ("base.css", "preview.css"),
        "preview.js",
        name=name,
        manifest=manifest,
        chosen="spread evenly" if options.seed is None else f"drawn with seed {options.seed}",
        low=low,
        high=high,
        matched=any(sample.matched for sample in samples),
        given=any(sample.matched and sample.boxes for sample in samples),
        bar_width=BAR_WIDTH,
        cards=[card(sample, picture, low, high) for sample, picture in zip(samples, pictures, strict=True)],
    )
