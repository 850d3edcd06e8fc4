import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from glitbuild.records import Sample, Source
from glitbuild.shards.manifest import open_dataset, write_manifest
from glitbuild.shards.sidecar import MOST, OTHERS, Sidecar, add_sources, count_sources, most_frequent
from glitbuild.shards.store import Store
from glitbuild.shards.validate import validate
from glitbuild.shards.writer import write_shard
from tests.factories import sample_with_jpeg

CONFIG = {"stage": "ingest"}
names = st.sampled_from(["", "a", "b", "c"])
sources = st.lists(st.builds(Source, names, names, names, names, names, names))


@given(sources, sources)
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(some: list[Source], more: list[Source]) -> None:
    whole = count_sources(some + more)
    assert add_sources(count_sources(some), count_sources(more)) == whole
    for field, counts in whole.items():
        assert counts == Counter(getattr(source, field) for source in some + more)
    assert most_frequent(whole) == whole
    assert list(whole) == ["dataset", "license", "split", "origin"]


def test_rare_values_are_counted_together() -> None:
    counted = most_frequent({"origin": {"much": 5} | {f"{number:03d}": 1 for number in range(MOST + 9)}})["origin"]
    assert list(counted)[:2] == ["much", "000"]
    assert len(counted) == MOST + 1
    assert counted[OTHERS] == 10


def build(folder: Path) -> Store:
    store, sidecars = Store(str(folder)), []
    for shard in range(2):
        rows = [2 * shard, 2 * shard + 2]
        outcomes = [sample_with_jpeg(row) for row in range(*rows)]
        outcomes = [(replace(s, source=replace(s.source, split="test", origin="here")), j) for s, j in outcomes]
        described = {"rows": rows, "sha256": "0" * 64}
        sidecars.append(write_shard(store, f"{shard:05d}", outcomes, CONFIG, lambda of=described: of))
    write_manifest(store, sidecars, CONFIG, {})
    return store


def problems(store: Store) -> list[str]:
    return [problem.file for problem in validate(*open_dataset(store.url))]


def test_the_manifest_has_the_sums(tmp_path: Path) -> None:
    store = build(tmp_path)
    expected = {"dataset": {"test": 4}, "license": {"": 4}, "split": {"test": 4}, "origin": {"here": 4}}
    assert open_dataset(store.url)[1].sources == expected
    assert problems(store) == []


def test_wrong_counts_are_found(tmp_path: Path) -> None:
    store = build(tmp_path)
    sidecar = Sidecar.read(store, "00000")
    assert sidecar and sidecar.sources
    replace(sidecar, sources=sidecar.sources | {"split": {"train": 2}}).write(store)
    assert problems(store) == ["shards/00000.json"]
    sidecar.write(store)
    manifest = json.loads(store.read("manifest.json"))
    manifest["sources"]["origin"]["here"] = 3
    store.write("manifest.json", json.dumps(manifest).encode())
    assert problems(store) == ["manifest.json"]


def test_shards_of_an_older_version_are_read(tmp_path: Path) -> None:
    """Without ``sources`` in the sidecars, and without ``split`` and ``origin`` in the records."""
    sample, jpeg = sample_with_jpeg(0)

    class Older(Sample):
        def to_json(self) -> bytes:
            record = json.loads(super().to_json())
            del record["source"]["split"], record["source"]["origin"]
            return json.dumps(record, separators=(",", ":")).encode()

    older = Older(sample.key, sample.caption, sample.image, sample.source)
    store = Store(str(tmp_path))
    described = {"rows": [0, 1], "sha256": "0" * 64}
    sidecar = replace(write_shard(store, "00000", [(older, jpeg)], CONFIG, lambda: described), sources=None)
    sidecar.write(store)
    write_manifest(store, [sidecar], CONFIG, {})
    for name in ("shards/00000.json", "manifest.json"):
        assert "sources" not in json.loads(store.read(name))
    assert b'"split"' not in store.read("shards/00000.tar")
    assert problems(store) == []
    assert open_dataset(store.url)[1].sources is None
