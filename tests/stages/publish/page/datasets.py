"""Small datasets to make pages of."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from glitbuild.flism.regions import default_regions
from glitbuild.records import ImageInfo, Matched, Pair, Region, Sample, Source
from glitbuild.shards.manifest import write_manifest
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from tests.factories import jpeg

Made = tuple[Sample, bytes]

WIDTH, HEIGHT = 120, 90


def scene(number: int, pairs: Sequence[tuple[str, int, float]], label: str = "dog", size: int = 1) -> Made:
    """Return a matched sample with a picture of noise: default regions 0 to 4, and 5, an object.

    Args:
        number: of the sample.
        pairs: each sentence, its region and their similarity.
        label: of the object.
        size: how many times larger the picture is.
    """
    width, height = WIDTH * size, HEIGHT * size
    data = jpeg(width, height, seed=number)
    spans, caption = [], ""
    for text, *_ in pairs:
        spans.append((len(caption), len(caption) + len(text)))
        caption += text + " "
    regions = (
        *default_regions(width, height),
        Region((10.0 * size, 20.0, 50.5 * size, 70.0), "object", label, 0.75),
    )
    found = tuple(Pair(index, region, value) for index, (_, region, value) in enumerate(pairs))
    best = max(range(len(found)), key=lambda index: found[index].similarity)
    info = ImageInfo(width, height, hashlib.sha256(data).hexdigest(), "jpeg", False)
    matched = Matched(tuple(spans), regions, found, best)
    return Sample(f"{number:09d}", caption.rstrip(), info, Source("test", str(number)), matched), data


def write(folder: Path, *shards: Iterable[Made], stage: str = "match") -> str:
    """Write a finished dataset and return where it lies."""
    store, config = Store(str(folder)), {"stage": stage}
    sidecars = [write_shard(store, f"{index:05d}", shard, config, dict) for index, shard in enumerate(shards)]
    write_manifest(store, sidecars, config, {"glitbuild": "0"})
    return str(folder)
