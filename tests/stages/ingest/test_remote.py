"""Inputs by a URL give the rows that they give from a disk."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glitbuild.errors import SourceError
from glitbuild.records import Rejected
from glitbuild.stages.ingest.files import read_file
from glitbuild.stages.ingest.registry import SourceOptions, open_sources
from glitbuild.stages.ingest.remote import RemotePath, locate
from glitbuild.stages.ingest.source import Row
from tests.stages.ingest.conftest import encode_image, write_tar
from tests.stages.ingest.formats.layouts import PLACES, lay_out

IMAGES = [encode_image(color=(number, 30, 30)) for number in range(3)]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    (photos / ".hidden.jpg").write_bytes(IMAGES[0])
    for number, image in enumerate(IMAGES):
        folder = photos / "more" if number == 2 else photos
        (folder / f"{number}.jpg").write_bytes(image)
        (folder / f"{number}.txt").write_text(f"Nº {number}.")
    (photos / "lone.txt").write_text("Without an image.")
    rows = [
        {"image": path, "caption": f"«{path}»"} for path in ("photos/0.jpg", "photos/more/2.jpg", "photos/gone.jpg")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f'{row["image"]},"{row["caption"]},\nyes"\n' for row in rows]
    (tmp_path / "rows.csv").write_text("image,caption\n" + "".join(lines))
    (tmp_path / "tars").mkdir()
    for number in range(2):
        members = [(f"{number}.jpg", IMAGES[number]), (f"{number}.txt", f"Nº {number}."), ("empty.jpg", b"")]
        write_tar(tmp_path / "tars" / f"{number}.tar", members)
    (tmp_path / "tars" / "2.tar").write_bytes((tmp_path / "tars" / "0.tar").read_bytes()[:700])
    (tmp_path / "parquet").mkdir()
    for number in range(2):
        table = pa.table({"image": [IMAGES[number]], "caption": [f"Nº {number}."]})
        pq.write_table(table, tmp_path / "parquet" / f"{number}.parquet")
    return tmp_path


@pytest.fixture
def url(tmp_path: Path, inputs: Path) -> Iterator[str]:
    """The inputs, copied to a file system in memory."""
    fs, root = fsspec.filesystem("memory"), f"/{tmp_path.name}"
    for name in PLACES:
        lay_out(name, inputs)
    fs.put(f"{inputs}/", root, recursive=True)
    yield f"memory:/{root}"
    fs.rm(root, recursive=True)


def found(spec: str, format: str = "auto") -> tuple[str, list[tuple[Row, bytes | str]]]:
    (source,) = open_sources([spec], SourceOptions(format=format))
    return source.summary, [(row.source, row.caption, row.picture, row.named, image(row)) for row in source.rows()]


def image(row: Row) -> bytes | str:
    try:
        return row.read_image()
    except (OSError, Rejected) as error:
        return str(error)


@pytest.mark.parametrize(
    "name", ["photos", "photos/", "rows.jsonl", "rows.csv", "tars", "tars/0.tar", "parquet", "parquet/1.parquet"]
)
def test_every_kind_gives_the_same_rows(name: str, inputs: Path, url: str) -> None:
    here, there = found(str(inputs / name)), found(f"{url}/{name}")
    assert here[0] == there[0]
    assert len(here[1]) >= 1
    for (*row, data), (*other, copy) in zip(here[1], there[1], strict=True):
        assert row == other
        assert type(data) is type(copy) and (data == copy or isinstance(data, str))


@pytest.mark.parametrize("name", PLACES)
def test_corpora_give_the_same_rows(name: str, inputs: Path, url: str) -> None:
    make, place = PLACES[name]
    path = make(inputs / place)
    assert found(str(path), name) == found(f"{url}/{path.relative_to(inputs)}", name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone", "no such file or folder"),
        ("photos/lone.txt", "unknown file extension"),
        ("photos/more", "given twice"),
    ],
)
def test_errors(name: str, says: str, url: str) -> None:
    with pytest.raises(SourceError, match=says):
        open_sources([f"{url}/{name}"] * 2, SourceOptions())


def test_a_saved_dataset_is_refused(url: str) -> None:
    fsspec.filesystem("memory").pipe_file(f"{url}/saved/state.json", b"{}")
    with pytest.raises(SourceError, match="download it first"):
        open_sources([f"{url}/saved"], SourceOptions())


def test_an_unknown_protocol() -> None:
    with pytest.raises(SourceError, match="nowhere"):
        open_sources(["nowhere://a/b"], SourceOptions())


def test_names_that_object_stores_do_not_know(url: str) -> None:
    root = locate(url)
    assert isinstance(root, RemotePath)
    for name in ("./photos/0.jpg", "photos/../photos/./0.jpg", "gone/../photos/0.jpg"):
        assert (root / name).read_bytes() == IMAGES[0]
    assert (root / "photos" / "../rows.jsonl").exists()
    for name in ("../..", "../../../etc/passwd", "photos/../../.."):
        with pytest.raises(ValueError, match="leads out"):
            root / name
    with pytest.raises(Rejected, match="image_missing"):
        read_file(root, "../../a.jpg")


def test_a_row_does_not_lead_out_of_the_input(url: str) -> None:
    root = locate(url)
    assert isinstance(root, RemotePath)
    assert (root / "/photos/0.jpg").read_bytes() == IMAGES[0]
    assert not (root / "photos" / "/rows.jsonl").exists()
