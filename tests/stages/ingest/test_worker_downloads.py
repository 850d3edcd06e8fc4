"""``ingest`` of rows whose images are addresses, from a server that fails in every way."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glitbuild.engine.task import Result
from glitbuild.errors import ConfigError, OptionsChangedError
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.store import Store
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest import worker
from glitbuild.stages.ingest.accept import Limits
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.download import pool
from glitbuild.stages.ingest.download.fetch import DownloadOptions
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.ingest.plan import IngestTask, Start, cut_sources
from glitbuild.stages.ingest.registry import SourceOptions, open_sources
from glitbuild.stages.ingest.worker import IngestPlan
from tests.factories import jpeg
from tests.run import tree
from tests.stages.ingest.download.server import FAULTS, Server

pytestmark = pytest.mark.slow

PICTURES = [jpeg(60, 40, seed=seed) for seed in range(4)]
QUICK: dict[str, Any] = {
    "retries": 1,
    "retry_wait": 0.01,
    "max_download_bytes": 1 << 20,
    "allow_private_hosts": True,
    "shard_size": 5,
    "duplicates": "keep",
}
SHORT: dict[str, Any] = {"timeout": 1.5, "total_timeout": 2.5}
"""For servers that stall; others have more time than a busy machine ever takes."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(PICTURES) as running:
        yield running


def write_rows(path: Path, server: Server, faults: list[str]) -> Path:
    rows = [
        {"url": server.url(f"{fault}/{number}.jpg"), "caption": f"Noise number {number}."}
        for number, fault in enumerate(faults)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(out: Path, source: Path, **more: Any) -> Result:
    return run_ingest(IngestOptions((str(source),), str(out), **(QUICK | more)))


def outcomes(out: Path) -> dict[int, str | None]:
    """Return each row's reason, or None for a sample, having checked the dataset."""
    store, manifest = open_dataset(str(out))
    assert list(validate(store, manifest)) == []
    found: dict[int, str | None] = {}
    for entry in manifest.shards:
        for sample, data in read_shard(store, entry.name, entry.sha256):
            number = int(sample.key)
            assert data == PICTURES[number % len(PICTURES)]
            assert sample.caption == f"Noise number {number}."
            assert sample.source.url.endswith(f"/{number}.jpg")
            found[number] = None
        found |= {int(skip.key): str(skip.reason) for skip in read_skipped(store, entry.name)}
    return dict(sorted(found.items()))


def test_every_row_ends_as_a_sample_or_with_the_right_reason(server: Server, tmp_path: Path) -> None:
    faults = [part for fault in FAULTS for part in ("ok", "ok", fault)]
    result = run(tmp_path / "out", write_rows(tmp_path / "rows.jsonl", server, faults), **SHORT)
    found = outcomes(tmp_path / "out")
    assert list(found) == list(range(len(faults)))
    for number, fault in enumerate(faults):
        assert found[number] in FAULTS.get(fault, {None}), fault
    assert {entry.samples + entry.skipped for entry in result.manifest.shards[:-1]} == {5}


def test_a_slow_row_does_not_change_the_order_or_the_bytes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "rows.jsonl", server, ["stall", *["ok"] * 20, "status-503-once", "html"])
    run(tmp_path / "out", source, **SHORT)
    server.asked.clear()
    monkeypatch.setattr(worker, "FAR", 3)
    monkeypatch.setattr(pool, "HELD_BYTES", 1)
    run(tmp_path / "one", source, connections=1, **SHORT)
    details = [tree(tmp_path / name, "*.tar") for name in ("out", "one")]
    assert details[0] == details[1]
    assert outcomes(tmp_path / "out") == outcomes(tmp_path / "one")


def test_only_the_rows_that_could_become_samples_are_asked_for(server: Server, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "image": server.url("ok/0.jpg"), "caption": "Noise number 0."},
        {"id": "b", "image": server.url("ok/1.jpg"), "caption": " "},
        {"id": "a", "image": server.url("ok/2.jpg"), "caption": "Noise number 2."},
        {"id": "c", "image": "http://", "caption": "Noise number 3."},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(tmp_path / "out", tmp_path / "rows.jsonl")
    assert list(outcomes(tmp_path / "out").values()) == [None, "caption_empty", "duplicate_key", "download_refused"]
    assert server.asked == {"/ok/0.jpg": 1}


def test_options_of_the_network_may_change_and_addresses_may_not(server: Server, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl", server, ["ok", "status-404"])
    run(tmp_path / "out", source)
    before = tree(tmp_path / "out")
    assert run(tmp_path / "out", source, retries=0, connections=3, timeout=9.0, max_download_bytes=9).done_before
    assert tree(tmp_path / "out") == before
    rows = [json.loads(line) | {"id": str(n)} for n, line in enumerate(source.read_text().splitlines())]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(tmp_path / "named", source)
    rows[0]["url"] += "?other"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(OptionsChangedError, match="another input"):
        run(tmp_path / "named", source)


@pytest.mark.parametrize("lost", [[1], [0, 1], [1, 2], [3]])
def test_a_lost_shard_has_the_same_rows_however_downloads_go(
    server: Server, tmp_path: Path, lost: list[int]
) -> None:
    faults = ["ok"] * 4 + ["status-503-once"] * 3 + ["ok"] * 5
    source, out = write_rows(tmp_path / "rows.jsonl", server, faults), tmp_path / "out"
    first = run(out, source, shard_size=3, retries=0)
    assert [(entry.samples, entry.skipped) for entry in first.manifest.shards] == [(3, 0), (1, 2), (2, 1), (3, 0)]
    for shard in lost:
        (out / f"shards/{shard:05d}.json").unlink()
    asked = server.asked.copy()
    again = run(out, source, shard_size=3, retries=0)
    whole = [3 if shard in lost else samples for shard, samples in enumerate([3, 1, 2, 3])]
    assert [entry.samples for entry in again.manifest.shards] == whole
    outcomes(out)
    downloaded = {int(name.split("/")[-1][:-4]) for name in (server.asked - asked)}
    expected = {row for shard in lost for row in range(3 * shard, 3 * shard + 3)}
    assert downloaded == expected, "a finished shard was downloaded again"


def test_a_slow_row_does_not_keep_the_rows_of_its_range_waiting(server: Server, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl", server, ["stall", *["ok"] * 40])
    run(tmp_path / "out", source, shard_size=100, **SHORT)
    assert list(outcomes(tmp_path / "out").values()) == ["download_timeout", *[None] * 40]


def test_both_ways_of_beginning_anew_are_not_given_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--retry-skipped"):
        IngestOptions(("a",), "b", overwrite=True, retry_skipped=True)


def test_without_addresses_nothing_of_the_network_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool.Downloads, "__init__", lambda *_: pytest.fail("downloads were begun"))
    (tmp_path / "a.jpg").write_bytes(PICTURES[0])
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "a.jpg", "url": "http://a.org/a.jpg", "text": "A."}))
    result = run(tmp_path / "out", tmp_path / "rows.jsonl")
    assert result.manifest.totals["samples"] == 1
    ((sample, _),) = read_shard(Store(str(tmp_path / "out")), "00000", result.manifest.shards[0].sha256)
    assert sample.source.url == "http://a.org/a.jpg"


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.5])
def test_a_closed_worker_keeps_nobody_waiting(server: Server, tmp_path: Path, delay: float) -> None:
    """Wherever its rows are: being downloaded, or waiting for a thread."""
    source = write_rows(tmp_path / "rows.jsonl", server, ["stall", *["ok"] * 30])
    sources = tuple(open_sources([str(source)], SourceOptions()))
    download = DownloadOptions(allow_private_hosts=True, timeout=200.0, total_timeout=200.0)
    plan = IngestPlan(str(tmp_path / "out"), sources, 0, Limits(), {"stage": "ingest"}, download, False, False, 1)
    closing = worker.IngestWorker(plan)
    (found,) = cut_sources(sources, 100, Start())
    failed: list[BaseException] = []

    def work() -> None:
        try:
            closing.run(IngestTask(found.shard, found.described, found.cut))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(delay)
    closing.close()
    thread.join(30)
    assert not thread.is_alive() and len(failed) == 1
    assert not list((tmp_path / "out").glob("shards/*.json"))
