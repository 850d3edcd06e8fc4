"""A dataset directory on S3: what is written is whole or not there."""

import fsspec.config
import pytest
from s3fs import S3FileSystem

from glitbuild.errors import ConfigError
from glitbuild.shards.store import Store

pytestmark = pytest.mark.slow

PART = 5 << 20
"""Bytes: the least that S3 takes as a part."""


@pytest.fixture
def store(s3: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setitem(fsspec.config.conf, "s3", {"default_block_size": PART})
    return Store(f"{s3}/data")


def open_uploads(store: Store) -> list[str]:
    bucket = store.root.split("/")[0]
    return [upload["Key"] for upload in S3FileSystem().list_multipart_uploads(bucket)]


@pytest.mark.parametrize("parts", [0, 2.5])
def test_an_object_is_there_when_its_block_ends(store: Store, parts: float) -> None:
    with store.create("shards/a.tar") as file:
        for _ in range(int(parts * 2)):
            file.write(b"x" * (PART // 2))
        assert not store.exists("shards/a.tar")
        assert store.names("shards") == []
        assert open_uploads(store) == (["data/shards/a.tar"] if parts >= 1 else [])
    assert store.read("shards/a.tar") == b"x" * int(parts * PART)
    assert file.stored.bytes == store.size("shards/a.tar") == int(parts * PART)
    assert store.names("shards") == ["shards/a.tar"]
    assert open_uploads(store) == []


@pytest.mark.parametrize(("parts", "error"), [(0.5, RuntimeError), (2.5, KeyboardInterrupt)])
def test_a_block_that_raises_leaves_neither_an_object_nor_an_upload(
    store: Store, parts: float, error: type[BaseException]
) -> None:
    store.write("shards/old.tar", b"old")
    for name in ("shards/old.tar", "shards/new.tar"):
        with pytest.raises(error), store.create(name) as file:
            for _ in range(int(parts * 2)):
                file.write(b"x" * (PART // 2))
            raise error
        del file
    assert store.names("shards") == ["shards/old.tar"]
    assert store.read("shards/old.tar") == b"old"
    assert open_uploads(store) == []


def test_the_error_is_that_of_the_upload_where_it_can_not_even_be_aborted(store: Store) -> None:
    with pytest.raises(FileNotFoundError), store.create("shards/a.tar") as file:
        file.write(b"x" * 2 * PART)
        S3FileSystem(skip_instance_cache=True).rmdir(store.root.split("/")[0])
    assert not store.exists("shards/a.tar")


def test_what_another_process_writes_is_seen(store: Store) -> None:
    assert store.names("shards") == []
    store.write("shards/a.json", b"1")
    assert store.names("shards") == ["shards/a.json"]
    other = S3FileSystem(skip_instance_cache=True)
    other.pipe_file(store.path("shards/b.json"), b"2")
    assert store.exists("shards/b.json")
    other.rm_file(store.path("shards/a.json"))
    assert not store.exists("shards/a.json")


def test_a_bucket_that_is_not_there_is_a_configuration_error(store: Store) -> None:
    store.check_writable()
    assert store.names("shards") == []
    with pytest.raises(ConfigError, match="can't be written to"):
        Store("s3://no-such-bucket-at-all/data").check_writable()
