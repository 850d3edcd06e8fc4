from pathlib import Path

import pytest

from glitbuild.errors import ConfigError
from glitbuild.shards.store import TEMPORARY, Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store(str(tmp_path / "data"))
    return Store(f"memory://{tmp_path.name}")


def test_its_name_is_not_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in (str(tmp_path), f"{tmp_path}/", ".", f"memory://bucket/{tmp_path.name}"):
        assert Store(url).name == tmp_path.name
    assert Store("memory://").name == "dataset"


def test_a_file_is_there_when_its_block_ends(store: Store) -> None:
    with store.create("shards/a.tar") as file:
        file.write(b"one")
        assert not store.exists("shards/a.tar")
        file.write(b"two")
    assert store.read("shards/a.tar") == b"onetwo"
    assert file.stored.bytes == 6
    assert store.names("shards") == ["shards/a.tar"]


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    store.write("shards/a.tar", b"old")
    with pytest.raises(RuntimeError), store.create("shards/a.tar") as file:
        file.write(b"new")
        raise RuntimeError
    assert store.read("shards/a.tar") == b"old"
    assert store.names("shards") == ["shards/a.tar"]


def test_leftovers_of_killed_runs_are_unseen_and_swept(store: Store) -> None:
    store.write("shards/a.tar", b"whole")
    store.write(f"shards/.b.tar{TEMPORARY}1234", b"half")
    assert store.names("shards") == ["shards/a.tar"]
    store.sweep(("shards", "pairs"))
    assert store.exists("shards/a.tar")
    assert not store.exists(f"shards/.b.tar{TEMPORARY}1234")


def test_a_folder_that_is_not_there_has_no_names(store: Store) -> None:
    assert store.names("pairs") == []
    assert store.sizes("pairs") == {}


def test_sizes_are_those_of_whole_files(store: Store) -> None:
    for name, data in (("b", b"22"), ("shards/a.tar", b"333"), ("shards/deep/c", b"1")):
        store.write(name, data)
    assert store.sizes("") == {"b": 2}
    assert store.sizes("shards") == {"shards/a.tar": 3}
    with store.create("shards/d.tar"):
        assert store.sizes("shards") == {"shards/a.tar": 3}


def test_an_unknown_protocol_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        Store("nowhere://bucket/data")


def test_a_directory_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="can't be written to"):
        Store(str(tmp_path / "file" / "data")).check_writable()
