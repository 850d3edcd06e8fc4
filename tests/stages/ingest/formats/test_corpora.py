import base64
import json
from pathlib import Path

import pytest

from glitbuild.errors import SourceError
from glitbuild.records import SkipReason, Source
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.formats.corpora import CORPORA
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.ingest.registry import SourceOptions, open_sources
from glitbuild.stages.ingest.source import Row
from tests.factories import jpeg
from tests.run import tree
from tests.stages.ingest.formats.layouts import EXAMPLE, PLACES, flickr30k, lay_out


def rows(path: Path, format: str, **options: str) -> list[Row]:
    (source,) = open_sources([str(path)], SourceOptions(format=format, **options))
    return list(source.rows())


FIRST = {
    "docci": (Source("docci", "train_00000", "", "CC BY 4.0", "train", "DOCCI"), f"{EXAMPLE} train_00000."),
    "dci": (
        Source("dci", "9-data.json", "", CORPORA["dci"].license, "train", "SA-1B"),
        f"A cloth on table 9.\n{EXAMPLE}",
    ),
    "sa1b": (Source("sa1b", "sa_000000/sa_9.jpg", "", CORPORA["sa1b"].license, "", "SA-1B"), None),
    "sharegpt4v": (
        Source("sharegpt4v", "coco/train2017/000000000009.jpg", "", "CC BY-NC 4.0", "", "coco/train2017"),
        f"{EXAMPLE} 0.",
    ),
    "urban1k": (Source("urban1k", "1", "", "CC BY-NC 4.0", "test"), f"{EXAMPLE} Street 1."),
    "iiw": (Source("iiw", "aar_test_04600", "", "CC BY 4.0", "", "DOCCI AAR"), f"{EXAMPLE} aar_test_04600."),
    "coco": (
        Source("coco", "COCO_val2014_000000391895.jpg#0", "", CORPORA["coco"].license, "test", "coco/val2014"),
        "Cloth 0, said 0.",
    ),
    "coco2017": (
        Source("coco2017", "000000000042.jpg#0", "", CORPORA["coco"].license, "val2017", "coco/val2017"),
        "Cloth 42, said 0.",
    ),
    "flickr30k": (
        Source("flickr30k", "1000092795.jpg#0", "", CORPORA["flickr30k"].license, "train", "Flickr"),
        "Cloth 0, said 0.",
    ),
    "goal": (Source("goal", "photos/sa_1543972.jpg", "", "", "global"), EXAMPLE),
}
"""The first row of each: where it is from, and its caption."""

COUNTS = {"docci": 4, "coco": 15, "coco2017": 10, "flickr30k": 10, "iiw": 2, "goal": 2}


@pytest.mark.parametrize("name", CORPORA)
def test_the_official_layout_becomes_rows(name: str, tmp_path: Path) -> None:
    found = rows(lay_out(name, tmp_path), name)
    assert (found[0].source, found[0].caption) == FIRST[name]
    assert len(found) == COUNTS.get(name, 3)
    assert len({row.source.id for row in found}) == len(found)
    for row in found:
        assert row.rejected is None
        assert row.read_image()[:2] == b"\xff\xd8"


def test_every_corpus_has_a_layout_and_the_order_is_that_of_numbers(tmp_path: Path) -> None:
    assert set(PLACES) == set(CORPORA)
    assert [row.source.id for row in rows(lay_out("urban1k", tmp_path), "urban1k")] == ["1", "2", "10"]
    names = [row.source.id for row in rows(lay_out("sa1b", tmp_path), "sa1b")]
    assert names == ["sa_000000/sa_9.jpg", "sa_000000/sa_10.jpg", "sa_000001/sa_11200.jpg"]
    assert [row.source.id for row in rows(tmp_path / "sa1b/sa_000000", "sa1b")] == ["sa_9.jpg", "sa_10.jpg"]
    names = [row.source.id for row in rows(lay_out("dci", tmp_path), "dci")]
    assert names == ["9-data.json", "10-data.json", "11-data.json"]


@pytest.mark.parametrize(
    ("name", "split", "ids"),
    [
        ("docci", "test", ["test_00000", "test_00001"]),
        ("docci", "train,qual_dev", ["train_00000", "qual_dev_00000"]),
        ("dci", "valid", ["11-data.json"]),
        ("urban1k", "test", ["1", "2", "10"]),
        ("coco", "train", [f"COCO_train2014_000000000009.jpg#{number}" for number in range(5)]),
        ("flickr30k", "test", [f"10002456.jpg#{number}" for number in range(5)]),
        ("goal", "local", ["sa_1543972.jpg_results/sa_1543972_max_37.png"]),
    ],
)
def test_a_split_is_chosen_and_carried(name: str, split: str, ids: list[str], tmp_path: Path) -> None:
    found = rows(lay_out(name, tmp_path), name, split=split)
    assert [row.source.id for row in found] == ids
    assert {row.source.split for row in found} <= set(split.split(","))


@pytest.mark.parametrize("name", ["coco", "coco2017", "flickr30k"])
def test_five_captions_are_five_rows_of_one_picture(name: str, tmp_path: Path) -> None:
    found = rows(lay_out(name, tmp_path), name)
    for number in range(0, len(found), 5):
        five = found[number : number + 5]
        assert len({row.picture for row in five}) == len({row.read_image() for row in five}) == 1
        assert len({row.caption for row in five}) == 5


def test_the_two_lists_of_flickr30k_say_the_same(tmp_path: Path) -> None:
    found = [rows(flickr30k(tmp_path / str(hub), hub), "flickr30k") for hub in (False, True)]
    assert [(row.source, row.caption) for row in found[0]] == [(row.source, row.caption) for row in found[1]]


def test_without_captions_a_picture_is_one_sample(tmp_path: Path) -> None:
    path = lay_out("coco", tmp_path)
    (source,) = open_sources([str(path)], SourceOptions(format="coco", captions=False))
    assert {row.caption for row in source.rows()} == {None}
    options = IngestOptions((str(path),), str(tmp_path / "out"), format="coco", captions=False, shard_size=2)
    manifest = run_ingest(options).manifest
    assert (manifest.totals["samples"], manifest.skipped) == (3, {"duplicate_image": 12})
    before = tree(tmp_path / "out")
    (tmp_path / "out/shards/00001.json").unlink()
    run_ingest(options)
    assert tree(tmp_path / "out") == before


def test_another_caption_is_chosen(tmp_path: Path) -> None:
    assert rows(lay_out("iiw", tmp_path), "iiw", caption_column="IIW-P5B")[0].caption == "By a model."
    assert rows(lay_out("dci", tmp_path), "dci", caption_column="extra_caption")[0].caption == EXAMPLE


def test_a_list_of_imageinwords_that_has_only_a_models_captions(tmp_path: Path) -> None:
    folder = lay_out("iiw", tmp_path).rename(tmp_path / "LocNar_Eval")
    (folder / "data.jsonl").write_text(json.dumps({"IIW-P5B": "By a model.", "image/key": "0001eeaf4aed83f9"}))
    (row,) = rows(folder, "iiw")
    assert (row.caption, row.source.origin) == ("By a model.", "Open Images")
    (folder / "data.jsonl").write_text(json.dumps({"IIW": "By people.", "image": "sa_1545038.jpg"}))
    (row,) = rows(folder, "iiw")
    assert (row.caption, row.picture) == ("By people.", "images/sa_1545038.jpg")


def test_goals_training_list_gives_the_originals(tmp_path: Path) -> None:
    path = lay_out("goal", tmp_path)
    segment = {"filename": "x/y.png", "caption": "A blue bowl", "bbox_coordinates": {}}
    original = {"original_filename": "z/photos/sa_1543972.jpg", "original_caption": EXAMPLE, "segment": [segment]}
    path.write_text(json.dumps([original]))
    (row,) = rows(path, "goal")
    assert (row.picture, row.caption, row.source.split) == ("photos/sa_1543972.jpg", EXAMPLE, "global")


def test_what_is_broken_is_a_row_with_its_reason(tmp_path: Path) -> None:
    docci = lay_out("docci", tmp_path)
    with (docci / "docci_descriptions.jsonlines").open("a") as file:
        file.write('{"example_id": "x"}\n{"example_id"\n')
    assert [row.rejected.detail for row in rows(docci, "docci") if row.rejected] == [
        '"image_file" is nothing, not a str',
        "line 6: invalid JSON: Expecting ':' delimiter at character 14",
    ]
    shared = lay_out("sharegpt4v", tmp_path)
    shared.write_text(json.dumps([{"id": "text"}, "odd", {"image": "a.jpg", "conversations": []}]))
    text, odd, silent = rows(shared, "sharegpt4v")
    assert text.rejected and text.rejected.reason == SkipReason.IMAGE_MISSING
    assert odd.rejected and odd.rejected.detail == "a str, not an object"
    assert silent.rejected is None and silent.caption is None
    dci = lay_out("dci", tmp_path)
    (dci / "complete" / "9-data.json").write_text("[]")
    first = rows(dci, "dci")[0]
    assert first.rejected and first.rejected.detail == "9-data.json: a list, not a JSON object"
    urban = lay_out("urban1k", tmp_path)
    (urban / "caption" / "2.txt").unlink()
    assert rows(urban, "urban1k")[1].caption is None
    hub = flickr30k(tmp_path / "hub", hub=True)
    with (hub / "flickr_annotations_30k.csv").open("a") as file:
        file.write('"open,[],test,b.jpg,4\n')
        file.write("no list,[],test,a.jpg,3\n")
    quote, last = rows(hub, "flickr30k")[-2:]
    assert quote.rejected and "a quote is opened and never closed" in quote.rejected.detail
    assert last.rejected and "a.jpg" in last.rejected.detail


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("docci", {"split": "val"}, "--split val: .*give one of: train, test, qual_dev, qual_test"),
        ("sa1b", {"split": "train"}, "leave out --split"),
        ("docci", {"caption_column": "text"}, "leave out --caption-column"),
        ("dci", {"caption_column": "text"}, "give one of: short_caption, extra_caption"),
        ("coco", {"image_column": "jpg"}, "knows its images"),
    ],
)
def test_an_option_that_the_corpus_lacks(name: str, options: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=says):
        rows(lay_out(name, tmp_path), name, **options)


@pytest.mark.parametrize(
    "name", [name for name, corpus in CORPORA.items() if not corpus.is_list and name != "sa1b"]
)
def test_another_layout_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "flickr30k-images"
    (folder / "flickr30k-images").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"corpora\.md"):
        rows(folder, name)


def test_a_list_is_no_folder_and_a_folder_no_list(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="takes a file"):
        rows(lay_out("goal", tmp_path).parent, "goal")
    with pytest.raises(SourceError, match="takes a folder"):
        rows(lay_out("goal", tmp_path), "docci")


def test_splits_that_are_no_lists_are_refused(tmp_path: Path) -> None:
    folder = lay_out("dci", tmp_path)
    for content in ("[]", '{"train": 3}', "{"):
        (folder / "splits.json").write_text(content)
        with pytest.raises(SourceError, match=r"corpora\.md"):
            rows(folder, "dci")


@pytest.mark.parametrize("name", ["dci", "urban1k", "sa1b"])
def test_what_desktops_leave_is_no_row(name: str, tmp_path: Path) -> None:
    make, place = PLACES[name]
    path = make(tmp_path / place)
    (source,) = open_sources([str(path)], SourceOptions(format=name))
    before = [row.source.id for row in source.rows()]
    for file in [*path.rglob("*.j*"), *path.rglob("*.txt")]:
        file.with_name(f"._{file.name}").write_bytes(b"no file")
        file.with_name(".DS_Store").write_bytes(b"no file")
    (source,) = open_sources([str(path)], SourceOptions(format=name))
    assert [row.source.id for row in source.rows()] == before != []


def test_lists_joined_and_text_behind_one(tmp_path: Path) -> None:
    make, place = PLACES["sharegpt4v"]
    path = make(tmp_path / place)
    text = path.read_text()
    path.write_text(f"{text}\n{text}end")
    (source,) = open_sources([str(path)], SourceOptions(format="sharegpt4v"))
    *rows, last = source.rows()
    assert len(rows) == 2 * len(json.loads(text))
    assert last.rejected is not None and "behind the end of the list" in last.rejected.detail


def test_pictures_in_the_list_and_keys_that_come_twice(tmp_path: Path) -> None:
    shared = lay_out("sharegpt4v", tmp_path)
    text = base64.b64encode(jpeg()).decode()
    turns = '"conversations": [{"from": "gpt", "value": "A."}]'
    records = [
        f'{{"id": 7.0, "image": "{text}", {turns}}}',
        f'{{"id": NaN, "image": "data:image/jpeg;base64,{text}", {turns}}}',
        f'{{"image": "a.jpg", {turns}, "image": "b.jpg"}}',
        f'{{"image": "a.jpg", {turns}, "meta": {{"x": 1, "x": 2}}}}',
        '{"image": "a.jpg", "conversations": [{"from": "gpt", "value": "A.", "value": "B."}]}',
    ]
    shared.write_text(f"[{', '.join(records)}]")
    first, second, third, fourth, fifth = rows(shared, "sharegpt4v")
    assert [(row.source.id, row.picture, row.read_image()) for row in (first, second)] == [
        ("7", "", jpeg()),
        ("1", "", jpeg()),
    ]
    assert third.rejected and third.rejected.detail == 'the key "image" is there twice'
    assert fourth.rejected is None
    assert fifth.rejected and fifth.rejected.detail == 'the key "value" is there twice'
