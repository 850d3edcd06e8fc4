"""Datasets that an earlier version wrote are read everywhere, and never mixed with new shards."""

import json
import shutil
from pathlib import Path

import pytest

from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_index, read_sample, read_shard
from glitbuild.shards.sidecar import scan
from glitbuild.shards.validate import validate
from tests.run import here, tree
from tests.shards.first_schema import unpack
from tests.stages.caption.standin import StandIn

pytestmark = pytest.mark.slow

MATCH = "--workers 0 --detector none --clip-model demo"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("glit-1"))


@pytest.fixture
def world(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "world"))


@pytest.mark.parametrize("name", ["raw", "bare", "pairs"])
def test_samples_are_read_in_order_and_by_place(name: str, whole: Path) -> None:
    store, manifest = open_dataset(str(whole / name))
    assert (manifest.schema, manifest.has_text) == ("glit/1", False)
    for entry in manifest.shards:
        samples = list(read_shard(store, entry.name, entry.sha256))
        assert [read_sample(store, entry.name, place) for place in read_index(store, entry.name)] == samples
        assert len(samples) == entry.samples
        assert all((sample.caption == "") == (name == "bare") for sample, _ in samples)


READERS = {
    "stats": "stats pairs",
    "preview": "preview pairs --out new.html",
    "push": "push pairs anna/squares --dry-run",
    "train": "train pairs --out new --model demo --epochs 1 --batch-size 2 --loader-workers 0",
    "eval": "eval demo pairs --suite retrieval --device cpu --out new.json",
    "exclude": "ingest photos --exclude pairs --out new",
    "nothing to match": f"match raw --out pairs {MATCH}",
}


@pytest.mark.parametrize("name", READERS)
def test_every_command_reads_them_and_changes_nothing(name: str, world: Path) -> None:
    before = {dataset: tree(world / dataset) for dataset in ("raw", "bare", "pairs")}
    result = here(*READERS[name].split(), cwd=world)
    assert result.returncode == 0, result.stderr
    assert {dataset: tree(world / dataset) for dataset in before} == before
    if name == "push":
        assert "sizes.json" in result.stdout and "shards/sizes.json" not in result.stdout


def test_what_is_made_from_them_is_of_the_new_schema(world: Path) -> None:
    with StandIn() as endpoint:
        for words in (
            f"match raw --out matched {MATCH}",
            f"caption bare --out captioned --endpoint {endpoint.url} --model m",
            "ingest pairs --out again",
        ):
            result = here(*words.split(), cwd=world)
            assert result.returncode == 0, result.stderr
            out = words.split()[words.split().index("--out") + 1]
            store, manifest = open_dataset(str(world / out))
            assert list(validate(store, manifest)) == []
            assert (manifest.schema, manifest.has_text, manifest.totals["samples"]) == ("glit/2", True, 3)
            assert not store.exists("sizes.json")
    old, new = (json.loads(tree(world / name)["manifest.json"])["totals"] for name in ("pairs", "matched"))
    assert new | {"bytes": 0} == old | {"bytes": 0}


@pytest.mark.parametrize("name", ["raw", "bare", "pairs"])
def test_they_are_valid_by_their_own_rules(name: str, world: Path) -> None:
    dataset = world / name
    assert "is valid: 3 samples in 2 shards" in here("validate", name, cwd=world).stdout
    sizes = (dataset / "sizes.json").rename(dataset / "shards/sizes.json")
    assert [problem.file for problem in validate(*open_dataset(str(dataset)))] == [
        "sizes.json",
        "shards/sizes.json",
    ]
    sizes.rename(dataset / "sizes.json")
    for path in (dataset / "shards/00001.json", dataset / "manifest.json"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"glit/1", b"glit/2"))
        assert here("validate", name, cwd=world).returncode == 1, path
        path.write_bytes(content)
    assert list(validate(*open_dataset(str(dataset)))) == []


def test_places_that_their_sidecars_name_are_checked(world: Path) -> None:
    """No version wrote any; but what is there must be right."""
    path = world / "pairs/shards/00000.json"
    content = json.loads(path.read_bytes())
    with path.with_suffix(".tar").open("rb") as file:
        content["members"] = [place.to_list() for place in scan(file)]
    for offset, problems in ((0, []), (1, ["shards/00000.json"])):
        content["members"][0][1] += offset
        path.write_text(json.dumps(content, separators=(",", ":"), ensure_ascii=False))
        found = [problem.file for problem in validate(*open_dataset(str(world / "pairs")))]
        assert found == problems


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ("ingest photos --out raw --shard-size 2", ""),  # its ranges are cut otherwise, so nothing can be compared
        ("ingest photos --out raw --shard-size 2", "raw/shards/00001.json"),
        ("ingest photos --out raw --shard-size 2", "raw/manifest.json"),
        (f"match raw --out pairs {MATCH}", "pairs/shards/00000.json"),
        (f"match raw --out pairs {MATCH}", "pairs/manifest.json"),
        ("caption bare --out captioned --endpoint http://127.0.0.1:9/v1 --model m", "captioned/manifest.json"),
    ],
)
def test_no_shard_is_added_to_them(words: str, lost: str, world: Path) -> None:
    if "captioned" in words:
        with StandIn() as endpoint:
            here(*words.replace("http://127.0.0.1:9/v1", endpoint.url).split(), cwd=world)
        for path in (world / "captioned/shards").glob("*.json"):
            path.write_bytes(path.read_bytes().replace(b"glit/2", b"glit/1"))
    if lost:
        (world / lost).unlink()
    before = tree(world)
    result = here(*words.split(), cwd=world)
    assert result.returncode == 2, result.stderr
    last = result.stderr.splitlines()[-1]
    assert all(part in last for part in ("glit/1", "glit/2", "--overwrite")), last
    assert tree(world) == before
    if "match" in words:
        assert here(*words.split(), "--overwrite", cwd=world).returncode == 0
        store, manifest = open_dataset(str(world / "pairs"))
        assert list(validate(store, manifest)) == []
        assert (manifest.schema, store.exists("sizes.json")) == ("glit/2", False)
