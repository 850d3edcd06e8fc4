"""Columns and boxes of an input, from ingest to the pairs, the statistics, the card and other readers."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import webdataset
from huggingface_hub import DatasetCard

from glitbuild.errors import ConfigError, OptionsChangedError
from glitbuild.records import Sample
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.publish.hub.command import PushOptions, plan_push
from tests.factories import jpeg
from tests.run import here
from tests.stages.ingest.formats.layouts import lay_out

pytestmark = pytest.mark.slow

COUNT = 8
MARKED = [{"bbox": [16, 8, 48, 40], "category": "ball", "sentence": "the red ball"}, {"bbox": [90, 0, 99, 9]}]


def write_input(folder: Path) -> Path:
    """Write rows of which only those behind the fifth have boxes."""
    rows = []
    for number in range(COUNT):
        (folder / f"{number}.jpg").write_bytes(jpeg(64, 48, seed=number))
        more = {"city": "Oslo" if number % 2 else "Rome", "views": number, "beauty": number / 2, "safe": True}
        objects = {"objects": MARKED if number > 4 else [], "unkept": [1]}
        rows.append({"image": f"{number}.jpg", "caption": "A dog sits. A red ball lies there."} | more | objects)
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the input, ``raw`` made of it, and ``pairs`` made of that."""
    folder = tmp_path_factory.mktemp("columns")
    write_input(folder)
    columns = ["--keep-columns", "all", "--boxes-column", "objects"]
    command = ["ingest", "rows.jsonl", *columns, "--max-side", 32, "--shard-size", 5, "--out", "raw"]
    result = here(*command, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "boxes omitted because they are empty or outside their image: 3" in result.stdout
    models = ["--detector", "demo", "--clip-model", "demo", "--workers", 0]
    result = here("match", "raw", *models, "--out", "pairs", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    tars = sorted(map(str, (folder / "shards").glob("*.tar")))
    return [json.loads(sample["json"]) for sample in webdataset.WebDataset(tars, shardshuffle=False)]


def test_every_record_has_the_columns_and_the_scaled_boxes(folder: Path) -> None:
    for name in ("raw", "pairs"):
        assert list(validate(*open_dataset(str(folder / name)))) == []
        for number, record in enumerate(records(folder / name)):
            city = "Oslo" if number % 2 else "Rome"
            extra = {"beauty": number / 2, "city": city, "safe": True, "views": number}
            assert list(record["source"]["extra"].items()) == list(extra.items())
            ball = {"box": [8.0, 4.0, 24.0, 20.0], "label": "ball", "sentence": "the red ball"}
            assert json.loads(record["boxes"]) == ([ball] if number > 4 else [])
            assert record["boxes_left_out"] == (number > 4)


def test_given_regions_stand_between_the_default_ones_and_the_detections(folder: Path) -> None:
    kinds: set[str] = set()
    for number, record in enumerate(records(folder / "pairs")):
        regions = record["regions"]
        assert [region["kind"] for region in regions[:5]] == ["quadrant"] * 4 + ["center"]
        given = [region for region in regions if region["kind"] == "given"]
        expected = {"box": [8.0, 4.0, 24.0, 20.0], "kind": "given", "label": "ball", "score": 1.0}
        assert given == ([expected | {"sentence": "the red ball"}] if number > 4 else [])
        assert regions[5:6] == given or not given
        assert all(region["sentence"] == "" for region in regions if region["kind"] != "given")
        kinds |= {regions[pair["region"]]["kind"] for pair in record["pairs"]}
    assert "given" in kinds


def test_the_table_of_pairs_has_them_as_typed_columns(folder: Path) -> None:
    table = pq.read_table(folder / "pairs" / "pairs")
    types = {name: str(table.schema.field(name).type) for name in table.column_names[-5:]}
    kept = {"extra_beauty": "double", "extra_city": "string", "extra_safe": "bool", "extra_views": "int64"}
    assert types == {"region_sentence": "string"} | kept
    for row in table.to_pylist():
        assert row["extra_views"] == int(row["key"])
        assert row["region_sentence"] == ("the red ball" if row["kind"] == "given" else "")


def test_statistics_count_them(folder: Path) -> None:
    found = json.loads(here("stats", "pairs", "--json", cwd=folder).stdout)
    assert found["totals"]["boxes"] == found["totals"]["boxes_left_out"] == found["kinds"]["given"] == 3
    assert found["given_labels"] == {"ball": 3}
    columns = found["columns"]
    assert columns["views"] == {"count": 8, "mean": 3.5, "min": 0, "max": 7}
    assert columns["city"] == {"count": 8, "different": 2, "values": {"Oslo": 4, "Rome": 4}}
    assert columns["safe"]["values"] == {"true": 8}
    printed = here("stats", "pairs", cwd=folder).stdout
    assert all(word in printed for word in ("boxes_left_out", "beauty", "city", "Oslo", "ball"))


def test_the_card_lists_them_and_datasets_loads_by_it(folder: Path, tmp_path: Path) -> None:
    made = {
        entry.name: entry.data for entry in plan_push(PushOptions(str(folder / "pairs"), "anna/birds"), plain=True)
    }
    data = made["README.md"]
    assert data
    card = DatasetCard(data.decode())
    assert "| city | text |" in card.text
    assert "| views | int |" in card.text
    assert "People marked 3 regions (3 more" in " ".join(card.text.split())
    features = datasets.Features._from_yaml_list(card.data["dataset_info"]["features"])
    tars = str(folder / "pairs" / "shards" / "*.tar")
    where = {"data_files": tars, "split": "train", "cache_dir": str(tmp_path)}
    loaded = datasets.load_dataset("webdataset", features=features, **where)
    assert [row["json"] for row in loaded] == records(folder / "pairs")


@pytest.mark.parametrize("name", ["raw", "pairs"])
def test_datasets_takes_types_from_five_samples_without_boxes(folder: Path, name: str, tmp_path: Path) -> None:
    tars = sorted(map(str, (folder / name / "shards").glob("*.tar")))
    loaded = datasets.load_dataset("webdataset", data_files=tars, split="train", cache_dir=str(tmp_path))
    assert [row["json"] for row in loaded] == records(folder / name)


def test_the_page_shows_given_regions_with_their_sentence(folder: Path, tmp_path: Path) -> None:
    assert here("preview", folder / "pairs", "--out", "page.html", cwd=tmp_path).returncode == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("given: the red ball") == 3
    assert '<span class="solid given">given</span>' in page
    assert here("stats", folder / "pairs", "--html", "stats.html", cwd=tmp_path).returncode == 0
    page = (tmp_path / "stats.html").read_text()
    assert "Column city" in page
    assert "Given labels" in page


def test_a_dataset_is_read_again_with_what_it_kept(folder: Path, tmp_path: Path) -> None:
    for source in ("raw", "pairs"):
        options = {"keep_columns": ("all",), "boxes_column": "boxes"}
        run_ingest(IngestOptions((str(folder / source),), str(tmp_path / source), **options))  # type: ignore[arg-type]
        for before, after in zip(records(folder / "raw"), records(tmp_path / source), strict=True):
            assert after["source"] == before["source"]
            assert after["boxes"] == before["boxes"]


def test_a_run_is_not_continued_with_other_columns(folder: Path) -> None:
    command = ["ingest", "rows.jsonl", "--max-side", 32, "--shard-size", 5, "--out", "raw"]
    same = [*command, "--keep-columns", "all", "--boxes-column", "objects"]
    assert "nothing to do" in here(*same, cwd=folder).stdout
    for other in (command, [*same[:-4], "--keep-columns", "city", *same[-2:]], [*same, "--boxes-format", "xywh"]):
        result = here(*other, cwd=folder)
        assert result.returncode == 2
        assert "started with other options" in result.stderr


def test_other_boxes_in_the_input_are_noticed(tmp_path: Path) -> None:
    path = write_input(tmp_path)
    options = IngestOptions((str(path),), str(tmp_path / "out"), boxes_column="objects")
    run_ingest(options)
    path.write_text(path.read_text().replace("[16, 8, 48, 40]", "[16, 8, 48, 41]"))
    with pytest.raises(OptionsChangedError):
        run_ingest(options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_columns": ("a", "")},
        {"keep_columns": ("a", "a")},
        {"keep_columns": ("a", "all")},
        {"boxes_format": "cxcywh"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        IngestOptions(("a",), "b", **wrong)


def test_masks_of_dci_are_boxes(tmp_path: Path) -> None:
    path = lay_out("dci", tmp_path)
    for file in (path / "complete").iterdir():
        content = json.loads(file.read_text())
        mask = content["mask_data"]["0"]
        masks = {"0": mask, "1": mask | {"mask_quality": 1}, "2": mask | {"mask_quality": 2}}
        file.write_text(json.dumps(content | {"mask_data": masks}))
    options = IngestOptions((str(path),), str(tmp_path / "out"), format="dci", boxes_column="mask_data")
    assert run_ingest(options).manifest.totals["boxes"] == 6
    for record in records(tmp_path / "out"):
        boxes = Sample.from_json(json.dumps(record).encode()).boxes
        assert boxes is not None
        assert [(each.box, each.label, each.sentence) for each in boxes] == [
            ((4.0, 5.0, 14.0, 25.0), "bowl", "A blue bowl."),
            ((4.0, 5.0, 14.0, 25.0), "bowl", ""),
        ]
