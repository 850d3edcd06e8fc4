import gzip
import json
import subprocess
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glitbuild.errors import SourceError
from glitbuild.stages.ingest.registry import FORMATS, SourceOptions, open_sources
from glitbuild.stages.ingest.source import RowSource
from tests.stages.ingest.conftest import encode_image, write_tar


@pytest.fixture
def inputs(tmp_path):
    """One of each kind, with one row each."""
    image = encode_image()
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(image)
    (photos / "a.txt").write_text("A.")
    for name in ("rows.jsonl", "rows.NDJSON"):
        (tmp_path / name).write_text(json.dumps({"image": "photos/a.jpg", "caption": "A."}))
    (tmp_path / "rows.csv").write_text("image,caption\nphotos/a.jpg,A.\n")
    (tmp_path / "rows.tsv").write_text("image\tcaption\nphotos/a.jpg\tA.\n")
    table = {"image": [image], "caption": ["A."]}
    (tmp_path / "parquets").mkdir()
    (tmp_path / "parquets/README.md").write_text("about")
    for path in (tmp_path / "rows.parquet", tmp_path / "parquets/0.parquet"):
        pq.write_table(pa.table(table), path)
    for path in (tmp_path / "00000.tar", tmp_path / "tars/00000.tar", tmp_path / "dataset/shards/00000.tar"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tar(path, [("a.jpg", image), ("a.txt", "A.")])
        path.with_suffix(".json").write_text("{}")
    (tmp_path / "dataset/manifest.json").write_text("{}")
    (tmp_path / "00000.json").unlink()
    datasets.Dataset.from_dict(table).save_to_disk(tmp_path / "saved")
    return tmp_path


SUMMARIES = {
    "photos": "photos: folder of images with .txt captions",
    "rows.jsonl": 'rows.jsonl: jsonl, image column "image", caption column "caption"',
    "rows.NDJSON": 'rows.NDJSON: jsonl, image column "image", caption column "caption"',
    "rows.csv": 'rows.csv: csv, image column "image", caption column "caption"',
    "rows.tsv": 'rows.tsv: tsv, image column "image", caption column "caption"',
    "rows.parquet": 'rows: parquet, image column "image", caption column "caption"',
    "parquets": 'parquets: parquet, image column "image", caption column "caption"',
    "00000.tar": "00000: webdataset",
    "tars": "tars: webdataset",
    "dataset": "dataset: webdataset",
    "saved": 'saved: hf, image column "image", caption column "caption"',
}


def test_every_kind_is_recognised(inputs):
    sources = open_sources([str(inputs / name) for name in SUMMARIES], SourceOptions())
    assert [source.summary for source in sources] == list(SUMMARIES.values())
    for source, name in zip(sources, SUMMARIES, strict=True):
        (row,) = source.rows()
        assert row.caption == "A."
        assert row.read_image() == encode_image()
        assert row.source.dataset == name.partition(".")[0]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.NDJSON", "rows.csv", "rows.tsv"])
def test_tables_may_be_compressed(inputs, name):
    (inputs / f"{name}.gz").write_bytes(gzip.compress((inputs / name).read_bytes()))
    (source,) = open_sources([str(inputs / f"{name}.gz")], SourceOptions())
    (row,) = source.rows()
    assert (row.caption, row.source.dataset, row.read_image()) == ("A.", "rows", encode_image())
    assert source.summary == SUMMARIES[name].replace(name, f"{name}.gz")


@pytest.mark.parametrize("name", ["rows.parquet.gz", "rows.gz", "rows.json.gz"])
def test_others_may_not(inputs, name):
    (inputs / name).write_bytes(gzip.compress(b"", mtime=0))
    with pytest.raises(SourceError, match="compressed with gzip; unpack it"):
        open_sources([str(inputs / name)], SourceOptions())


def test_the_format_can_be_named(inputs):
    (inputs / "rows.log").write_bytes((inputs / "rows.jsonl").read_bytes())
    (source,) = open_sources([str(inputs / "rows.log")], SourceOptions(format="jsonl"))
    assert len(list(source.rows())) == 1


@pytest.mark.parametrize(
    ("specs", "options", "message"),
    [
        (["gone"], {}, "no such file or folder; for a dataset on the Hugging Face Hub add --format hf"),
        (["gone"], {"format": "csv"}, "gone: no such file or folder"),
        (["photos"], {"format": "zip"}, f"--format zip: unknown; the formats are: {', '.join(FORMATS)}"),
        (["photos/a.txt"], {}, "unknown file extension"),
        (["photos"], {"format": "jsonl"}, "it is a folder, and --format is jsonl"),
        (["rows.csv"], {"format": "folder"}, "it is a file, and --format is folder"),
        (["photos"], {"format": "webdataset"}, "no .tar file in this folder"),
        (["photos"], {"format": "parquet"}, "no .parquet file in this folder"),
        (["rows.csv"], {"format": "parquet"}, "not a Parquet file"),
        (["rows.csv"], {"split": "train"}, "--split is for Hugging Face datasets and known corpora; this is a csv"),
        (["rows.csv", "rows.csv"], {}, "the same input is given twice"),
        (["photos", "photos/../photos/"], {}, "the same input is given twice"),
        (["dataset", "dataset/shards"], {}, "the same input is given twice"),
        (["photos", "rows.csv"], {"caption_column": "none"}, 'has the field "none"'),
    ],
)
def test_errors(inputs, specs, options, message):
    with pytest.raises(SourceError) as caught:
        open_sources([str(inputs / spec) for spec in specs], SourceOptions(**options))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_links_to_the_same_input(inputs):
    (inputs / "link").symlink_to(inputs / "photos")
    with pytest.raises(SourceError, match="given twice"):
        open_sources([str(inputs / "link"), str(inputs / "photos")], SourceOptions())


def test_tars_beside_folders_of_images_are_not_the_input(inputs):
    write_tar(inputs / "photos/backup.tar", [])
    (source,) = open_sources([str(inputs / "photos")], SourceOptions())
    assert source.summary.startswith("photos: folder of images")


def test_what_desktops_leave_beside_tars(inputs):
    (inputs / "tars/__MACOSX").mkdir()
    for folder in ("tars", "tars/__MACOSX", "dataset/shards"):
        for name in ("._00000.tar", ".DS_Store"):
            (inputs / folder / name).write_bytes(b"no tar")
    (inputs / "photos/shards").mkdir()
    (inputs / "photos/shards/._00000.tar").write_bytes(b"no tar")
    sources = open_sources([str(inputs / name) for name in ("tars", "dataset", "photos")], SourceOptions())
    assert [source.summary for source in sources] == [SUMMARIES[name] for name in ("tars", "dataset", "photos")]


def test_a_relative_path_has_a_name(inputs, monkeypatch):
    monkeypatch.chdir(inputs / "photos")
    source: RowSource
    (source,) = open_sources(["."], SourceOptions())
    assert [row.source.dataset for row in source.rows()] == ["photos"]


def test_heavy_imports_wait():
    heavy = ["PIL", "pyarrow", "datasets", "torch", "webdataset", "numpy"]
    ours = "glitbuild.stages.ingest.registry, glitbuild.stages.ingest.accept, glitbuild.stages.ingest.plan"
    code = f"import sys, {ours}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
