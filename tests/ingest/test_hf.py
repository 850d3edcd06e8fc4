import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import datasets
import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from glitbuild.errors import SourceError
from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.hf import HuggingFaceSource, is_saved
from glitbuild.ingest.source import SourceOptions
from glitbuild.records import SkipReason, Source


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


def table(count=2, **columns):
    image = {"image": [Image.new("RGB", (24, 16), (10 * index, 0, 0)) for index in range(count)]}
    record = image | {"caption": [f"Picture {index}." for index in range(count)]} | columns
    features = datasets.Features(
        {"image": datasets.Image()} | {name: datasets.Value("string") for name in record if name != "image"}
    )
    return datasets.Dataset.from_dict(record, features=features)


def opened(path, **options):
    return HuggingFaceSource(str(path), "saved", SourceOptions(**options))


def test_a_saved_dataset(tmp_path):
    table(url=["u", None], id=["one", "two"]).save_to_disk(tmp_path / "saved")
    assert is_saved(tmp_path / "saved")
    source = opened(tmp_path / "saved")
    assert source.summary == 'saved: hf, image column "image", caption column "caption"'
    first, second = source.rows()
    assert (first.source, first.caption, first.named) == (Source("saved", "one", "u"), "Picture 0.", True)
    assert second.source == Source("saved", "two")
    sample, _ = accept(first, "0", Limits())
    assert (sample.image.width, sample.image.height, sample.image.source_format) == (24, 16, "png")
    assert [row.source for row in source.rows()] == [first.source, second.source]


def test_splits(tmp_path):
    splits = {"train": table(3), "test": table(1), "validation": table(2)}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    assert is_saved(tmp_path / "saved")
    source = opened(tmp_path / "saved")
    assert "split train, test, validation, " in source.summary
    expected = ["train/0", "train/1", "train/2", "test/0", "validation/0", "validation/1"]
    assert [row.source.id for row in source.rows()] == expected
    (row,) = opened(tmp_path / "saved", split="test").rows()
    assert (row.source.id, row.source.split) == ("test/0", "test")
    with pytest.raises(SourceError, match='no split "dev"; its splits are: train, test, validation'):
        opened(tmp_path / "saved", split="dev")


def test_an_undivided_dataset_has_no_split(tmp_path):
    table().save_to_disk(tmp_path / "saved")
    with pytest.raises(SourceError, match='no split "train"; it is not divided into splits; leave out --split'):
        opened(tmp_path / "saved", split="train")


def test_images_that_are_files(tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    paths = ["../a.jpg", "../gone.jpg", None]
    datasets.Dataset.from_dict({"image": paths, "caption": ["a", "b", "c"]}).save_to_disk(tmp_path / "saved")
    first, second, third = opened(tmp_path / "saved").rows()
    assert first.read_image() == jpeg
    assert [row.source.id for row in (first, second, third)] == ["../a.jpg", "../gone.jpg", "2"]
    assert accept(second, "0", Limits()).reason == SkipReason.IMAGE_MISSING
    assert accept(third, "0", Limits()).reason == SkipReason.IMAGE_MISSING


def test_images_on_the_hub_are_read_and_other_addresses_are_not(tmp_path, jpeg, monkeypatch):
    class Hub(MemoryFileSystem):
        protocol = "hf"
        store: ClassVar = {}
        pseudo_dirs: ClassVar = [""]

    fsspec.get_filesystem_class("hf")  # it is imported when first asked for, and would replace ours
    registered = sys.modules["fsspec.registry"]
    monkeypatch.setitem(registered._registry, "hf", Hub)
    Hub().pipe("hf://datasets/some/name/a.jpg", jpeg)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    urls = ["hf://datasets/some/name/a.jpg", "hf://datasets/some/name/gone.jpg", f"file://{tmp_path}/a.jpg"]
    urls += ["http://127.0.0.1:9/a.jpg", "zip://a.jpg::http://127.0.0.1:9/a.zip", "nonsense://a.jpg"]
    datasets.Dataset.from_dict({"image": urls, "caption": ["a"] * 6}).save_to_disk(tmp_path / "saved")
    first, *others = opened(tmp_path / "saved").rows()
    assert first.read_image() == jpeg
    skipped = [accept(row, "0", Limits()) for row in others]
    assert [skip.reason for skip in skipped] == [SkipReason.IMAGE_MISSING] * 5
    assert all("an address, not a file" in skip.detail for skip in skipped[1:])


def test_columns(tmp_path):
    table().save_to_disk(tmp_path / "saved")
    with pytest.raises(SourceError, match='saved: no image column "pic"; its columns are: image, caption'):
        opened(tmp_path / "saved", image_column="pic")


def test_streaming(tmp_path):
    (tmp_path / "data").mkdir()
    table(20).to_parquet(tmp_path / "data/train-00000-of-00001.parquet")
    table(1).to_parquet(tmp_path / "data/test-00000-of-00001.parquet")
    source = opened(tmp_path)
    rows = list(source.rows())
    assert [row.source.id for row in rows] == [f"train/{number}" for number in range(20)] + ["test/0"]
    assert accept(rows[3], "0", Limits())[0].caption == "Picture 3."
    assert [row.source.id for row in opened(tmp_path, split="test").rows()] == ["test/0"]


def test_streaming_a_folder_of_images(tmp_path, jpeg):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg)
    lines = [f'{{"file_name": "{name}.jpg", "text": "{name}"}}' for name in ("a", "b")]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    rows = list(opened(tmp_path).rows())
    assert sorted(row.caption for row in rows) == ["a", "b"]
    assert all(row.read_image() == jpeg for row in rows)


def test_a_break_in_the_middle_is_no_end(tmp_path):
    dataset = datasets.Dataset(pa.table({"image": ["a"], "caption": pa.array([b"\xff"]).view(pa.utf8())}))
    dataset.save_to_disk(tmp_path / "saved")
    with pytest.raises(SourceError, match=r"saved, row 0 of the dataset: can't be read: .*; run the command again"):
        list(opened(tmp_path / "saved").rows())


def test_a_damaged_folder(tmp_path):
    table().save_to_disk(tmp_path / "saved")
    next((tmp_path / "saved").glob("*.arrow")).unlink()
    with pytest.raises(SourceError, match="can't be opened as a Hugging Face dataset"):
        opened(tmp_path / "saved")


class _Hub(BaseHTTPRequestHandler):
    """A Hub that knows no dataset."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, *arguments):
        pass


def test_a_name_that_the_hub_does_not_know(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    code = """
from glitbuild.errors import SourceError
from glitbuild.ingest.registry import SourceOptions, open_sources
try:
    open_sources(["someone/nothing"], SourceOptions(format="hf"))
except SourceError as error:
    print(error)
"""
    # The Hub's address is read at import, hence another process.
    address = f"http://127.0.0.1:{server.server_port}"
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    server.shutdown()
    server.server_close()
    assert result.stdout.startswith("someone/nothing: can't be opened as a Hugging Face dataset: ")
    assert result.stdout.count("\n") == 1


def test_nan_is_nothing(tmp_path):
    nan = float("nan")
    columns = {
        "image": ["a", "b"],
        "caption": ["A.", None],
        "id": [nan, 1.0],
        "url": [nan, nan],
        "license": ["nan", None],
    }
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "saved")
    rows = list(opened(tmp_path / "saved").rows())
    assert [(row.source, row.named) for row in rows] == [
        (Source("saved", "a"), False),
        (Source("saved", "1"), True),
    ]


def test_lists_of_one_image(tmp_path):
    images = [[Image.new("RGB", (24, 16))], [Image.new("RGB", (24, 16))] * 2, []]
    features = datasets.Features({"image": datasets.List(datasets.Image()), "caption": datasets.Value("string")})
    data = datasets.Dataset.from_dict({"image": images, "caption": ["a", "b", "c"]}, features=features)
    data.save_to_disk(tmp_path / "saved")
    one, two, none = [accept(row, "0", Limits()) for row in opened(tmp_path / "saved").rows()]
    assert one[0].image.width == 24
    assert (two.reason, none.reason) == (SkipReason.ROW_UNREADABLE, SkipReason.IMAGE_MISSING)
