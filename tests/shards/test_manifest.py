import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema  # comes with ray; an independent reader of what fastjsonschema reads in the package
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import ConfigError
from glitbuild.records import Skip, SkipReason, Source
from glitbuild.shards.layout import misfit, schema, shard_files, shard_of, sidecar_path
from glitbuild.shards.manifest import (
    Manifest,
    ShardEntry,
    open_dataset,
    read_manifest,
    remove_dataset,
    write_manifest,
)
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import TEMPORARY, Store, StoredFile
from glitbuild.shards.writer import write_shard
from tests.factories import matched_sample_with_jpeg
from tests.run import tree

CONFIG = {"stage": "match", "score": 0.25, "name": "naïve"}
SCHEMAS = sorted(path.name.split(".")[0] for path in Path(__file__).parents[2].glob("schemas/*.schema.json"))
DIGEST = "0" * 64


def finished(url: str) -> Store:
    store, number = Store(url), iter(range(100))
    sidecars = []
    for shard in ("00000", "00001", "00002"):
        outcomes = [
            matched_sample_with_jpeg(next(number)),
            Skip(f"{next(number):09d}", Source("test", "x"), SkipReason.IMAGE_EMPTY, "0 bytes"),
        ]
        sidecars.append(write_shard(store, shard, outcomes, CONFIG, partial(dict, shard=shard)))
    write_manifest(store, sidecars, CONFIG, {"glitbuild": "0"})
    return store


counts = st.dictionaries(st.sampled_from(["pairs", "objects", "regions"]), st.integers(0, 10**6))
sidecars = st.builds(
    lambda samples, skipped, totals, size: (samples, skipped, totals, StoredFile(size, DIGEST)),
    st.integers(0, 10**6),
    st.dictionaries(st.sampled_from(list(SkipReason)).map(str), st.integers(1, 10**6)),
    counts,
    st.integers(0, 10**12),
)


@settings(deadline=None, max_examples=30)
@given(st.lists(sidecars, max_size=5), st.dictionaries(st.text("ab", min_size=1), st.text(), max_size=3))
def test_what_is_written_is_read(content: list[Any], versions: dict[str, str]) -> None:
    store = Store("memory://manifest")
    shards = [
        Sidecar(f"{i:05d}", samples, skipped, {f"shards/{i:05d}.tar": tar}, CONFIG, {}, totals)
        for i, (samples, skipped, totals, tar) in enumerate(content)
    ]
    manifest = write_manifest(store, shards, CONFIG, versions)
    assert open_dataset(store.url)[1] == read_manifest(store) == manifest
    assert list(manifest.shards) == [
        ShardEntry(f"{i:05d}", samples, sum(skipped.values()), tar.bytes, tar.sha256)
        for i, (samples, skipped, _, tar) in enumerate(content)
    ]
    assert manifest.totals["samples"] == sum(samples for samples, *_ in content)
    assert manifest.totals["skipped"] == sum(manifest.skipped.values())
    assert manifest.totals["bytes"] == sum(tar.bytes for *_, tar in content)
    assert manifest.totals.get("pairs", 0) == sum(totals.get("pairs", 0) for _, _, totals, _ in content)
    assert json.loads(store.read("shards/sizes.json")) == {
        f"{i:05d}.tar": samples for i, (samples, *_) in enumerate(content)
    }
    first = {name: store.read(name) for name in ("manifest.json", "shards/sizes.json")}
    write_manifest(store, shards, CONFIG, dict(reversed(versions.items())))
    assert {name: store.read(name) for name in first} == first
    remove_dataset(store)


def test_an_unfinished_dataset_has_no_manifest(tmp_path: Path) -> None:
    assert read_manifest(Store(str(tmp_path))) is None


def opened_unfinished(folder: Path) -> str:
    (folder / "shards").mkdir()
    (folder / "shards/00000.tar").touch()
    return str(folder)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (lambda folder: str(folder / "nowhere"), "no such dataset"),
        (str, "not a dataset directory"),
        (opened_unfinished, "isn't finished"),
        (lambda folder: f"memory://{folder.name}/nowhere", "no such dataset"),
        (lambda folder: "nowhere://data", "nowhere"),
    ],
)
def test_what_cannot_be_opened_is_one_clear_line(tmp_path: Path, url: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        open_dataset(url(tmp_path))
    assert caught.value.exit_code == 2
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.fix


USERS = {
    "notes.txt": b"mine",
    "photo.jpg": b"mine",
    "shards/notes.txt": b"mine",
    "shards/photo.jpg": b"mine",
    "shards/notes.json": b"{}",
    "shards/other.tar": b"mine",
    "pairs/best.parquet": b"mine",
    "skipped/again.jsonl": b"mine",
    "skipped/00000.json": b"mine",
    "export/00000.tar": b"mine",
}


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    found = finished(str(tmp_path / "data") if request.param == "local" else f"memory://{tmp_path.name}")
    yield found
    remove_dataset(found)


def test_only_the_datasets_own_files_are_removed(store: Store) -> None:
    for name, data in USERS.items():
        store.write(name, data)
    remove_dataset(store)
    left = [name for folder in ("shards", "pairs", "skipped") for name in store.names(folder)]
    assert sorted(left) == sorted(name for name in USERS if name.split("/")[0] in ("shards", "pairs", "skipped"))
    assert {name: store.read(name) for name in USERS} == USERS
    assert not store.exists("manifest.json")
    assert not store.exists("shards/sizes.json")
    remove_dataset(store)  # there is nothing more to remove


def test_the_marks_of_completion_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the removal is broken off, nothing says of a file that is gone that it is there."""
    finished(str(tmp_path / "whole"))
    count = len(tree(tmp_path / "whole"))
    remove = Store.remove
    for last in range(count):
        folder = tmp_path / str(last)
        store, done = finished(str(folder)), 0

        def breaks(self: Store, name: str, last: int = last) -> None:
            nonlocal done
            if done == last:
                raise KeyboardInterrupt
            done += self.exists(name)
            remove(self, name)

        monkeypatch.setattr(Store, "remove", breaks)
        with pytest.raises(KeyboardInterrupt):
            remove_dataset(store)
        monkeypatch.setattr(Store, "remove", remove)
        assert len(tree(folder)) == count - last
        if last:
            with pytest.raises(ConfigError, match="finished"):
                open_dataset(str(folder))
        for shard in ("00000", "00001", "00002"):
            if store.exists(sidecar_path(shard)):
                assert all(store.exists(name) for name in shard_files(shard, "match"))
        remove_dataset(store)
        assert tree(folder) == {}


@given(st.integers(0, 10**7))
def test_a_shards_files_are_known_by_their_names(number: int) -> None:
    shard = f"{number:05d}"
    for name in (sidecar_path(shard), *shard_files(shard, "match")):
        assert shard_of(name) == shard
        for other in (f"x/{name}", f"{name}.bak", f".{name}", f"{name}{TEMPORARY}", name.replace("/", "/x")):
            assert shard_of(other) is None


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_itself_valid(name: str) -> None:
    assert schema(name)["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema(name)["title"]
    jsonschema.Draft7Validator.check_schema(schema(name))
    assert misfit(name, 1)


def leaves(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the properties that have no properties or items of their own, with their paths."""
    for name, inner in node.get("properties", {}).items():
        below = [*leaves(inner, f"{path}.{name}")]
        yield from below or [(f"{path}.{name}", inner)]
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from leaves(node[key], f"{path}[]")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_says_what_it_is(name: str) -> None:
    found = dict(leaves(schema(name), name))
    assert found
    explained = {"description", "const", "enum", "pattern"}
    assert [path for path, leaf in found.items() if not explained & leaf.keys()] == []


def test_the_written_files_fit_their_schemas_for_another_reader(tmp_path: Path) -> None:
    finished(str(tmp_path))
    for file, name in (("manifest.json", "manifest"), ("shards/00001.json", "sidecar")):
        jsonschema.Draft7Validator(schema(name)).validate(json.loads((tmp_path / file).read_bytes()))
    skipped = json.loads((tmp_path / "skipped/00001.jsonl").read_bytes())
    jsonschema.Draft7Validator(schema("skipped")).validate(skipped)
    sample = json.loads(matched_sample_with_jpeg(0)[0].to_json())
    jsonschema.Draft7Validator(schema("sample")).validate(sample)


def test_an_empty_manifest_is_a_finished_dataset() -> None:
    store = Store("memory://empty-manifest")
    manifest = write_manifest(store, [], CONFIG, {})
    assert manifest == Manifest({}, CONFIG, {"samples": 0, "skipped": 0, "bytes": 0}, {}, (), {})
    assert read_manifest(store) == manifest
    remove_dataset(store)
