"""Datasets as programs read them: every sample, from disk and from S3, in any process, and nothing damaged."""

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from s3fs import S3FileSystem
from torch.utils.data import DataLoader, DistributedSampler

import glitbuild
from glitbuild import dataset as dataset_module
from glitbuild.dataset import DatasetSample
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.images.stored import open_rgb
from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.train.data import Batches
from glitbuild.stages.train.plan import Place, Plan
from glitbuild.stages.train.sources import Source
from tests.proxy import CountingProxy
from tests.run import here
from tests.stages.train.worlds import matched_scenes, small_clip

pytestmark = pytest.mark.slow

SIZES = (4, 0, 3, 5)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return matched_scenes(tmp_path_factory.mktemp("dataset") / "pairs", SIZES)


@pytest.fixture
def proxy(s3_server: str) -> Iterator[CountingProxy]:
    with CountingProxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def remote(pairs: Path, s3: str, proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch) -> str:
    S3FileSystem().put(str(pairs), f"{s3}/pairs", recursive=True)
    S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return f"{s3}/pairs"


def known(pairs: Path) -> list[DatasetSample]:
    store, manifest = open_dataset(str(pairs))
    return [DatasetSample(*row) for entry in manifest.shards for row in read_shard(store, entry.name, entry.sha256)]


def test_every_sample_comes_in_order_and_by_its_number(pairs: Path) -> None:
    samples, expected = glitbuild.read(str(pairs)), known(pairs)
    assert len(samples) == sum(SIZES) == samples.manifest.totals["samples"]
    assert list(samples) == expected
    assert [samples[number] for number in range(12)] == expected
    assert samples[-1] == expected[-1] and samples[2:9:3] == expected[2:9:3]
    for wrong in (12, -13):
        with pytest.raises(IndexError, match=str(wrong)):
            samples[wrong]


def test_a_sample_has_its_picture_its_caption_and_its_pairs(pairs: Path) -> None:
    for sample in glitbuild.read(str(pairs)):
        assert sample.image.tobytes() == open_rgb(sample.jpeg).tobytes() and sample.image is sample.image
        assert sample.image.size == (sample.record.image.width, sample.record.image.height)
        matched = sample.record.matched
        assert matched and sample.regions == matched.regions and len(sample.pairs) == len(matched.pairs) > 0
        for pair, indices in zip(sample.pairs, matched.pairs, strict=True):
            start, end = pair.span
            assert sample.caption[start:end] == pair.text
            assert (pair.region, pair.box) == (matched.regions[indices.region], pair.region.box)
        assert sample.best == sample.pairs[matched.best_pair]
        assert sample.best.similarity == max(pair.similarity for pair in sample.pairs)
        assert (sample.key, sample.source) == (sample.record.key, sample.record.source)


def test_a_dataset_that_is_not_matched_is_read_too(tmp_path: Path) -> None:
    assert here("scenes", "--count", 2, "--out", "raw", cwd=tmp_path).returncode == 0
    first, _ = glitbuild.read(str(tmp_path / "raw"))
    assert first.caption and first.image.mode == "RGB" and first.pairs == first.regions == ()
    with pytest.raises(ValueError, match=f"sample {first.key} is not matched"):
        _ = first.best
    with pytest.raises(DatasetError, match="glitbuild match"):
        glitbuild.GlitDataset(str(tmp_path / "raw"), small_clip())


def test_few_shards_are_open_at_a_time(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "MOST_OPEN", 1)
    samples, expected = glitbuild.read(str(pairs)), known(pairs)
    for number in (0, 11, 1, 5, 0):
        assert samples[number] == expected[number]
        assert len(samples._rows._open) == 1


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_worker_processes_read_what_this_one_does(pairs: Path, start: str) -> None:
    samples, data = glitbuild.read(str(pairs)), glitbuild.GlitDataset(str(pairs), small_clip())
    assert samples[3] and data[3].key  # files are open here
    workers = {"num_workers": 2, "multiprocessing_context": start}
    found = [sample for batch in DataLoader(samples, 5, collate_fn=list, **workers) for sample in batch]
    assert [(sample.key, sample.jpeg) for sample in found] == [(s.key, s.jpeg) for s in known(pairs)]
    keys = [key for batch in DataLoader(data, 5, collate_fn=data.collate_fn, **workers) for key in batch.keys]
    assert keys == [sample.key for sample in found]


def test_several_processes_share_the_samples(pairs: Path) -> None:
    data = glitbuild.GlitDataset(str(pairs), small_clip())
    seen: list[str] = []
    for rank in range(2):
        sampler: Any = DistributedSampler(data, num_replicas=2, rank=rank, shuffle=True, seed=1)
        sampler.set_epoch(3)
        loader = DataLoader(data, 2, sampler=sampler, collate_fn=data.collate_fn)
        seen += [key for batch in loader for key in batch.keys]
    assert sorted(seen) == sorted(sample.key for sample in known(pairs))


def test_an_example_is_the_one_that_train_takes(pairs: Path) -> None:
    model, source = small_clip(), Source.open(str(pairs))
    data = glitbuild.GlitDataset(str(pairs), model, pairs="all", seed=5)
    plan = Plan(SIZES, 5, 4)
    for epoch in range(2):
        data.set_epoch(epoch)
        trained = Batches([source], data._maker, plan)
        places = [Place(epoch, shard, row) for shard, size in enumerate(SIZES) for row in range(size)]
        mine = data.collate_fn([data[number] for number in range(len(data))])
        for name, value in vars_of(trained[places]).items():
            assert torch.equal(value, vars_of(mine)[name]), name


def vars_of(batch: Any) -> dict[str, torch.Tensor]:
    names = ("images", "crops", "ids", "sentence_ids", "spans", "boxes", "windows")
    return {name: getattr(batch, name) for name in names}


def test_the_epoch_reaches_worker_processes_that_persist(pairs: Path) -> None:
    data = glitbuild.GlitDataset(str(pairs), small_clip(), pairs="all")
    loader = DataLoader(data, 12, collate_fn=data.collate_fn, num_workers=1, persistent_workers=True)
    found = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        (batch,) = loader
        found.append(batch.boxes)
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


def test_it_holds_no_model(pairs: Path) -> None:
    model = small_clip()
    size = sum(parameter.numel() for parameter in model.parameters()) * 4
    assert len(pickle.dumps(glitbuild.GlitDataset(str(pairs), model))) < size


def test_a_store_gives_the_same(pairs: Path, remote: str, proxy: CountingProxy, tmp_path: Path) -> None:
    expected, cache = known(pairs), str(tmp_path / "cache")
    samples = glitbuild.read(remote, cache=cache)
    assert list(samples) == expected
    assert [samples[number] for number in (11, 0, 5)] == [expected[number] for number in (11, 0, 5)]
    proxy.take()
    assert [samples[number] for number in (10, 1, 6)] == [expected[number] for number in (10, 1, 6)]
    assert proxy.take() < len(expected[0].jpeg)  # all shards are there by now
    data = glitbuild.GlitDataset(remote, small_clip(), cache=cache)
    loader = DataLoader(data, 5, collate_fn=data.collate_fn, num_workers=2, multiprocessing_context="spawn")
    assert [key for batch in loader for key in batch.keys] == [sample.key for sample in expected]


def test_a_cache_that_holds_one_shard_is_enough(pairs: Path, remote: str, tmp_path: Path) -> None:
    largest = max(entry.bytes for entry in open_dataset(str(pairs))[1].shards)
    samples = glitbuild.read(remote, cache=str(tmp_path / "cache"), cache_size=f"{largest}B")
    for number, sample in enumerate(known(pairs)):
        assert samples[11 - number].key and samples[number] == sample
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= largest
    with pytest.raises(ConfigError, match="cache-size"):
        glitbuild.read(remote, cache=str(tmp_path / "cache"), cache_size=f"{largest - 1}B")


def test_damage_is_found_by_every_way_of_reading(pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(pairs, tmp_path / "pairs")
    path = tmp_path / "pairs" / tar_path("00002")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    samples = glitbuild.read(str(tmp_path / "pairs"))
    assert samples[0].key and samples[11].key
    with pytest.raises(DatasetError, match="00002"):
        samples[4]
    with pytest.raises(DatasetError, match="00002"):
        list(samples)
    with pytest.raises(DatasetError, match="00002"):
        glitbuild.GlitDataset(str(tmp_path / "pairs"), small_clip())


def test_what_is_no_dataset_or_no_option_is_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such dataset"):
        glitbuild.read(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="is local"):
        glitbuild.read(str(pairs), cache="cache")
    with pytest.raises(ConfigError, match="cache_size big"):
        glitbuild.read(str(pairs), cache_size="big")
    with pytest.raises(ConfigError, match="pairs worst"):
        glitbuild.GlitDataset(str(pairs), small_clip(), pairs="worst")
