import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from glitbuild.errors import ConfigError, DatasetError
from glitbuild.records import Sample, Skip, SkipReason, Source
from glitbuild.shards.manifest import open_dataset, write_manifest
from glitbuild.shards.sidecar import scan
from glitbuild.shards.store import Store
from glitbuild.shards.validate import validate
from glitbuild.shards.writer import Outcome, read_pairs, write_pairs, write_shard
from tests.factories import matched_sample_with_jpeg, sample_with_jpeg
from tests.images.exif_bytes import exif_segment, with_segments
from tests.run import tree

MATCH = {"stage": "match", "detector": "none", "score": 1.0}
INGEST = {"stage": "ingest"}
Change = Callable[[Path], None]


def build(folder: Path, shards: list[list[Outcome]] | None = None, config: dict[str, Any] = MATCH) -> Path:
    """Write a finished dataset."""
    store, sidecars, row = Store(str(folder)), [], 0
    for number, outcomes in enumerate(whole() if shards is None else shards):
        rows = [row, row := row + len(outcomes)]
        origin = {"rows": rows} if config == INGEST else {"shard": f"{number:05d}"}
        described = partial(dict, origin | {"sha256": "0" * 64})
        sidecars.append(write_shard(store, f"{number:05d}", outcomes, config, described))
    write_manifest(store, sidecars, config, {"glitbuild": "0"})
    return folder


def whole(make: Callable[[int], tuple[Sample, bytes]] = matched_sample_with_jpeg) -> list[list[Outcome]]:
    def samples(*rows: int) -> list[Outcome]:
        return [make(row) for row in rows]

    return [samples(0, 1, 2), [*samples(3, 4), skip(5), skip(6)], samples(7, 8, 9)]


def skip(number: int) -> Skip:
    return Skip(f"{number:09d}", Source("test", str(number)), SkipReason.IMAGE_CORRUPT, "cut off")


def problems(folder: Path) -> list[tuple[str, str]]:
    return [(problem.file, problem.what) for problem in validate(*open_dataset(str(folder)))]


def only_problem(folder: Path) -> tuple[str, str]:
    found = problems(folder)
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("validate") / "data")


@pytest.fixture
def dataset(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "data"))


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """Change a JSON file, in the style in which it is written."""
    text = path.read_text()
    content = json.loads(text)
    yield content
    style: dict[str, Any] = {"indent": 1} if "\n" in text else {"separators": (",", ":")}
    path.write_text(json.dumps(content, ensure_ascii=False, **style) + ("\n" if "\n" in text else ""))


def relist(folder: Path, name: str) -> None:
    """Enter the size and hash that a file has now into its sidecar and the manifest."""
    shard, data = Path(name).stem, (folder / name).read_bytes()
    file = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    with edited(folder / f"shards/{shard}.json") as sidecar:
        sidecar["files"][name] = file
    if name.endswith(".tar"):
        with edited(folder / "manifest.json") as manifest:
            entry = manifest["shards"][int(shard)]
            manifest["totals"]["bytes"] += file["bytes"] - entry["bytes"]
            entry |= file


def rebuilt(folder: Path, change: Callable[[Sample, bytes], tuple[Sample, bytes]]) -> None:
    """Write the dataset again with the first sample of the second shard changed, and all hashes right."""
    shards = whole()
    sample, jpeg = shards[1][0]  # type: ignore[misc]
    shards[1][0] = change(sample, jpeg)
    build(folder, shards)


@contextmanager
def members_of(folder: Path) -> Iterator[list[tuple[str, bytes]]]:
    """Change the members of the second shard's tar, and nothing else, hashes excepted."""
    path = folder / "shards/00001.tar"
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    yield members
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    relist(folder, "shards/00001.tar")
    with suppress(tarfile.TarError), path.open("rb") as file, edited(path.with_suffix(".json")) as sidecar:
        sidecar["members"] = [place.to_list() for place in scan(file)]


def test_a_finished_dataset_has_no_problem(dataset: Path) -> None:
    assert problems(dataset) == []
    done: list[int] = []
    assert list(validate(*open_dataset(str(dataset)), done.append)) == []
    assert done == [3, 2, 3]


def test_a_dataset_before_matching_has_no_problem(tmp_path: Path) -> None:
    assert problems(build(tmp_path, whole(sample_with_jpeg), INGEST)) == []


def test_a_dataset_without_samples_has_no_problem(tmp_path: Path) -> None:
    assert problems(build(tmp_path, [[skip(0)]], INGEST)) == []


def test_a_dataset_in_another_store_has_no_problem(dataset: Path) -> None:
    store = Store(f"memory://{dataset.parent.name}")
    for name, data in tree(dataset).items():
        store.write(name, data)
    assert list(validate(*open_dataset(store.url))) == []


# Files: what is there, and whether it is what was written.


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGED_FILES: dict[str, tuple[str, Change]] = {
    "a byte of a tar": ("shards/00001.tar", lambda d: flip(d / "shards/00001.tar")),
    "the last byte of a tar": ("shards/00001.tar", lambda d: flip(d / "shards/00001.tar", 0.9999)),
    "a tar cut off": ("shards/00001.tar", lambda d: cut(d / "shards/00001.tar")),
    "an empty tar": ("shards/00001.tar", lambda d: (d / "shards/00001.tar").write_bytes(b"")),  # type: ignore[dict-item]
    "no tar": ("shards/00001.tar", lambda d: (d / "shards/00001.tar").unlink()),
    "the next shard's tar": (
        "shards/00001.tar",
        lambda d: shutil.copy(d / "shards/00002.tar", d / "shards/00001.tar"),
    ),
    "no sidecar": ("shards/00001.json", lambda d: (d / "shards/00001.json").unlink()),
    "a sidecar cut off": ("shards/00001.json", lambda d: cut(d / "shards/00001.json")),
    "no table": ("pairs/00001.parquet", lambda d: (d / "pairs/00001.parquet").unlink()),
    "a byte of a table": ("pairs/00001.parquet", lambda d: flip(d / "pairs/00001.parquet")),
    "no list of skipped rows": ("skipped/00001.jsonl", lambda d: (d / "skipped/00001.jsonl").unlink()),
    "another list of skipped rows": (
        "skipped/00001.jsonl",
        lambda d: shutil.copy(d / "skipped/00000.jsonl", d / "skipped/00001.jsonl"),
    ),
    "no sizes": ("shards/sizes.json", lambda d: (d / "shards/sizes.json").unlink()),
    "sizes cut off": ("shards/sizes.json", lambda d: cut(d / "shards/sizes.json")),
    "a stray tar": ("shards/00003.tar", lambda d: (d / "shards/00003.tar").touch()),
    "a stray table": ("pairs/old.parquet", lambda d: (d / "pairs/old.parquet").touch()),
    "a stray list": ("skipped/notes.txt", lambda d: (d / "skipped/notes.txt").touch()),
}


@pytest.mark.parametrize("damage", DAMAGED_FILES)
def test_a_damaged_file_is_named_and_no_other(dataset: Path, damage: str) -> None:
    file, change = DAMAGED_FILES[damage]
    change(dataset)
    found = problems(dataset)
    assert {name for name, _ in found} == {file}, found
    if "byte of a tar" not in damage and "next shard's" not in damage:  # there the samples are named, too
        assert len(found) == 1, found


def test_a_first_shard_that_was_replaced_is_not_held_against_the_others(dataset: Path) -> None:
    shutil.copy(dataset / "shards/00002.tar", dataset / "shards/00000.tar")
    assert {name for name, _ in problems(dataset)} == {"shards/00000.tar"}


# Statements: sidecars, manifest, sizes.

STATEMENTS: list[tuple[str, Callable[[Any], object], str]] = [
    ("shards/00001.json", lambda c: c["config"].update(score=0.5), "its options differ"),
    ("shards/00001.json", lambda c: c.update(samples=3), "says 3 samples, but there are 2"),
    ("shards/00001.json", lambda c: c.update(shard="00002"), "not the sidecar of"),
    ("shards/00001.json", lambda c: c["files"].pop("pairs/00001.parquet"), "not the sidecar of"),
    (
        "shards/00001.json",
        lambda c: c["files"].update({"../x": c["files"]["shards/00001.tar"]}),
        "not the sidecar of",
    ),
    ("shards/00001.json", lambda c: c["files"]["shards/00001.tar"].update(bytes=1), "size and SHA-256"),
    ("shards/00001.json", lambda c: c["files"]["shards/00001.tar"].update(sha256="0" * 64), "size and SHA-256"),
    ("shards/00001.json", lambda c: c["files"]["pairs/00001.parquet"].update(bytes=1), "has 1 bytes"),
    ("shards/00001.json", lambda c: c["files"]["skipped/00001.jsonl"].update(bytes=1), "has 1 bytes"),
    ("shards/00001.json", lambda c: c.update(skipped={"image_corrupt": 1}), "says 1 rows skipped"),
    ("shards/00001.json", lambda c: c.update(skipped={"image_empty": 2}), "image_empty"),
    ("shards/00001.json", lambda c: c["totals"].update(pairs=5), "'pairs': 5"),
    ("shards/00001.json", lambda c: c.update(totals={}), "'pairs': 4"),
    ("shards/00001.json", lambda c: c["input"].update(shard="00000"), "made from shard 00000"),
    ("shards/00001.json", lambda c: c.pop("config"), "config"),
    ("shards/00001.json", lambda c: c.pop("members"), "members"),
    ("shards/00001.json", lambda c: c["members"].pop(), "positions of the samples"),
    ("shards/00001.json", lambda c: c["members"][1].__setitem__(0, "000000003"), "positions of the samples"),
    ("shards/00001.json", lambda c: c["members"][1].__setitem__(1, 513), "positions of the samples"),
    ("shards/00001.json", lambda c: c["members"][1].__setitem__(6, 1), "positions of the samples"),
    ("shards/00001.json", lambda c: c.update(schema="glit/1"), "schema is glit/1"),
    ("shards/sizes.json", lambda c: c.update({"00001.tar": 3}), "numbers of samples"),
    ("shards/sizes.json", lambda c: c.pop("00001.tar"), "numbers of samples"),
    ("manifest.json", lambda c: c["totals"].update(samples=9), "totals"),
    ("manifest.json", lambda c: c["totals"].update(pairs=1), "totals"),
    ("manifest.json", lambda c: c["totals"].pop("regions"), "totals"),
    ("manifest.json", lambda c: c["skipped"].update(image_corrupt=1), "skipped"),
    ("manifest.json", lambda c: c.update(skipped={}), "skipped"),
    ("manifest.json", lambda c: c["shards"][1].update(samples=3), "shard 00001: it says 3 samples"),
    ("manifest.json", lambda c: c["shards"][1].update(skipped=3), "shard 00001: it says 3 rows skipped"),
    ("manifest.json", lambda c: c["shards"][1].update(sha256="0" * 64), "shard 00001"),
    ("manifest.json", lambda c: c["shards"][1].update(bytes=1), "shard 00001"),
]


@pytest.mark.parametrize(("file", "change", "says"), STATEMENTS)
def test_a_wrong_statement_is_the_one_problem(
    dataset: Path, file: str, change: Callable[[Any], object], says: str
) -> None:
    with edited(dataset / file) as content:
        change(content)
    name, what = only_problem(dataset)
    assert name == file
    assert says in what


def test_the_rows_of_the_shards_follow_one_another(tmp_path: Path) -> None:
    folder = build(tmp_path, whole(sample_with_jpeg), INGEST)
    for rows in ([4, 8], [2, 7], [3, 9], [3], 3, None):
        with edited(folder / "shards/00001.json") as sidecar:
            sidecar["input"]["rows"] = rows
        assert only_problem(folder) == (
            "shards/00001.json",
            f"says it is made from the rows {rows}, but it holds 4 rows starting at 3",
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("totals"),
        lambda c: c["totals"].pop("samples"),
        lambda c: c["totals"].pop("bytes"),
        lambda c: c["totals"].update(samples=-1),
        lambda c: c.update(schema="glit/3"),
        lambda c: c.update(extra=1),
        lambda c: c["shards"][0].update(sha256="x"),
        lambda c: c["shards"][0].pop("samples"),
        lambda c: c["config"].update(stage="train"),
    ],
)
def test_a_manifest_that_does_not_fit_its_schema_is_damaged(dataset: Path, change: Callable[[Any], object]) -> None:
    with edited(dataset / "manifest.json") as content:
        change(content)
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        open_dataset(str(dataset))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "[" * 100_000, '"\udc80"'])
def test_a_manifest_that_is_not_json_is_damaged(dataset: Path, text: str) -> None:
    (dataset / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        open_dataset(str(dataset))


# Contents: all files are as their hashes say, but what was written was wrong.


def test_a_table_that_differs_from_the_records_is_named(dataset: Path) -> None:
    path = dataset / "pairs/00001.parquet"
    rows = read_pairs(io.BytesIO(path.read_bytes()))
    rows[0]["text"] = "A cat sits."
    with path.open("wb") as file:
        write_pairs(file, rows, {"stage": "match"})
    relist(dataset, "pairs/00001.parquet")
    assert only_problem(dataset) == ("pairs/00001.parquet", "its rows differ from the pairs in the records")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 9])
def test_a_table_that_is_no_parquet_is_named(dataset: Path, data: bytes) -> None:
    (dataset / "pairs/00001.parquet").write_bytes(data)
    relist(dataset, "pairs/00001.parquet")
    file, what = only_problem(dataset)
    assert file == "pairs/00001.parquet"
    assert "can't be read" in what


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{}\n" + skip(6).to_json() + b"\n", "line 1: "),
        (skip(5).to_json() + b"\nnone\n", "line 2: not JSON"),
        (skip(5).to_json() + b"\n", "1 rows skipped, but 2"),
        (skip(5).to_json().replace(b"corrupt", b"fine") + b"\n", "reason"),
    ],
)
def test_a_list_of_skipped_rows_that_is_wrong_is_named(dataset: Path, data: bytes, says: str) -> None:
    (dataset / "skipped/00001.jsonl").write_bytes(data)
    relist(dataset, "skipped/00001.jsonl")
    file, what = only_problem(dataset)
    assert file == "skipped/00001.jsonl"
    assert says in what


def test_sidecar_and_manifest_may_agree_on_a_wrong_number_of_samples(dataset: Path) -> None:
    with edited(dataset / "shards/00001.json") as sidecar:
        sidecar["samples"] += 1
    with edited(dataset / "manifest.json") as manifest:
        manifest["shards"][1]["samples"] += 1
        manifest["totals"]["samples"] += 1
    with edited(dataset / "shards/sizes.json") as sizes:
        sizes["00001.tar"] += 1
    assert only_problem(dataset) == ("shards/00001.tar", "2 samples, but 3 in the manifest")


def test_sidecar_and_manifest_may_agree_on_a_wrong_size(dataset: Path) -> None:
    with edited(dataset / "shards/00001.json") as sidecar:
        sidecar["files"]["shards/00001.tar"]["bytes"] += 1
    with edited(dataset / "manifest.json") as manifest:
        manifest["shards"][1]["bytes"] += 1
        manifest["totals"]["bytes"] += 1
    file, what = only_problem(dataset)
    assert file == "shards/00001.tar"
    assert "in the manifest" in what


def set_matched(**changes: Any) -> Callable[[Sample, bytes], tuple[Sample, bytes]]:
    def change(sample: Sample, jpeg: bytes) -> tuple[Sample, bytes]:
        assert sample.matched is not None
        return replace(sample, matched=replace(sample.matched, **changes)), jpeg

    return change


def set_image(**changes: Any) -> Callable[[Sample, bytes], tuple[Sample, bytes]]:
    return lambda sample, jpeg: (replace(sample, image=replace(sample.image, **changes)), jpeg)


def other_image(data: bytes) -> Callable[[Sample, bytes], tuple[Sample, bytes]]:
    digest = hashlib.sha256(data).hexdigest()
    return lambda sample, jpeg: (replace(sample, image=replace(sample.image, sha256=digest)), data)


def png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 24)).save(data, "PNG")
    return data.getvalue()


MATCHED_JPEG = matched_sample_with_jpeg(3)[1]
MATCHED = matched_sample_with_jpeg(3)[0].matched
assert MATCHED is not None
FAR = replace(MATCHED.regions[5], box=(1.0, 2.0, 33.0, 20.0))
EMPTY = replace(MATCHED.regions[5], box=(9.0, 2.0, 9.0, 20.0))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_image(sha256="f" * 64), "SHA-256 is not the one in the record"),
        (set_image(width=33), "the image is (32, 24), but the record says (33, 24)"),
        (other_image(png()), "can't be opened as a JPEG"),
        (other_image(b""), "can't be opened as a JPEG"),
        (
            other_image(with_segments(MATCHED_JPEG, exif_segment(6))),
            "the EXIF orientation 6: viewers would turn it",
        ),
        (set_matched(sentences=((0, 11), (12, 41))), "outside the caption"),
        (set_matched(sentences=((0, 40), (40, 40))), "empty"),
        (set_matched(regions=(*MATCHED.regions[:5], FAR)), "outside the image"),
        (set_matched(regions=(*MATCHED.regions[:5], EMPTY)), "is empty"),
        (set_matched(best_pair=0), "best_pair 0 is not the first"),
        (set_matched(best_pair=2), "best_pair refers to pair 2 of 2"),
        (lambda sample, jpeg: (replace(sample, matched=None), jpeg), "not matched"),
        (lambda sample, jpeg: (replace(sample, key="000000000"), jpeg), "in another shard"),
        (lambda sample, jpeg: (replace(sample, key="000000002"), jpeg), "in another shard"),
        (lambda sample, jpeg: (replace(sample, key="000000001"), jpeg), "in another shard"),
    ],
)
def test_a_wrong_sample_is_the_one_problem(
    dataset: Path, change: Callable[[Sample, bytes], tuple[Sample, bytes]], says: str
) -> None:
    rebuilt(dataset, change)
    file, what = only_problem(dataset)
    assert file == "shards/00001.tar"
    assert says in what


def test_keys_rise_within_a_shard(dataset: Path) -> None:
    shards = whole()
    shards[0][1], shards[0][2] = shards[0][2], shards[0][1]
    build(dataset, shards)
    file, what = only_problem(dataset)
    assert file == "shards/00000.tar"
    assert "key 000000001 after 000000002" in what


def test_a_matched_sample_is_out_of_place_before_matching(tmp_path: Path) -> None:
    shards = whole(sample_with_jpeg)
    sample, data = shards[1][0]  # type: ignore[misc]
    build(tmp_path, shards, INGEST)
    assert problems(tmp_path) == []
    shards[1][0] = replace(sample, matched=MATCHED), data
    build(tmp_path, shards, INGEST)
    file, what = only_problem(tmp_path)
    assert file == "shards/00001.tar"
    assert "the dataset is not" in what


def test_pictures_beyond_pillows_own_limit_are_fine(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 24 // 3)
    assert problems(dataset) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda record: b"{", "not JSON"),
        (lambda record: b"\xff", "not JSON"),
        (lambda record: b"[]", "sample"),
        (lambda record: record.pop("caption"), "caption"),
        (lambda record: record.pop("regions"), "regions"),
        (lambda record: record.update(extra=1), "extra"),
        (lambda record: record["image"].update(width=0), "width"),
        (lambda record: record["pairs"][0].update(similarity=2), "similarity"),
        # What JSON Schema lets pass: 1.0 is an integer, and NaN is neither too small nor too large.
        (lambda record: record["pairs"][0].update(similarity=float("nan")), "NaN"),
        (lambda record: record["regions"][5].update(score=float("inf")), "Infinity"),
        (lambda record: record["sentences"][0].__setitem__(1, 11.0), "integer"),
        (lambda record: record["pairs"][0].update(region=7), "refers to region 7 of 6"),
        (lambda record: record["pairs"][0].update(sentence=2), "not one per sentence"),
    ],
)
def test_a_record_that_cannot_be_used_is_the_one_problem(
    dataset: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    with members_of(dataset) as members:
        record = json.loads(members[1][1])
        data = change(record)
        members[1] = members[1][0], data if isinstance(data, bytes) else json.dumps(record).encode()
    file, what = only_problem(dataset)
    assert file == "shards/00001.tar"
    assert what.startswith("sample 1 (000000003): ")
    assert says in what


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("000000004.jpg", "000000004.json", "000000004.txt"), "its record has the key 000000003"),
        (("000000003.jpg", "000000004.json", "000000003.txt"), "not a KEY.jpg followed by its KEY.json"),
        (("000000003.png", "000000003.json", "000000003.txt"), "not a KEY.jpg followed by its KEY.json"),
        (("000000003.json", "000000003.jpg", "000000003.txt"), "not a KEY.jpg followed by its KEY.json"),
        (("000000003.jpg", "000000003.txt", "000000003.json"), "not a KEY.jpg followed by its KEY.json"),
    ],
)
def test_members_of_other_names_are_the_one_problem(dataset: Path, names: tuple[str, ...], says: str) -> None:
    with members_of(dataset) as members:
        members[:3] = [(name, data) for name, (_, data) in zip(names, members[:3], strict=True)]
    file, what = only_problem(dataset)
    assert file == "shards/00001.tar"
    assert says in what


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([], "sample 1 (000000003): it has no KEY.txt"),
        (
            [("000000003.txt", b"A cat.")],
            "sample 1 (000000003): its KEY.txt differs from the caption in its record",
        ),
        ([("000000003.txt", b"")], "sample 1 (000000003): its KEY.txt differs from the caption in its record"),
    ],
)
def test_a_caption_that_is_not_the_records_is_the_one_problem(
    dataset: Path, texts: list[tuple[str, bytes]], says: str
) -> None:
    with members_of(dataset) as members:
        members[2:3] = texts
    file, what = only_problem(dataset)
    assert file == "shards/00001.tar"
    assert what.startswith(says)


# Any byte.


def unseen(name: str, before: bytes, after: bytes) -> bool:
    """Return whether a change is in what nothing else in the dataset repeats, or none to a reader of JSON."""
    try:
        old, new = json.loads(before), json.loads(after)
        if name == "manifest.json":
            return bool(old | {"versions": 0} == new | {"versions": 0})
        inputs = old.pop("input"), new.pop("input")
        return bool(old == new and inputs[0] != inputs[1] and inputs[0]["shard"] == inputs[1].get("shard"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_flipped_byte_is_noticed(original: Path, data: st.DataObject) -> None:
    files = sorted(name for name in tree(original))
    name = data.draw(st.sampled_from(files))
    before = (original / name).read_bytes()
    assume(before)
    at = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != before[at]))
    after = before[:at] + bytes([byte]) + before[at + 1 :]
    assume(not (name.endswith("json") and unseen(name, before, after)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(original, Path(folder) / "data"))
        (copy / name).write_bytes(after)
        try:
            found = problems(copy)
        except (ConfigError, DatasetError):
            return
    assert found
