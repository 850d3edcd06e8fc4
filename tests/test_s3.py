"""The stages with every directory on S3: the same bytes as on a disk."""

import json
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from glitbuild.errors import ConfigError
from glitbuild.shards.output import refuse_overlap
from tests.factories import jpeg
from tests.run import here, tree

pytestmark = pytest.mark.slow

MATCH = ("--workers", "0", "--detector", "none", "--clip-model", "demo")


def content(url: str) -> dict[str, bytes]:
    """Return the content of all files below a URL, by name."""
    fs, root = S3FileSystem(skip_instance_cache=True), url.removeprefix("s3://")
    return {path.removeprefix(f"{root}/"): fs.cat_file(path) for path in fs.find(root)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(jpeg(64, 48, number))
        (folder / f"{number}.txt").write_text(f"Noise number {number}. It has many colours.")
    return folder


def done(*args: object, cwd: Path) -> str:
    result = here(*args, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_ingest_match_validate_and_stats(s3: str, photos: Path, tmp_path: Path) -> None:
    for place in (s3, str(tmp_path / "disk")):
        done("ingest", photos, "--out", f"{place}/raw", "--shard-size", 3, cwd=tmp_path)
        done("match", f"{place}/raw", "--out", f"{place}/pairs", *MATCH, cwd=tmp_path)
    for name in ("raw", "pairs"):
        assert content(f"{s3}/{name}") == tree(tmp_path / "disk" / name)
    assert "valid" in done("validate", f"{s3}/pairs", cwd=tmp_path)
    stats = json.loads(done("stats", f"{s3}/pairs", "--json", cwd=tmp_path))
    assert stats["totals"]["samples"] == 5
    # A shard that is lost comes back, and nothing is left of uploads.
    before, fs = content(f"{s3}/pairs"), S3FileSystem()
    fs.rm(f"{s3}/pairs/shards/00001.json")
    done("match", f"{s3}/raw", "--out", f"{s3}/pairs", *MATCH, cwd=tmp_path)
    assert content(f"{s3}/pairs") == before
    assert fs.list_multipart_uploads(s3.removeprefix("s3://")) == []


def test_inputs_and_excluded_datasets_on_s3(s3: str, photos: Path, tmp_path: Path) -> None:
    fs = S3FileSystem()
    fs.put(f"{photos}/", f"{s3}/photos", recursive=True)
    done("ingest", f"{s3}/photos", "--out", f"{s3}/raw", cwd=tmp_path)
    done("ingest", photos, "--out", "raw", cwd=tmp_path)
    # Rows of a remote folder are known again by what its listing says, and not by their texts.
    there, here_ = content(f"{s3}/raw"), tree(tmp_path / "raw")
    known = [json.loads(found.pop("shards/00000.json")) for found in (there, here_)]
    assert there == here_
    assert known[0]["input"].pop("sha256") != known[1]["input"].pop("sha256")
    assert known[0] == known[1]
    # Its tars are an input, too, and the dataset one to be kept apart from.
    done("ingest", f"{s3}/raw", "--out", "again", cwd=tmp_path)
    assert (tmp_path / "again/shards/00000.tar").read_bytes() == (tmp_path / "raw/shards/00000.tar").read_bytes()
    said = done("ingest", photos, "--out", "none", "--exclude", f"{s3}/raw", cwd=tmp_path)
    assert "skipped 5: excluded_image" in said
    with pytest.raises(ConfigError, match="/raw/: it is the input"):
        refuse_overlap([f"{s3}/raw"], f"{s3}/raw/")
    assert "no such file or folder" in here("ingest", f"{s3}/gone", "--out", "x", cwd=tmp_path).stderr
