"""One sample is one range read, at the place that the sidecar names."""

import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.client import AioBaseClient

from glitbuild.errors import DatasetError
from glitbuild.records import Sample
from glitbuild.shards.manifest import remove_dataset
from glitbuild.shards.reader import read_index, read_sample
from glitbuild.shards.sidecar import Members, Sidecar
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from tests.factories import jpeg, matched_sample_with_jpeg, sample_with_jpeg

CAPTIONS = ("A naïve café. It is “open”.", "x" * 511, "x" * 512, "雨" * 400)
TAR = "shards/00000.tar"


def content(make: Any = matched_sample_with_jpeg) -> list[tuple[Sample, bytes]]:
    pairs = [make(number) for number in range(len(CAPTIONS))]
    return [(replace(sample, caption=text), data) for (sample, data), text in zip(pairs, CAPTIONS, strict=True)]


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = {"local": str(tmp_path / "data"), "memory": f"memory://{tmp_path.name}"}.get(request.param)
    found = Store(url or f"{request.getfixturevalue('s3')}/data")
    yield found
    remove_dataset(found)


@pytest.mark.parametrize("stage", ["ingest", "match", "bare"])
def test_every_sample_is_found_at_its_place(store: Store, stage: str) -> None:
    config: dict[str, Any] = {"stage": "match" if stage == "match" else "ingest"}
    written = content(matched_sample_with_jpeg if stage == "match" else sample_with_jpeg)
    if stage == "bare":
        config["captions"] = False
        written = [(replace(sample, caption=""), data) for sample, data in written]
    write_shard(store, "00000", list(written), config, dict)
    index = read_index(store, "00000")
    assert [read_sample(store, "00000", place) for place in index] == written
    with store.open(TAR) as file, tarfile.open(fileobj=file) as tar:
        found = {member.name: (member.offset_data, member.size) for member in tar}
    named: dict[str, tuple[int, int]] = {}
    for place in index:
        key, *numbers = place.to_list()
        for extension, offset, size in zip(("jpg", "json", "txt"), numbers[::2], numbers[1::2], strict=False):
            named[f"{key}.{extension}"] = (int(offset), int(size))
    assert named == found
    assert len(found) == len(written) * (2 if stage == "bare" else 3)


@pytest.mark.slow
def test_one_sample_is_one_request(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, written = Store(f"{s3}/data"), content()
    write_shard(store, "00000", list(written), {"stage": "match"}, dict)
    requests: list[tuple[str, str]] = []

    def request(client: AioBaseClient, method: str, arguments: dict[str, Any]) -> Any:
        requests.append((method, arguments.get("Range", "")))
        return make_request(client, method, arguments)

    make_request = AioBaseClient._make_api_call
    index = read_index(store, "00000")
    monkeypatch.setattr(AioBaseClient, "_make_api_call", request)
    assert read_sample(store, "00000", index[2]) == written[2]
    start, end = index[2].span
    assert requests == [("GetObject", f"bytes={start}-{end - 1}")]


def moved(place: Members, **changes: int) -> Members:
    return place._replace(**{name: getattr(place, name) + change for name, change in changes.items()})


@pytest.mark.parametrize("field", ["jpg_offset", "jpg_size", "json_offset", "json_size", "txt_offset", "txt_size"])
@pytest.mark.parametrize("change", [-1, 1, 10**6])
def test_a_wrong_place_is_damage(store: Store, field: str, change: int) -> None:
    write_shard(store, "00000", list(content()), {"stage": "match"}, dict)
    place = moved(read_index(store, "00000")[1], **{field: change})
    with pytest.raises(DatasetError, match=r"00000\.tar"):
        read_sample(store, "00000", place)


def test_another_sample_or_picture_is_damage(store: Store) -> None:
    write_shard(store, "00000", list(content()), {"stage": "match"}, dict)
    places = read_index(store, "00000")
    with pytest.raises(DatasetError, match="where that of 000000009 should be"):
        read_sample(store, "00000", places[0]._replace(key="000000009"))
    data = bytearray(store.read(TAR))
    data[places[0].jpg_offset + 40] ^= 1
    data[places[1].txt_offset] ^= 1
    store.write(TAR, bytes(data))
    with pytest.raises(DatasetError, match="SHA-256"):
        read_sample(store, "00000", places[0])
    with pytest.raises(DatasetError, match=r"000000001\.txt differs from the caption"):
        read_sample(store, "00000", places[1])
    store.write(TAR, bytes(data[: places[3].json_offset]))
    assert read_sample(store, "00000", places[2]) == content()[2]
    with pytest.raises(DatasetError, match="000000003"):
        read_sample(store, "00000", places[3])
    store.remove(TAR)
    with pytest.raises(DatasetError, match=r"00000\.tar"):
        read_sample(store, "00000", places[0])
    store.remove("shards/00000.json")
    with pytest.raises(DatasetError, match=r"00000\.json: missing"):
        read_index(store, "00000")


def test_a_sidecar_keeps_places_as_it_was_written(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    sample, data = sample_with_jpeg(10**9)
    sidecar = write_shard(store, "00000", [(sample, data), sample_with_jpeg(10**9 + 1)], {"stage": "ingest"}, dict)
    assert sidecar.members and sidecar.members[0].jpg_size == len(data) != len(jpeg(64, 48))
    assert Sidecar.read(store, "00000") == sidecar
    assert b'"members":[["1000000000",512,' in store.read("shards/00000.json")
