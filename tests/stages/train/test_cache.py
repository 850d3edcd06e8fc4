"""Shards on this machine's disk: whole, the manifest's, within the limit, and never gone while they are read."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glitbuild.errors import ConfigError, DatasetError, TrainingError
from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import Manifest, ShardEntry, read_manifest
from glitbuild.shards.store import Store
from glitbuild.stages.train.cache import ShardCache
from glitbuild.stages.train.sources import Source, SourceShard
from tests.stages.train.worlds import matched_scenes


class CountingStore(Store):
    """A store that knows which files were opened."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.opened: list[str] = []

    def open(self, name: str) -> Any:
        self.opened.append(name)
        return super().open(name)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return matched_scenes(tmp_path_factory.mktemp("cache"), (2, 2, 2, 2))


@pytest.fixture
def store(dataset: Path) -> CountingStore:
    return CountingStore(str(dataset))


@pytest.fixture
def entries(store: Store) -> tuple[ShardEntry, ...]:
    manifest = read_manifest(store)
    assert manifest
    return manifest.shards


def make(tmp_path: Path, limit: int, store: Store, entries: tuple[ShardEntry, ...]) -> ShardCache:
    cache = ShardCache(tmp_path / "cache", limit)
    cache.prepare(store, entries)
    return cache


def kept(cache: ShardCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()} - {".lock"}


def test_many_who_want_a_shard_fetch_it_once(
    store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path
) -> None:
    cache = make(tmp_path, 10**9, store, entries)
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda number: cache.open(store, entries[number % 2]), range(16)))
    for number, file in enumerate(files):
        assert file
        assert file.read() == store.read(tar_path(entries[number % 2].name))
    assert sorted(store.opened) == ["shards/00000.tar", "shards/00001.tar"]
    assert kept(cache) == {f"{entries[0].sha256}.tar", f"{entries[1].sha256}.tar"}


def test_the_least_recently_used_goes_and_what_is_in_use_stays(
    store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path
) -> None:
    limit = sum(entry.bytes for entry in entries[:3]) + max(entry.bytes for entry in entries) // 2
    cache = make(tmp_path, limit, store, entries)
    files = [cache.open(store, entry) for entry in entries[:3]]
    assert all(files)
    assert cache.open(store, entries[3]) is None
    for file in files[1:]:
        file and file.close()
    with cache.open(store, entries[1]) as again:  # type: ignore[union-attr]
        assert again.read(1)
    for name in (entries[0].sha256, entries[2].sha256):  # the first is in use, the third was used longest ago
        os.utime(cache.folder / f"{name}.tar", (0, 0))
    opened = cache.open(store, entries[3])
    assert opened
    assert kept(cache) == {f"{entries[number].sha256}.tar" for number in (0, 1, 3)}
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= limit


@pytest.mark.parametrize("how", ["open", "index"])
def test_another_shard_is_refused_and_leaves_nothing(
    how: str, store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path
) -> None:
    cache = make(tmp_path, 10**9, store, entries)
    swapped = replace(entries[0], name="00001", bytes=store.size("shards/00001.tar"))
    with pytest.raises(DatasetError, match=r"00001\.tar: its SHA-256 is not the one in the manifest"):
        getattr(cache, how)(store, swapped)
    assert kept(cache) == set()


def test_an_index_is_made_once_for_a_version_of_the_object(
    dataset: Path, store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path
) -> None:
    cache = make(tmp_path, 10**9, store, entries)
    first = cache.index(store, entries[0])
    assert cache.index(store, entries[0]) == first
    assert store.opened == ["shards/00000.tar"]
    os.utime(dataset / "shards/00000.tar", (1, 1))
    assert cache.index(store, entries[0]) == first
    assert store.opened == ["shards/00000.tar"] * 2


def test_what_a_killed_process_left_is_not_read_and_goes(
    store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path
) -> None:
    cache = make(tmp_path, 10**9, store, entries)
    part = cache.folder / f"{entries[0].sha256}.tar.{entries[0].bytes}.part"
    held = f"import fcntl, time; f = open({str(part)!r}, 'wb'); fcntl.flock(f, fcntl.LOCK_EX); f.write(b'half')"
    process = subprocess.Popen([sys.executable, "-c", f"{held}; f.flush(); print(1, flush=True); time.sleep(99)"])
    while not part.exists() or part.read_bytes() != b"half":
        time.sleep(0.01)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(cache.open, store, entries[0])
        other = cache.open(store, entries[1])
        assert other
        assert not waits.done()
        assert part.read_bytes() == b"half"
        process.send_signal(signal.SIGKILL)
        process.wait()
        file = waits.result(timeout=30)
    assert file
    assert file.read() == store.read("shards/00000.tar")
    (cache.folder / f"{entries[2].sha256}.tar.{entries[2].bytes}.part").write_bytes(b"left")
    (cache.folder / "thesis.txt").write_text("years of work")
    cache.prepare(store, entries)
    assert kept(cache) == {f"{entries[0].sha256}.tar", f"{entries[1].sha256}.tar", "thesis.txt"}


def test_a_full_disk_is_told_and_leaves_nothing(
    store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache = make(tmp_path, 10**9, store, entries)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"the disk is full; .* --cache-size"):
        cache.open(store, entries[0])
    assert kept(cache) == set()


def test_what_can_not_work_is_told_before_the_training(
    store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"--cache-size: shard 0000\d of .* the limit is 1,000; "):
        make(tmp_path, 1000, store, entries)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--cache .*can't be written to"):
        ShardCache(tmp_path / "file" / "cache", 10**9).prepare(store, entries)
    for changes, says in (({"name": "00099"}, "missing"), ({"bytes": 7}, "instead of 7")):
        with pytest.raises(DatasetError, match=says):
            make(tmp_path, 10**9, store, (replace(entries[0], **changes),))  # type: ignore[arg-type]


def test_two_blocks_fit_where_not_all_does(entries: tuple[ShardEntry, ...], tmp_path: Path) -> None:
    remote = Source("s3://bucket/data", Manifest({}, {}, {}, {}, ()), is_local=False)
    many = [SourceShard(remote, replace(entries[0], bytes=10))] * 200
    for limit, count in ((2000, 64), (1999, 64), (1280, 64), (1279, 63), (40, 2), (10, 0)):
        assert len(ShardCache(tmp_path, limit).whole(range(100, 164), many, 4)) == count
    few = many[:60]
    assert ShardCache(tmp_path, 590).whole(range(60), few, 1) == frozenset(range(59))
    assert ShardCache(tmp_path, 590).whole(range(60), few, 2) == frozenset(range(29))
    local = SourceShard(replace(remote, is_local=True), few[0].entry)
    assert ShardCache(tmp_path, 20).whole(range(6), [few[0], local] * 3, 1) == {0, 1, 2, 3, 5}


def test_a_lock_is_one_of_the_kernel(store: CountingStore, entries: tuple[ShardEntry, ...], tmp_path: Path) -> None:
    cache = make(tmp_path, 10**9, store, entries)
    opened = cache.open(store, entries[0])
    assert opened
    with (cache.folder / f"{entries[0].sha256}.tar").open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
