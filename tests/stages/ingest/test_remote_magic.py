"""Files that are something else than their names say: one line that tells what, and nothing is written."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glitbuild.errors import SourceError
from glitbuild.stages.ingest.registry import SourceOptions, open_sources
from tests.run import here
from tests.stages.ingest.conftest import encode_image, write_tar

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"


def tar_bytes(folder: Path) -> bytes:
    return write_tar(folder / "made", [("a.jpg", encode_image()), ("a.txt", "A.")]).read_bytes()


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.tar", data)
    return buffer.getvalue()


CONTENTS = {
    "gzip": (gzip.compress, "compressed with gzip"),
    "two gzip members": (
        lambda data: gzip.compress(data[:600], mtime=0) + gzip.compress(data[600:], mtime=0),
        "compressed with gzip",
    ),
    "bzip2": (bz2.compress, "compressed with bzip2"),
    "xz": (lzma.compress, "compressed with xz"),
    "zstd": (lambda data: b"\x28\xb5\x2f\xfd" + data, "compressed with zstd"),
    "zip": (zipped, "a ZIP archive"),
    "html": (lambda data: b"\xef\xbb\xbf\n <!DOCTYPE HTML><html>404", "an HTML page"),
    "html without doctype": (lambda data: b"<!-- x --><HTML lang=en>", "an HTML page"),
    "xml": (lambda data: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
    "lfs": (lambda data: LFS, "a Git LFS pointer"),
}


@pytest.mark.parametrize(
    "name", ["x.tar", "x.parquet", "x.jsonl", "x.ndjson", "x.csv", "x.tsv", "x.tar.gz", "x.TAR"]
)
@pytest.mark.parametrize("content", CONTENTS)
def test_one_line_says_what_it_is(tmp_path: Path, name: str, content: str) -> None:
    make, says = CONTENTS[content]
    (tmp_path / name).write_bytes(make(tar_bytes(tmp_path)))
    if "gzip" in content and name.endswith(("jsonl", "ndjson", "csv", "tsv")):
        says = "its first line" if name.endswith("sv") else "it is not JSON Lines"  # these are unpacked
    with pytest.raises(SourceError) as caught:
        open_sources([str(tmp_path / name)], SourceOptions())
    assert str(caught.value).startswith(f"{name}: {says}") and "\n" not in str(caught.value)


def test_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(gzip.compress(tar_bytes(tmp_path), mtime=0))
    result = here("ingest", "x.tar", "--out", "out", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "glitbuild: error: x.tar: compressed with gzip, not a tar; unpack it first, with gunzip or gzip -dc\n"
    )
    assert not (tmp_path / "out").exists()


def test_one_of_many_tars(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars/0.tar").write_bytes(tar_bytes(tmp_path))
    (tmp_path / "tars/1.tar").write_bytes(LFS)
    with pytest.raises(SourceError, match=r"1.tar: a Git LFS pointer, not the file itself; .*git lfs pull"):
        open_sources([str(tmp_path / "tars")], SourceOptions())


def test_tars_and_parquet_files_under_other_names(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"x"], "caption": ["A."]}), tmp_path / "table.pq")
    (tmp_path / "x.tar.gz").write_bytes(tar_bytes(tmp_path))
    (tmp_path / "x.parquet").write_bytes(tar_bytes(tmp_path))
    (tmp_path / "x.csv").write_bytes((tmp_path / "table.pq").read_bytes())
    for name in ("table.pq", "x.tar.gz"):
        (source,) = open_sources([str(tmp_path / name)], SourceOptions())
        assert [row.caption for row in source.rows()] == ["A."]
    for name, says in (
        ("x.parquet", "a tar, not Parquet; .*webdataset"),
        ("x.csv", "Parquet, not a table; .*parquet"),
    ):
        with pytest.raises(SourceError, match=f"{name}: {says}"):
            open_sources([str(tmp_path / name)], SourceOptions())


def test_by_a_url(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file(f"/{tmp_path.name}/x.tar", gzip.compress(b"x", mtime=0))
    fs.pipe_file(f"/{tmp_path.name}/empty.jsonl", b"")
    with pytest.raises(SourceError, match="compressed with gzip"):
        open_sources([f"memory://{tmp_path.name}/x.tar"], SourceOptions())
    with pytest.raises(SourceError, match="no image column"):
        open_sources([f"memory://{tmp_path.name}/empty.jsonl"], SourceOptions())
    fs.rm(f"/{tmp_path.name}", recursive=True)


def test_the_list_of_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(LFS)
    with pytest.raises(SourceError, match=r"list.json: a Git LFS pointer"):
        open_sources([str(tmp_path / "list.json")], SourceOptions(format="sharegpt4v"))
    (tmp_path / "images").mkdir()
    (tmp_path / "docci_descriptions.jsonlines").write_text("<html>")
    with pytest.raises(SourceError, match="an HTML page, not a list"):
        open_sources([str(tmp_path)], SourceOptions(format="docci"))


def test_a_tar_without_ustar_is_read(tmp_path: Path) -> None:
    """As tars before 1988 and some small writers have it."""
    path = tmp_path / "x.tar"
    write_tar(path, [("a.jpg", b"x"), ("a.txt", "A.")])
    data = bytearray(path.read_bytes())
    for at in (0, 1024):
        data[at + 257 : at + 265] = bytes(8)
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % tarfile.calc_chksums(bytes(data[at : at + 512]))[0]
    path.write_bytes(data)
    (source,) = open_sources([str(path)], SourceOptions())
    assert [row.caption for row in source.rows()] == ["A."]
