"""Downloads with ``--duplicates`` and ``--exclude``: no picture comes twice, whenever a row succeeds."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pytest

from glitbuild.engine.task import Result
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.images.pictures import smooth
from tests.run import tree
from tests.stages.ingest.download.server import Server
from tests.stages.ingest.test_worker_downloads import QUICK
from tests.stopping import stopped

pytestmark = pytest.mark.slow

LATE = "status-503-once"
"""The first request fails, the second brings the picture."""


def encoded(seed: int, **options: Any) -> bytes:
    file = io.BytesIO()
    smooth(seed, (300, 200)).save(file, "JPEG", **options)
    return file.getvalue()


PICTURES = [encoded(0), encoded(1), encoded(2), encoded(3), encoded(0, quality=60)]
"""The last looks like the first."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(PICTURES) as running:
        yield running


class Dataset:
    """One that is made of addresses ``FAULT/PICTURE.jpg``, where a query may tell equal ones apart."""

    def __init__(self, folder: Path, server: Server, addresses: list[str]) -> None:
        rows = [{"url": server.url(path), "caption": f"No. {row}."} for row, path in enumerate(addresses)]
        self.source, self.out = folder / "rows.jsonl", folder / "out"
        self.source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(self, retry: bool = False, **more: Any) -> Result:
        options = QUICK | {"retries": 0, "shard_size": 2, "duplicates": "exact", "retry_skipped": retry} | more
        return run_ingest(IngestOptions((str(self.source),), str(self.out), **options))

    def lose(self, *shards: int) -> None:
        for shard in shards:
            (self.out / f"shards/{shard:05d}.json").unlink()

    def rows(self) -> dict[int, str]:
        """Return for each row why it was skipped, or an empty string, having checked the dataset."""
        store, manifest = open_dataset(str(self.out))
        assert list(validate(store, manifest)) == []
        found: dict[int, str] = {}
        for entry in manifest.shards:
            found |= {int(sample.key): "" for sample, _ in read_shard(store, entry.name, entry.sha256)}
            for skip in read_skipped(store, entry.name):
                repeats = skip.detail.split(":")[0].removeprefix("repeats ")
                found[int(skip.key)] = repeats if "image" in skip.reason else skip.reason
        assert manifest.totals["samples"] == list(found.values()).count("")
        assert sum(manifest.skipped.values()) == len(found) - manifest.totals["samples"]
        return dict(sorted(found.items()))


def key(row: int) -> str:
    return f"{row:09d}"


@pytest.mark.parametrize(("mode", "of_the_like"), [("exact", ""), ("near", key(0))])
def test_what_comes_late_and_repeats_a_sample_is_skipped(
    mode: str, of_the_like: str, server: Server, tmp_path: Path
) -> None:
    addresses = ["ok/0.jpg", f"{LATE}/1.jpg", "ok/2.jpg", "ok/1.jpg", f"{LATE}/3.jpg", f"{LATE}/4.jpg"]
    data = Dataset(tmp_path, server, addresses)
    data.run(duplicates=mode)
    assert [row for row, why in data.rows().items() if why == "download_failed"] == [1, 4, 5]
    assert data.rows()[3] == ""
    data.run(True, duplicates=mode)
    assert data.rows() == {0: "", 1: "", 2: "", 3: key(1), 4: "", 5: of_the_like}, "the lowest row wins"
    before = tree(data.out)
    assert data.run(duplicates=mode).done_before
    server.asked.clear()
    assert data.run(True, duplicates=mode).done_before, "a duplicate is no failed download"
    assert not server.asked
    assert tree(data.out) == before


def test_rows_that_come_late_repeat_one_another_in_this_run_and_in_the_next(server: Server, tmp_path: Path) -> None:
    addresses = ["ok/0.jpg", f"{LATE}/1.jpg", f"{LATE}/1.jpg?again", f"{LATE}/1.jpg?at-last", f"{LATE}/2.jpg"]
    data = Dataset(tmp_path, server, addresses)
    data.run()
    del server.asked[f"/{LATE}/1.jpg?at-last"]
    data.run(True)
    assert data.rows() == {0: "", 1: "", 2: key(1), 3: "download_failed", 4: ""}
    before = tree(data.out, "*.tar")
    data.run(True)
    assert data.rows() == {0: "", 1: "", 2: key(1), 3: key(1), 4: ""}
    assert tree(data.out, "*.tar") == before, "what came is no sample"


def test_the_captions_of_one_address_are_all_samples(server: Server, tmp_path: Path) -> None:
    data = Dataset(tmp_path, server, ["ok/0.jpg", "opt-out/1.jpg", "opt-out/1.jpg", "ok/0.jpg", "ok/0.jpg?other"])
    data.run()
    assert data.rows() == {0: "", 1: "download_opt_out", 2: "download_opt_out", 3: "", 4: key(0)}
    data.run(True, ignore_opt_out=True)
    assert data.rows() == {0: "", 1: "", 2: "", 3: "", 4: key(0)}


def test_what_comes_late_may_be_excluded(server: Server, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    smooth(1, (450, 300)).save(tmp_path / "photos/a.png")
    (tmp_path / "photos/a.txt").write_text("Another.")
    other = str(tmp_path / "test-set")
    run_ingest(IngestOptions((str(tmp_path / "photos"),), other))
    data = Dataset(tmp_path, server, ["ok/0.jpg", "ok/1.jpg", f"{LATE}/1.jpg?again", f"{LATE}/2.jpg"])
    for mode in ("keep", "exact"):
        server.asked.clear()
        data.run(duplicates=mode, exclude=(other,), overwrite=True)
        data.run(True, duplicates=mode, exclude=(other,))
        assert data.rows() == {0: "", 1: f"{key(0)} of test-set", 2: f"{key(0)} of test-set", 3: ""}
        assert data.run(duplicates=mode, exclude=(other,)).done_before


@pytest.mark.parametrize("manifest", [True, False])
def test_a_shard_that_is_made_again_repeats_nothing_behind_it(
    server: Server, tmp_path: Path, manifest: bool
) -> None:
    data = Dataset(tmp_path, server, ["ok/0.jpg", f"{LATE}/1.jpg", "ok/2.jpg", "ok/1.jpg", "ok/3.jpg"])
    data.run()
    data.lose(0)
    if not manifest:
        (data.out / "manifest.json").unlink()
    data.run()
    assert data.rows() == {0: "", 1: "", 2: "", 3: key(1), 4: ""}


def test_a_shard_that_is_made_again_repeats_nothing_that_came_late(server: Server, tmp_path: Path) -> None:
    data = Dataset(tmp_path, server, ["ok/0.jpg", f"{LATE}/1.jpg", "opt-out/1.jpg", "ok/2.jpg", "ok/3.jpg"])
    data.run()
    data.run(True)
    assert data.rows() == {0: "", 1: "", 2: "download_opt_out", 3: "", 4: ""}
    data.lose(0)
    data.run(ignore_opt_out=True)
    assert data.rows() == {0: "", 1: "", 2: "download_opt_out", 3: "", 4: ""}
    data.lose(1)
    data.run(ignore_opt_out=True)
    assert data.rows() == {0: "", 1: "", 2: key(1), 3: "", 4: ""}


def test_wherever_it_is_stopped_no_picture_comes_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each file that appears or goes, once."""
    late = [f"{LATE}/{name}" for name in ("1.jpg", "2.jpg", "3.jpg?a", "3.jpg")]
    data = Dataset(tmp_path, server, ["ok/0.jpg", late[0], "ok/2.jpg", late[1], "ok/0.jpg?b", *late[2:]])
    data.run()
    finished = tree(data.out)
    expected = {0: "", 1: "", 2: "", 3: key(2), 4: key(0), 5: "", 6: key(5)}
    steps = 0
    while stopped(lambda: data.run(True), steps, monkeypatch):
        data.run()
        kept = [[0, 1, 2, 2, 0, 3, 3][row] for row, why in data.rows().items() if not why]
        assert len(set(kept)) == len(kept)
        data.run(True)
        assert data.rows() == expected
        assert data.run().done_before
        for name in tree(data.out):
            (data.out / name).unlink()
        for name, content in finished.items():
            (data.out / name).write_bytes(content)
        steps += 1
    assert steps > 8, "it was hardly ever stopped"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_table_elsewhere_without_captions(server: Server, tmp_path: Path, suffix: str) -> None:
    table = datasets.Dataset.from_dict({"url": [server.url(f"ok/{number}.jpg") for number in (0, 1, 0)]})
    written = io.BytesIO()
    {"jsonl": table.to_json, "csv": table.to_csv, "parquet": table.to_parquet}[suffix](written)
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/{tmp_path.name}/rows.{suffix}", written.getvalue())
    try:
        options = QUICK | {"captions": False, "duplicates": "exact"}
        place, out = f"memory://{tmp_path.name}/rows.{suffix}", str(tmp_path / "out")
        manifest = run_ingest(IngestOptions((place,), out, **options)).manifest
    finally:
        memory.rm(f"/{tmp_path.name}", recursive=True)
    assert (manifest.totals["samples"], manifest.skipped) == (2, {"duplicate_image": 1})
    assert list(validate(*open_dataset(out))) == []


@pytest.mark.parametrize("mode", ["exact", "near"])
def test_a_repeated_picture_comes_back_when_the_one_that_it_repeats_is_gone(tmp_path: Path, mode: str) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(PICTURES[0])
    rows = [{"image": name, "caption": f"No. {name}."} for name in ("a.jpg", "b.jpg", "c.jpg")]
    source, out = tmp_path / "rows.jsonl", tmp_path / "out"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = IngestOptions((str(source),), str(out), shard_size=1, duplicates=mode)  # type: ignore[arg-type]
    assert run_ingest(options).manifest.totals["samples"] == 1
    (tmp_path / "a.jpg").unlink()
    (out / "shards/00000.json").unlink()
    manifest = run_ingest(options).manifest
    assert [entry.samples for entry in manifest.shards] == [0, 1, 0]
    assert manifest.skipped == {"duplicate_image": 1, "image_missing": 1}
    assert [skip.detail for skip in read_skipped(open_dataset(str(out))[0], "00002")] == [
        "repeats 000000001: the same bytes"
    ]
    before = tree(out)
    run_ingest(replace(options, overwrite=True))
    assert tree(out) == before
