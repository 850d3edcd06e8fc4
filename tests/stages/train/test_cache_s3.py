"""Training from an object store: the same run as from this machine's disk, and each byte moved once."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.saved import WEIGHTS
from glitbuild.clip.text import clip_tokenizer
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.store import Store
from glitbuild.stages.train import cache as cache_module
from glitbuild.stages.train import plan as plan_module
from glitbuild.stages.train.cache import Ahead, ShardCache
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.data import Batches, ExampleMaker, load
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Plan
from glitbuild.stages.train.sources import Source
from tests.proxy import CountingProxy
from tests.run import here
from tests.stages.train.worlds import (
    TIMES,
    InterruptedRunError,
    matched_scenes,
    record,
    save_small_clip,
    small_clip,
)

pytestmark = pytest.mark.slow

SIZES = (7, 3, 6, 5, 4, 8)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s3")
    matched_scenes(folder / "pairs", SIZES)
    save_small_clip(folder / "base")
    run_train(TrainOptions(str(folder / "pairs"), str(folder / "local"), **given(folder)), plain=True)  # type: ignore[arg-type]
    return folder


def given(world: Path, **others: object) -> dict[str, object]:
    small = {"epochs": 2, "batch_size": 5, "lr": 1e-3, "loader_workers": 2, "save_every": 2}
    return {"model": str(world / "base")} | small | others


@pytest.fixture
def proxy(s3_server: str) -> Iterator[CountingProxy]:
    with CountingProxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def url(world: Path, s3: str, proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return where the dataset is on S3; what is read of it passes the proxy."""
    S3FileSystem().put(f"{world}/pairs/", f"{s3}/pairs", recursive=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    S3FileSystem.clear_instance_cache()
    return f"{s3}/pairs"


def log(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def size(world: Path) -> int:
    return sum(entry.bytes for entry in open_dataset(str(world / "pairs"))[1].shards)


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_interrupted_in_an_epoch_and_continued_it_is_the_local_run(
    part: float, world: Path, url: str, proxy: CountingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = f"{int(size(world) * part)}B"
    options = given(world, cache=str(tmp_path / "cache"), cache_size=limit)
    proxy.take()
    with monkeypatch.context() as patched, pytest.raises(InterruptedRunError):
        record(patched, 3)
        run_train(TrainOptions(url, str(tmp_path / "run"), **options), plain=True)  # type: ignore[arg-type]
    run_train(TrainOptions(url, str(tmp_path / "run"), **options, resume=True), plain=True)  # type: ignore[arg-type]
    assert log(tmp_path / "run") == log(world / "local")
    for name in (WEIGHTS, "run.json"):
        assert (tmp_path / "run" / name).read_bytes() == (world / "local" / name).read_bytes()
    if part == 1.0:
        assert proxy.take() < 1.2 * size(world)


def size_if_there(path: Path) -> int:
    """Return the size of a file; 0 if the cache has dropped it meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Reads:
    """What the loader reads of a dataset in each epoch.

    Args:
        url: of the dataset.
        cache: of its shards.
    """

    def __init__(self, url: str, cache: ShardCache) -> None:
        source = Source.open(url)
        cache.prepare(Store(url), source.manifest.shards)
        maker = ExampleMaker(Preprocess.of(small_clip()), clip_tokenizer("ViT-B-32"), 77)
        self.plan, self.cache = Plan.of([source], 0, 5), cache
        self.batches = Batches([source], maker, self.plan, cache)
        self._ahead = lambda: Ahead([source], self.plan, 4, cache)

    def epochs(self, proxy: CountingProxy) -> tuple[list[str], list[int]]:
        """Return the keys of four epochs and the bytes of each."""
        keys: list[str] = []
        moved = []
        proxy.take()
        steps = load(self.batches, self.plan.steps(4), 1, ahead=self._ahead())
        for number, batch in enumerate(steps, 1):
            keys += batch.keys
            total = sum(map(size_if_there, self.cache.folder.glob("*.tar")))
            assert total <= self.cache.limit
            if number % self.plan.batches == 0:
                moved.append(proxy.take())
        return keys, moved


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_a_remote_dataset_beside_a_local_one_gives_the_run_of_two_local_ones(
    part: float, world: Path, url: str, proxy: CountingProxy, tmp_path: Path
) -> None:
    beside = str(matched_scenes(tmp_path / "beside", (4, 6), sum(SIZES)))
    runs = []
    for name, first in (("local", str(world / "pairs")), ("mixed", url)):
        options = given(world, repeat=(1.5, 2), batch_size=8)
        if name == "mixed":
            proxy.take()
            options |= {"cache": str(tmp_path / "cache"), "cache_size": f"{int(size(world) * part)}B"}
        run_train(TrainOptions([first, beside], str(tmp_path / name), **options), plain=True)  # type: ignore[arg-type]
        runs.append(log(tmp_path / name))
    assert runs[0] == runs[1]
    assert len({path.name for path in (tmp_path / "cache").glob("*.tar")}) <= len(SIZES)
    if part == 1.0:
        assert proxy.take() < 1.2 * size(world)


@pytest.mark.parametrize("block", [64, 2])
@pytest.mark.parametrize("part", [0.7, 1.0])
def test_traffic_is_bounded_whatever_the_cache_holds(
    part: float,
    block: int,
    world: Path,
    url: str,
    proxy: CountingProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan_module, "BLOCK", block)
    monkeypatch.setattr(cache_module, "SECONDS_BETWEEN_TRIES", 0.1)
    whole = size(world)
    reads = Reads(url, ShardCache(tmp_path / "cache", int(whole * part)))
    keys, moved = reads.epochs(proxy)
    local = Batches([Source.open(str(world / "pairs"))], reads.batches._maker, reads.plan)
    assert keys == [key for batch in load(local, reads.plan.steps(4), 0) for key in batch.keys]
    assert max(moved[1:]) <= 1.1 * whole
    assert sum(moved) <= (1.1 if part == 1.0 else 5) * whole
    if part == 1.0:
        assert sum(moved[1:]) < 0.05 * whole


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_a_shard_that_was_swapped_is_refused_before_it_is_used(
    part: float, world: Path, url: str, tmp_path: Path
) -> None:
    # Other pairs of the same pictures, so that nothing but the tar's hash tells.
    path = world / "pairs" / tar_path("00002")
    data = path.read_bytes()
    swapped = tmp_path / "swapped.tar"
    swapped.write_bytes(re.sub(rb'("similarity": ?0\.)\d', rb"\g<1>5", data))
    assert swapped.read_bytes() != data
    S3FileSystem().put_file(str(swapped), f"{url}/{tar_path('00002')}")
    options = given(world, cache=str(tmp_path / "cache"), cache_size=f"{int(size(world) * part)}B", epochs=1)
    with pytest.raises(DatasetError, match=r"00002\.tar: its SHA-256 is not the one in the manifest"):
        run_train(TrainOptions(url, str(tmp_path / "run"), **options), plain=True)  # type: ignore[arg-type]
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix == ".part"]


def test_a_local_dataset_takes_no_cache(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "pairs", tmp_path / "pairs")
    for option in ({"cache": str(tmp_path / "cache")}, {"cache_size": "1GB"}):
        options = given(world, **option)
        with pytest.raises(ConfigError, match="is local"):
            run_train(TrainOptions(str(tmp_path / "pairs"), str(tmp_path / "run"), **options), plain=True)  # type: ignore[arg-type]


def test_two_processes_share_the_cache(world: Path, url: str, proxy: CountingProxy, tmp_path: Path) -> None:
    small = ["--model", world / "base", "--batch-size", 5, "--epochs", 2, "--lr", "1e-3", "--loader-workers", 1]
    proxy.take()
    result = here("train", url, "--out", "run", *small, "--workers", 2, "--cache", "shards", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert proxy.take() < 1.2 * size(world)
    assert len(list((tmp_path / "shards").glob("*.tar"))) == len(SIZES)
    one, two = log(world / "local"), log(tmp_path / "run")
    assert [line["lr"] for line in two] == [line["lr"] for line in one]
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=2e-4)
