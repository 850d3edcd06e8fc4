import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
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
from glitbuild.records import SkipReason, Source
from glitbuild.stages.ingest.accept import Limits, accept
from glitbuild.stages.ingest.columns import is_url
from glitbuild.stages.ingest.formats.hf import HuggingFaceSource, is_saved
from glitbuild.stages.ingest.source import SourceOptions
from tests.run import here

pytestmark = pytest.mark.slow


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


class _Listener(BaseHTTPRequestHandler):
    """A server that must not be asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, *arguments):
        pass


@pytest.fixture
def listener():
    """The address of a server on this machine, which fails the test where it was asked."""
    _Listener.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Listener)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    assert _Listener.asked == []


def save(path, columns, features):
    """Save a dataset whose pictures are places as written; ``datasets`` would fetch and embed them."""
    place = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}

    def stored(feature):
        if isinstance(feature, datasets.List):
            return datasets.List(stored(feature.feature))
        if isinstance(feature, dict):
            return {name: stored(inner) for name, inner in feature.items()}
        return place if isinstance(feature, datasets.Image) else feature

    data = datasets.Dataset.from_dict(columns, features=datasets.Features(stored(features)))
    data.save_to_disk(path)
    info = json.loads((path / "dataset_info.json").read_text())
    (path / "dataset_info.json").write_text(json.dumps(info | {"features": datasets.Features(features).to_dict()}))


ADDRESSES = [
    "webhdfs://{}/x::hf://datasets/a/b/c.jpg",
    "zip://a.jpg::http://{}/a.zip",
    "simplecache::http://{}/a.jpg",
    "filecache::hf://datasets/a/b/c.jpg::http://{}/a.jpg",
    "tar://a.jpg::zip://b.tar::https://{}/c.zip",
    "zip://a.jpg::webhdfs::hf://{}/a",
    "blockcache::webdav://{}/a.jpg",
    "reference://x::http://{}/r.json",
    "dask::http://{}/a.jpg",
    "s3://bucket/a.jpg",
    "ftp://{}/a.jpg",
    "sftp://{}/a.jpg",
    "github://a:b@{}/a.jpg",
    "hf://datasets/a/b/c.jpg",
    "file:///etc/hostname",
    "local:///etc/hostname",
    "memory://a.jpg",
    r"\\{}\share\a.jpg",
    "//{}/share/a.jpg",
    "http:/{}/a.jpg",
    "http:{}/a.jpg",
    "hxxp://{}/a.jpg",
    "gopher://{}/a.jpg",
    "view-source:http://{}/a.jpg",
    "nonsense://a.jpg",
    "::http://{}/a.jpg",
    "HTTP://{}/a.jpg",
    " http://{}/a.jpg",
    "https://{}/a.jpg",
]


@pytest.mark.parametrize("as_image", [False, True])
def test_a_saved_dataset_asks_no_address(tmp_path, listener, as_image, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{listener}")
    urls = [address.format(listener) for address in ADDRESSES]
    images = [{"bytes": None, "path": url} for url in urls] if as_image else urls
    features = {
        "image": datasets.Image() if as_image else datasets.Value("string"),
        "caption": datasets.Value("string"),
    }
    save(tmp_path / "saved", {"image": images, "caption": ["a"] * len(urls)}, features)
    result = here("ingest", "saved", "--out", "out", "--retries", 0, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    skipped = [json.loads(line) for line in (tmp_path / "out/skipped/00000.jsonl").open()]
    assert len(skipped) == len(urls)
    assert {row["reason"] for row in skipped} == {"image_missing", "download_refused"}
    refused = [row["source"]["url"] for row in skipped if row["reason"] == "download_refused"]
    assert [url.strip()[:5].lower() for url in refused] == ["http:", "http:", "https"]


def test_other_columns_are_not_decoded_either(tmp_path, listener, jpeg):
    """An image, a list of images or a sound as caption, name or license would be opened by ``datasets``."""
    (tmp_path / "a.jpg").write_bytes(jpeg)
    place = {"bytes": None, "path": f"http://{listener}/a.jpg"}
    features = {
        "image": datasets.Value("string"),
        "caption": datasets.Value("string"),
        "id": datasets.Image(),
        "license": datasets.List(datasets.Image()),
        "url": {"one": datasets.Image()},
    }
    columns = {"id": [place], "license": [[place]], "url": [{"one": place}]}
    save(tmp_path / "saved", {"image": [str(tmp_path / "a.jpg")], "caption": ["a"]} | columns, features)
    assert datasets.load_from_disk(tmp_path / "saved").features["id"] == datasets.Image()
    (row,) = opened(tmp_path / "saved").rows()
    assert row.read_image() == jpeg


def test_files_of_this_machine(tmp_path, jpeg):
    """A dataset here may name them, inside its folder or not, as any table may."""
    (tmp_path / "a.jpg").write_bytes(jpeg)
    (tmp_path / "saved").mkdir()
    paths = [str(tmp_path / "a.jpg"), "../a.jpg", "/dev/zero", "/proc/self/mem", str(tmp_path), "a\0b"]
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)
    paths.append(str(tmp_path / "huge.jpg"))
    datasets.Dataset.from_dict({"image": paths, "caption": list("abcdefg")}).save_to_disk(tmp_path / "saved")
    first, second, *others = opened(tmp_path / "saved").rows()
    assert first.read_image() == second.read_image() == jpeg
    reasons = [accept(row, "0", Limits()).reason for row in others]
    missing = SkipReason.IMAGE_MISSING
    assert reasons == [missing, missing, missing, missing, SkipReason.IMAGE_TOO_LARGE]


def test_images_on_the_hub_are_read_and_nothing_else(tmp_path, jpeg, monkeypatch, listener):
    class Hub(MemoryFileSystem):
        protocol = "hf"
        store: ClassVar = {}
        pseudo_dirs: ClassVar = [""]

    fsspec.get_filesystem_class("hf")  # it is imported when first asked for, and would replace ours
    registered = sys.modules["fsspec.registry"]
    monkeypatch.setitem(registered._registry, "hf", Hub)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("b/a.jpg", jpeg)
    Hub().pipe("hf://datasets/some/name/a.jpg", jpeg)
    Hub().pipe("hf://datasets/some/name/a.zip", archive.getvalue())
    (tmp_path / "a.jpg").write_bytes(jpeg)
    whole = ["hf://datasets/some/name/a.jpg", "zip://b/a.jpg::hf://datasets/some/name/a.zip"]
    others = [url.format(listener) for url in ADDRESSES] + ["a.jpg", str(tmp_path / "a.jpg"), "../a.jpg"]
    others += ["hf://a.jpg", "hf://datasets/some/name/gone.jpg", "zip://a.jpg::/etc/a.zip"]
    urls = whole + [url for url in others if not is_url(url)]
    stream = datasets.Dataset.from_dict({"image": urls, "caption": ["a"] * len(urls)}).to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda name, streaming: {"train": stream})
    monkeypatch.chdir(tmp_path)
    first, second, *skipped = HuggingFaceSource("some/name", "some/name", SourceOptions()).rows()
    assert first.read_image() == second.read_image() == jpeg
    assert {accept(row, "0", Limits()).reason for row in skipped} == {SkipReason.IMAGE_MISSING}


def test_a_stream_decodes_no_column(tmp_path, monkeypatch, listener):
    place = {"bytes": None, "path": f"http://{listener}/a.jpg"}
    features = datasets.Features(
        {"image": datasets.Image(), "caption": datasets.Value("string"), "id": datasets.List(datasets.Image())}
    )
    columns = {"image": [place], "caption": ["a"], "id": [[place]]}
    stream = datasets.Dataset.from_dict(columns, features=features).to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda name, streaming: {"train": stream})
    (row,) = HuggingFaceSource("some/name", "some/name", SourceOptions()).rows()
    assert row.url == place["path"], "it is left to the guarded downloads"


@pytest.mark.parametrize(
    "files",
    [
        '"http://{}/a.jsonl"',
        '[{{split: train, path: "zip://a.jsonl::http://{}/a.zip"}}]',
        '{{train: ["a.jsonl", "webhdfs://{}/a::hf://datasets/a/b/c.jsonl"]}}',
        'a.jsonl\n  data_dir: "http://{}/"',
    ],
)
def test_a_card_that_names_other_addresses(tmp_path, listener, files):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"image": "a.jpg", "caption": "A."}')
    card = "---\nconfigs:\n- config_name: default\n  data_files: " + files.format(listener) + "\n---\n# Data\n"
    (folder / "README.md").write_text(card)
    with pytest.raises(SourceError, match=r"its README.md names files at .*127.0.0.1.*, which is not part of it"):
        opened(folder)
    (folder / "README.md").write_text(card.replace(files.format(listener), "a.jsonl"))
    assert [row.caption for row in opened(folder).rows()] == ["A."]


def test_empty_splits_and_what_is_incomplete(tmp_path):
    nothing = table(0)
    datasets.DatasetDict({"train": table(2), "test": nothing, "dev": table(1)}).save_to_disk(tmp_path / "some")
    source = opened(tmp_path / "some")
    assert (
        source.summary == 'saved: hf, split train, dev, empty: test, image column "image", caption column "caption"'
    )
    assert [row.source.id for row in source.rows()] == ["train/0", "train/1", "dev/0"]
    nothing.save_to_disk(tmp_path / "empty")
    datasets.Dataset.from_dict({}).save_to_disk(tmp_path / "no columns")
    datasets.DatasetDict({"train": nothing, "test": nothing}).save_to_disk(tmp_path / "splits")
    datasets.DatasetDict({}).save_to_disk(tmp_path / "no splits")
    for name in ("gone", "lfs", "info"):
        table().save_to_disk(tmp_path / name)
    (tmp_path / "gone/data-00000-of-00001.arrow").unlink()
    (tmp_path / "lfs/data-00000-of-00001.arrow").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "info/state.json").unlink()
    shutil.copytree(tmp_path / "some", tmp_path / "part")
    shutil.rmtree(tmp_path / "part/dev")
    (tmp_path / "some/dataset_dict.json").write_text("<html>")
    errors = {
        "empty": "the saved dataset is empty: it has no rows",
        "no columns": "the saved dataset is empty: it has no rows",
        "splits": "the saved dataset is empty: no rows in train, test",
        "no splits": "names no splits",
        "gone": "no data-00000-of-00001.arrow in it, though state.json names it",
        "lfs": "data-00000-of-00001.arrow: a Git LFS pointer",
        "info": "it has a dataset_info.json but no state.json",
        "part": "part/dev: no state.json in it, though dataset_dict.json names this split",
        "some": "its dataset_dict.json can't be read",
    }
    for name, says in errors.items():
        result = here("ingest", name, "--out", "out", cwd=tmp_path)
        assert result.returncode == 2 and says in result.stderr and result.stderr.count("\n") == 1, result.stderr
        assert "HF_TOKEN" not in result.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(SourceError, match="the split test is empty"):
        opened(tmp_path / "part", split="test")
    assert len(list(opened(tmp_path / "part", split="train").rows())) == 2


@pytest.mark.parametrize("format", ["numpy", "arrow", None])
def test_the_format_that_a_dataset_was_saved_with(tmp_path, format):
    data = table(3)
    data.set_format(format, columns=["caption"])
    data.save_to_disk(tmp_path / "saved")
    rows = list(opened(tmp_path / "saved").rows())
    assert [row.caption for row in rows] == ["Picture 0.", "Picture 1.", "Picture 2."]
    assert all(row.read_image() for row in rows)


def test_rows_in_many_batches(tmp_path):
    data = datasets.Dataset.from_dict(
        {"image": [f"{n}.jpg" for n in range(50)], "caption": [str(n) for n in range(50)]}
    )
    data.select(range(49, -1, -1)).save_to_disk(tmp_path / "saved", num_shards=3)
    assert [row.caption for row in opened(tmp_path / "saved").rows()] == [str(n) for n in range(49, -1, -1)]


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


def test_a_caption_that_is_no_utf8_costs_its_row(tmp_path):
    column = pa.array([b"\xff", b"A."]).view(pa.utf8())
    datasets.Dataset(pa.table({"image": ["a", "b"], "caption": column})).save_to_disk(tmp_path / "saved")
    first, second = opened(tmp_path / "saved").rows()
    assert accept(first, "0", Limits()).reason == SkipReason.CAPTION_ENCODING
    assert second.caption == "A."


def test_a_break_in_the_middle_is_no_end(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"image": "a", "caption": "A."}\n' * 3)
    source = opened(tmp_path)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(SourceError, match=r"saved, row 0 of train: can't be read: .*; run the command again"):
        list(source.rows())


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
from glitbuild.stages.ingest.registry import SourceOptions, open_sources
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
