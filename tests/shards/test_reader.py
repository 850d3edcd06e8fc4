"""One rule for all readers: a shard is the manifest's, or it is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from glitbuild.errors import DatasetError
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import check_files, check_shards, read_listed, read_shard
from glitbuild.shards.store import Store, StoredFile
from tests.factories import jpeg
from tests.run import here, tree

MATCH = ("--workers", 0, "--detector", "none", "--clip-model", "demo")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make datasets of two shards each, whose tars have equal sizes: raw ones, matched ones, and images alone."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "photos").mkdir()
    for number in range(4):
        (folder / "photos" / f"{number}.jpg").write_bytes(jpeg(64, 48, number))
        (folder / "photos" / f"{number}.txt").write_text(f"Noise number {number}. It has many colours.")
    for words in (
        ("ingest", "photos", "--out", "raw", "--shard-size", 2),
        ("ingest", "photos", "--out", "bare", "--shard-size", 2, "--no-captions"),
        ("match", "raw", "--out", "pairs", *MATCH),
    ):
        result = here(*words, cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def world(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "world"))


def swap(dataset: Path) -> None:
    one, two = dataset / "shards/00000.tar", dataset / "shards/00001.tar"
    first, second = one.read_bytes(), two.read_bytes()
    assert first != second and len(first) == len(second)
    one.write_bytes(second)
    two.write_bytes(first)


def from_another_run(dataset: Path) -> None:
    """Put in a shard of the same keys and size, with another caption."""
    tar = dataset / "shards/00001.tar"
    content = tar.read_bytes()
    assert b"number 3" in content
    tar.write_bytes(content.replace(b"number 3", b"number 9"))


def last_byte(dataset: Path) -> None:
    tar = dataset / "shards/00001.tar"
    content = bytearray(tar.read_bytes())
    content[-1] ^= 1
    tar.write_bytes(content)


READERS = {
    "stats": "stats pairs",
    "stats as a page": "stats pairs --html new.html",
    "preview": "preview pairs --out new.html",
    "preview of one sample": "preview pairs --out new.html --samples 1 --seed 0",
    "validate": "validate pairs",
    "push": "push pairs anna/noise --dry-run",
    "train": "train pairs --out new --model demo --epochs 1 --batch-size 2 --loader-workers 0",
    "eval": "eval demo pairs --suite retrieval --device cpu --out new.json",
    "match": "match raw --out new --workers 0 --detector none --clip-model demo",
    "ingest": "ingest pairs --out new",
    "exclude": "ingest photos --exclude pairs --out new",
    "caption": "caption bare --out new --endpoint http://127.0.0.1:9/v1 --model m --retries 0",
}


CASES = [
    pytest.param(words, damage, id=f"{name}-{damage.__name__}")
    for name, words in READERS.items()
    for damage in (swap, from_another_run, last_byte)
    # No endpoint captions the first shard, so the second one's damage isn't met.
    if name != "caption" or damage is swap
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "damage"), CASES)
def test_every_command_refuses_a_shard_that_is_not_the_manifests(
    words: str, damage: Callable[[Path], None], world: Path
) -> None:
    for name in ("pairs", "raw", "bare") if damage is swap else ("pairs", "raw"):
        damage(world / name)
    result = here(*words.split(), cwd=world)
    assert result.returncode == 1, (result.stdout, result.stderr)
    said = result.stdout + result.stderr
    assert ".tar" in said and ("SHA-256" in said or "content" in said)
    assert not (world / "new.html").exists() and not (world / "new.json").exists()
    written = tree(world / "new") if (world / "new").exists() else {}
    assert not any(name.endswith(("manifest.json", "run.json", ".safetensors")) for name in written)


def test_an_unfinished_dataset_is_no_input(world: Path) -> None:
    (world / "pairs/manifest.json").unlink()
    result = here("ingest", "pairs", "--out", "new", cwd=world)
    assert result.returncode == 2 and "isn't finished" in result.stderr
    assert not (world / "new").exists()


@pytest.mark.slow
def test_what_is_missing_or_has_another_size_is_named(world: Path) -> None:
    store, manifest = open_dataset(str(world / "pairs"))
    check_shards(store, manifest.shards)
    counted: list[int] = []
    check_files(store, {"shards/sizes.json": store.stored("shards/sizes.json")}, counted.append)
    assert counted == [1]
    with pytest.raises(DatasetError, match="bytes instead of 3"):
        check_files(store, {"shards/sizes.json": StoredFile(3, "0" * 64)})
    (world / "pairs/shards/00001.tar").unlink()
    with pytest.raises(DatasetError, match=r"00001\.tar: missing"):
        check_shards(store, manifest.shards)
    with pytest.raises(DatasetError, match=r"00001\.tar"):
        list(read_shard(store, "00001", manifest.shards[1].sha256))


@pytest.mark.slow
def test_a_file_beside_a_shard_is_the_sidecars(world: Path) -> None:
    store = Store(str(world / "pairs"))
    name = "pairs/00000.parquet"
    assert read_listed(store, "00000", name) == store.read(name)
    store.write(name, store.read("pairs/00001.parquet"))
    with pytest.raises(DatasetError, match="SHA-256"):
        read_listed(store, "00000", name)
    with pytest.raises(DatasetError, match="missing"):
        read_listed(store, "00000", "truth/00000.jsonl")
    with pytest.raises(DatasetError, match="missing"):
        read_listed(store, "00002", name)
