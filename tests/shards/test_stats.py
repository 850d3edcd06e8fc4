from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glitbuild.errors import DatasetError
from glitbuild.records import Sample
from glitbuild.shards.manifest import open_dataset, write_manifest
from glitbuild.shards.stats import AREA_EDGES, COUNT_EDGES, SIMILARITY_EDGES, Histogram, Stats, collect
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from tests.factories import matched_sample_with_jpeg, matched_samples, sample_with_jpeg

EDGES = [SIMILARITY_EDGES, AREA_EDGES, COUNT_EDGES, np.array([0.0, 1.0])]


@pytest.mark.parametrize("edges", EDGES, ids=len)
def test_a_histogram_is_numpys_with_the_outer_bins_open(edges: NDArray[Any]) -> None:
    values = np.random.default_rng(0).normal(edges.mean(), 2 * np.ptp(edges), 5000)
    open_edges = np.array([-np.inf, *edges[1:-1], np.inf])
    histogram = Histogram(edges)
    for part in np.split(values, [0, 1, 100, 4000]):
        histogram.add(part.tolist())
    assert histogram.counts.tolist() == np.histogram(values, open_edges)[0].tolist()
    found = histogram.as_dict()
    assert found["count"] == sum(found["counts"]) == 5000
    figures = [found["mean"], found["min"], found["max"]]
    assert figures == pytest.approx([values.mean(), values.min(), values.max()], abs=1e-5)
    assert found["edges"] == pytest.approx(edges.tolist(), abs=1e-5)


@given(st.lists(st.floats(-2, 2)))
def test_every_value_is_counted_once_in_the_bin_it_belongs_to(values: list[float]) -> None:
    histogram = Histogram(SIMILARITY_EDGES)
    histogram.add(values)
    inner = SIMILARITY_EDGES[1:-1].tolist()
    expected = Counter(bisect_right(inner, value) for value in values)
    assert {index: count for index, count in enumerate(histogram.counts.tolist()) if count} == expected


def test_an_empty_histogram_has_zeros() -> None:
    histogram = Histogram(np.array([0.0, 1.0, 2.0]))
    histogram.add([])
    zeros = {"count": 0, "mean": 0.0, "min": 0.0, "max": 0.0}
    assert histogram.as_dict() == zeros | {"edges": [0.0, 1.0, 2.0], "counts": [0, 0]}


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(matched_samples(), max_size=6))
def test_the_stats_are_those_of_a_plain_count(samples: list[Sample]) -> None:
    stats = Stats()
    for sample in samples:
        stats.add(sample)
    found = stats.as_dict()
    matched = [sample.matched for sample in samples if sample.matched]
    chosen = [
        (each.regions[pair.region], sample.image)
        for sample, each in zip(samples, matched, strict=True)
        for pair in each.pairs
    ]
    areas = [(r.box[2] - r.box[0]) * (r.box[3] - r.box[1]) / (image.width * image.height) for r, image in chosen]
    expected: dict[str, list[float]] = {
        "words": [len(sample.caption.split()) for sample in samples],
        "sentences": [len(each.sentences) for each in matched],
        "regions": [len(each.regions) for each in matched],
        "similarity": [pair.similarity for each in matched for pair in each.pairs],
        "best_similarity": [max(pair.similarity for pair in each.pairs) for each in matched],
        "area": areas,
    }
    for name, values in expected.items():
        assert found[name]["count"] == sum(found[name]["counts"]) == len(values)
        if values:
            figures = [found[name]["mean"], found[name]["min"], found[name]["max"]]
            assert figures == pytest.approx([fmean(values), min(values), max(values)], abs=2e-5), name
    assert found["chosen"] == Counter(region.kind for region, _ in chosen)
    assert found["kinds"] == Counter(region.kind for each in matched for region in each.regions)
    labels = Counter(region.label for each in matched for region in each.regions if region.label)
    assert found["labels"] == labels
    assert list(found["labels"].values()) == sorted(labels.values(), reverse=True)


def test_collect_reads_all_shards(tmp_path: Path) -> None:
    dataset(tmp_path, [[0, 1, 2], [3], []], matched_sample_with_jpeg)
    store, manifest = open_dataset(str(tmp_path))
    done: list[int] = []
    found = collect(store, manifest, done.append).as_dict()
    assert done == [3, 1, 0]
    assert found["words"]["count"] == manifest.totals["samples"] == 4
    assert found["similarity"]["count"] == manifest.totals["pairs"] == 8
    assert found["regions"]["mean"] * 4 == manifest.totals["regions"] == 24
    assert found["sentences"]["mean"] * 4 == manifest.totals["sentences"] == 8
    assert sum(found["labels"].values()) == manifest.totals["objects"] == 4
    assert found["chosen"] == {"object": 4, "quadrant": 4}
    assert found["best_similarity"]["max"] == 0.253


def test_before_matching_there_are_only_captions(tmp_path: Path) -> None:
    dataset(tmp_path, [[0, 1]], sample_with_jpeg)
    found = collect(*open_dataset(str(tmp_path))).as_dict()
    assert found["words"]["count"] == 2
    assert [found[name]["count"] for name in ("sentences", "regions", "similarity", "area")] == [0] * 4
    assert found["chosen"] == found["labels"] == {}


def test_a_damaged_shard_is_not_counted_as_a_smaller_one(tmp_path: Path) -> None:
    dataset(tmp_path, [[0, 1, 2]], matched_sample_with_jpeg)
    path = tmp_path / "shards/00000.tar"
    data = path.read_bytes()
    # A header that is damaged looks like the end of a tar.
    third = data.index(b"000000001.jpg")
    path.write_bytes(data[:third] + b"x" + data[third + 1 :])
    with pytest.raises(DatasetError, match=r"00000\.tar"):
        collect(*open_dataset(str(tmp_path)))


def dataset(folder: Path, shards: list[list[int]], make: Callable[[int], tuple[Sample, bytes]]) -> None:
    store, config = Store(str(folder)), {"stage": "match" if make is matched_sample_with_jpeg else "ingest"}
    sidecars = [
        write_shard(store, f"{index:05d}", [make(number) for number in numbers], config, dict)
        for index, numbers in enumerate(shards)
    ]
    write_manifest(store, sidecars, config, {})
