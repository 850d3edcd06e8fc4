import io
import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glitbuild.errors import DatasetError
from glitbuild.records import Sample, Skip, SkipReason, Source
from glitbuild.shards.manifest import remove_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import HashingFile, Store
from glitbuild.shards.writer import Outcome, pair_rows, read_pairs, write_pairs, write_shard
from tests.factories import jpeg, matched_sample_with_jpeg, matched_samples, samples

INGEST, MATCH = {"stage": "ingest"}, {"stage": "match"}
numbers = itertools.count()


def written(store: Store, outcomes: list[Outcome], config: dict[str, str] = INGEST) -> Sidecar:
    return write_shard(store, "00000", outcomes, config, lambda: {"rows": [0, len(outcomes)]})


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(matched_samples(), st.binary(max_size=2000)), max_size=5))
def test_a_shard_survives_the_round_trip(tmp_path: Path, content: list[tuple[Sample, bytes]]) -> None:
    store = Store(str(tmp_path / str(next(numbers))))
    sidecar = written(store, list(content), MATCH)
    assert list(read_shard(store, "00000", sidecar.files["shards/00000.tar"].sha256)) == content
    assert Sidecar.read(store, "00000") == sidecar
    with store.open("pairs/00000.parquet") as table:
        assert read_pairs(table) == [row for sample, _ in content for row in pair_rows(sample)]
    assert sidecar.totals.get("pairs", 0) == sum(
        len(sample.matched.pairs) for sample, _ in content if sample.matched
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(st.lists(st.tuples(samples(), st.binary(max_size=99)), max_size=4))
def test_equal_samples_are_equal_bytes(tmp_path: Path, content: list[tuple[Sample, bytes]]) -> None:
    one, two = (Store(str(tmp_path / str(next(numbers)))) for _ in range(2))
    written(one, list(content))
    written(two, list(content))
    for name in ("shards/00000.tar", "shards/00000.json", "skipped/00000.jsonl"):
        assert one.read(name) == two.read(name)


def test_samples_and_skipped_rows_are_both_kept(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    skip = _skip()
    sidecar = written(store, [skip])
    assert list(read_skipped(store, "00000")) == [skip]
    assert sidecar.skipped == {"image_empty": 1}
    assert list(read_shard(store, "00000", sidecar.files["shards/00000.tar"].sha256)) == []


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "data") if request.param == "local" else f"memory://{tmp_path.name}")
    yield store
    remove_dataset(store)


def everything(store: Store) -> list[str]:
    """Return all files, those that are being written as well."""
    return sorted(store._fs.find(store.root))


def breaks(samples: int, error: BaseException) -> Iterator[Outcome]:
    for number in range(samples):
        yield matched_sample_with_jpeg(number)
    raise error


@pytest.mark.parametrize("samples", [0, 1, 200])
@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt()], ids=repr)
def test_nothing_appears_when_the_input_breaks_off(store: Store, samples: int, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_shard(store, "00000", breaks(samples, error), MATCH, dict)
    assert everything(store) == []


def test_a_shard_stays_as_it_was_when_its_new_version_breaks_off(store: Store) -> None:
    written(store, [matched_sample_with_jpeg(0)], MATCH)
    before = {name: store.read(name) for name in ("shards/00000.tar", "pairs/00000.parquet")}
    files = everything(store)
    with pytest.raises(OSError, match="gone"):
        write_shard(store, "00000", breaks(3, OSError("gone")), MATCH, dict)
    assert everything(store) == files
    assert {name: store.read(name) for name in before} == before


@pytest.mark.parametrize("whole", range(4))
def test_a_disk_that_fills_up_leaves_no_half_file_and_no_sidecar(
    store: Store, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first bytes of the tar, the table, the list of skipped rows or the sidecar are the last that fit."""
    write, begun = HashingFile.write, list[HashingFile]()

    def fails(self: HashingFile, data: bytes) -> int:
        if self not in begun:
            begun.append(self)
        if len(begun) > whole:
            write(self, data[:3])
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(HashingFile, "write", fails)
    with pytest.raises(OSError, match="No space left"):
        written(store, [matched_sample_with_jpeg(0), _skip()], MATCH)
    names = ["shards/00000.tar", "pairs/00000.parquet", "skipped/00000.jsonl", "shards/00000.json"]
    assert everything(store) == sorted(store.path(name) for name in names[: whole // 3 * 3])
    monkeypatch.undo()
    sidecar = written(store, [matched_sample_with_jpeg(0), _skip()], MATCH)
    assert Sidecar.read(store, "00000") == sidecar
    assert everything(store) == sorted(store.path(name) for name in names)


def test_nothing_is_finished_when_the_input_cannot_be_described(store: Store) -> None:
    def describe() -> dict[str, object]:
        raise ValueError("changed")

    with pytest.raises(ValueError, match="changed"):
        write_shard(store, "00000", [matched_sample_with_jpeg(0)], MATCH, describe)
    assert Sidecar.read(store, "00000") is None


@pytest.mark.parametrize("length", [0, 100, 600, 1500])
def test_a_tar_that_is_cut_off_is_damaged(tmp_path: Path, length: int) -> None:
    store = Store(str(tmp_path))
    sample = Sample.from_json(json.dumps(_record()).encode())
    sidecar = written(store, [(sample, jpeg())])
    store.write("shards/00000.tar", store.read("shards/00000.tar")[:length])
    with pytest.raises(DatasetError, match=r"00000\.tar"):
        list(read_shard(store, "00000", sidecar.files["shards/00000.tar"].sha256))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=5)
@given(st.lists(matched_samples(), min_size=6, max_size=9, unique_by=lambda sample: sample.key))
def test_datasets_and_webdataset_read_a_shard(tmp_path: Path, content: list[Sample]) -> None:
    # First come samples without any detection: `datasets` infers the types from the first five.
    content.sort(key=lambda sample: len(sample.matched.regions) if sample.matched else 0)
    content = [replace(sample, captioned=content[0].captioned) for sample in content]  # all of a dataset, or none
    folder = tmp_path / str(next(numbers))
    written(Store(str(folder)), [(sample, jpeg(seed=i)) for i, sample in enumerate(content)], MATCH)
    tar = str(folder / "shards" / "00000.tar")
    loaded = datasets.load_dataset("webdataset", data_files=tar, split="train", cache_dir=str(folder / "cache"))
    assert [row["json"]["key"] for row in loaded] == [sample.key for sample in content]
    assert loaded[0]["jpg"].size == (32, 24)
    expected = [json.loads(sample.to_json()) for sample in content]
    assert [row["json"] for row in loaded] == expected
    plain = list(webdataset.WebDataset(tar, shardshuffle=False).decode("pil"))
    assert [sample["json"] for sample in plain] == expected


def _skip() -> Skip:
    return Skip("000000000", Source("d", "x.jpg"), SkipReason.IMAGE_EMPTY, "0 bytes\nsecond line")


def _record() -> dict[str, object]:
    image = {"width": 32, "height": 24, "sha256": "0" * 64, "source_format": "jpeg", "reencoded": False}
    source = {"dataset": "d", "id": "1", "url": "", "license": ""}
    return {"schema": "glit/2", "key": "000000001", "caption": "A dog.", "image": image, "source": source}


@pytest.mark.slow
def test_any_number_of_skipped_rows_takes_no_memory(tmp_path: Path) -> None:
    store, count = Store(str(tmp_path)), 20_000
    skips = (replace(_skip(), key=f"{number:09d}", detail="x" * 1000) for number in range(count))
    tracemalloc.start()
    sidecar = write_shard(store, "00000", skips, INGEST, lambda: {"rows": [0, count]})
    read = sum(len(skip.detail) for skip in read_skipped(store, "00000"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (sidecar.skipped, read) == ({"image_empty": count}, 1000 * count)
    assert peak < 8 << 20 < sidecar.files["skipped/00000.jsonl"].bytes


def test_nothing_holds_a_pairs_table_once_it_is_read() -> None:
    """A thread that still held the file when Python exits would abort the process."""
    content = io.BytesIO()
    write_pairs(content, [], {"stage": "match"})
    for _ in range(50):
        file = io.BytesIO(content.getvalue())
        read_pairs(file)
        assert sys.getrefcount(file) == 2  # the variable and the argument
