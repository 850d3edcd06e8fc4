"""Every format gives the same kept columns and the same boxes for the same rows."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from glitbuild.errors import SourceError
from glitbuild.records import Given, SkipReason
from glitbuild.stages.ingest.kept_columns import find_types, to_extra
from glitbuild.stages.ingest.registry import open_sources
from glitbuild.stages.ingest.source import Row, SourceOptions
from tests.factories import jpeg
from tests.stages.ingest.conftest import write_tar

LABELS = ["dog", "ball"]
ROWS: list[dict[str, Any]] = [
    {"city": "Oslo", "views": 3, "score": 0.5, "safe": True, "note": "a"},
    {"city": "Rome", "views": 4, "score": 7.0, "safe": False, "note": ""},
]
BOXES = [{"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [1]}, {"bbox": [], "category": []}]
TYPES = {"city": "text", "note": "text", "safe": "bool", "score": "float", "views": "int"}
FORMATS = ["jsonl", "csv", "parquet", "hf", "folder", "webdataset"]


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The rows in a format, with their pictures, captions and boxes."""
    form = request.param
    pictures = [jpeg(seed=number) for number in range(len(ROWS))]
    rows = [
        {"image": f"{number}.jpg", "caption": "A dog.", "id": f"r{number}", "license": "MIT", "objects": boxes}
        | row
        for number, (row, boxes) in enumerate(zip(ROWS, BOXES, strict=True))
    ]
    folder = tmp_path / "in"
    folder.mkdir()
    for row, picture in zip(rows, pictures, strict=True):
        (folder / row["image"]).write_bytes(picture)
    if form == "jsonl":
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row | {"list": [1]}) + "\n" for row in rows))
        return tmp_path / "in.jsonl"
    if form == "csv":
        with (tmp_path / "in.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(row | {"objects": json.dumps(row["objects"])} for row in rows)
        return tmp_path / "in.csv"
    if form in ("folder", "webdataset"):
        records = [{key: row[key] for key in row if key not in ("image", "id")} for row in rows]
        for number, record in enumerate(records):
            (folder / f"{number}.json").write_text(json.dumps(record))
        if form == "folder":
            return folder
        members = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
        write_tar(tmp_path / "in.tar", members)
        return tmp_path / "in.tar"
    features = datasets.Features(
        {name: datasets.Value("string") for name in ("caption", "id", "license", "city", "note")}
        | {"image": datasets.Image(), "list": datasets.List(datasets.Value("int64"))}
        | {
            "objects": {
                "bbox": datasets.List(datasets.List(datasets.Value("float32"))),
                "category": datasets.List(datasets.ClassLabel(names=LABELS)),
            }
        }
        | {"views": datasets.Value("int32"), "score": datasets.Value("float64"), "safe": datasets.Value("bool")}
    )
    table = datasets.Dataset.from_list(
        [
            row | {"image": {"bytes": picture, "path": None}, "list": [1]}
            for row, picture in zip(rows, pictures, strict=True)
        ],
        features=features,
    )
    if form == "hf":
        table.save_to_disk(str(tmp_path / "saved"))
        return tmp_path / "saved"
    pq.write_table(table.data.table, tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def rows_of(path: Path, **options: Any) -> tuple[list[Row], dict[str, str]]:
    given = SourceOptions(**options)
    sources = open_sources([str(path)], given)
    return [row for source in sources for row in source.rows()], find_types(sources, given)


@pytest.mark.parametrize("made", FORMATS, indirect=True)
def test_all_columns_of_a_format(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "glitbuild"):
        rows, types = rows_of(made, keep_columns=("all",), boxes_column="objects")
    assert types == TYPES
    assert [to_extra(row.extra, types) for row in rows] == [dict(sorted(row.items())) for row in ROWS]
    name = "ball" if made.suffix == ".parquet" or made.name == "saved" else "1"
    assert [row.boxes.boxes for row in rows if row.boxes is not None] == [(Given((1.0, 2.0, 3.0, 4.0), name),), ()]
    assert "list" in caplog.text or made.suffix in (".csv", "", ".tar")


@pytest.mark.parametrize("made", FORMATS, indirect=True)
def test_named_columns_alone_are_kept(made: Path) -> None:
    rows, types = rows_of(made, keep_columns=("views", "city"))
    assert types == {"city": "text", "views": "int"}
    assert [to_extra(row.extra, types) for row in rows] == [
        {"city": row["city"], "views": row["views"]} for row in ROWS
    ]
    assert [row.boxes for row in rows] == [None, None]


@pytest.mark.parametrize("made", FORMATS, indirect=True)
def test_without_the_options_nothing_is_kept(made: Path) -> None:
    rows, types = rows_of(made)
    assert types == {}
    assert [(dict(row.extra), row.boxes) for row in rows] == [({}, None)] * 2


@pytest.mark.parametrize("made", FORMATS, indirect=True)
@pytest.mark.parametrize("options", [{"keep_columns": ("gone",)}, {"boxes_column": "gone"}], ids=str)
def test_a_column_that_is_not_there_is_named_before_any_work(made: Path, options: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="gone"):
        open_sources([str(made)], SourceOptions(**options))


@pytest.mark.parametrize("made", ["parquet", "hf"], indirect=True)
def test_a_named_column_of_lists_is_refused_by_the_schema(made: Path) -> None:
    with pytest.raises(SourceError, match="objects"):
        open_sources([str(made)], SourceOptions(keep_columns=("objects",)))


@pytest.mark.parametrize("made", FORMATS, indirect=True)
def test_malformed_boxes_cost_their_row(made: Path) -> None:
    rows, _ = rows_of(made, boxes_column="city")
    assert [row.rejected and row.rejected.reason for row in rows] == [SkipReason.ROW_UNREADABLE] * 2
