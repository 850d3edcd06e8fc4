"""``ingest --retry-skipped``: what failed to download comes later, in its place, wherever a run is stopped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glitbuild.errors import ShardFailedError
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.validate import validate
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from tests.engine.workers import CentreWorker
from tests.run import tree
from tests.stages.ingest.download.server import Server
from tests.stages.ingest.test_worker_downloads import PICTURES, outcomes, run, write_rows
from tests.stopping import stopped

ONCE = "status-503-once"
FAULTS = ["ok", ONCE, "ok", "status-404", ONCE, "ok", ONCE, "html", "ok", ONCE, "ok", "opt-out", ONCE]
"""In shards of two; a first run without retries has 5 samples, a second finds five more."""
FIRST, LATER = [0, 2, 5, 8, 10], [1, 4, 6, 9, 12]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(PICTURES) as running:
        yield running


@pytest.fixture
def source(server: Server, tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", server, FAULTS)


@pytest.fixture
def out(source: Path, tmp_path: Path) -> Path:
    """A finished dataset in which rows are missing that would come now."""
    again(tmp_path / "out", source)
    assert samples(tmp_path / "out") == FIRST
    return tmp_path / "out"


def again(out: Path, source: Path, **more: Any) -> Any:
    return run(out, source, **({"shard_size": 2, "retries": 0} | more))


def samples(out: Path) -> list[int]:
    return [row for row, reason in outcomes(out).items() if reason is None]


def test_what_failed_comes_in_its_place(source: Path, out: Path, server: Server) -> None:
    before = tree(out, "*.tar")
    server.asked.clear()
    server.asked.update({f"/{ONCE}/{row}.jpg": 1 for row in LATER})
    asked = server.asked.copy()
    result = again(out, source, retry_skipped=True)
    assert samples(out) == sorted(FIRST + LATER)
    after = tree(out, "*.tar")
    changed = {row // 2 for row in LATER}
    assert {name for name in before if after[name] != before[name]} == {f"shards/{i:05d}.tar" for i in changed}
    tried = {int(name.split("/")[-1][:-4]) for name in (server.asked - asked)}
    assert tried == {*LATER, 3}, "only what failed to download is asked for"
    assert result.manifest.skipped == {"download_failed": 1, "download_opt_out": 1, "image_not_an_image": 1}
    again(out.parent / "whole", source, retries=1)
    assert tree(out) == tree(out.parent / "whole"), "a first success would have given the same bytes"


def test_afterwards_there_is_nothing_to_do(source: Path, out: Path) -> None:
    again(out, source, retry_skipped=True)
    before = tree(out)
    assert again(out, source).done_before
    assert tree(out) == before
    # The row that failed again is tried each time it is asked for, and nothing changes if that is in vain.
    assert not again(out, source, retry_skipped=True).done_before
    assert tree(out) == before


def test_nothing_is_tried_that_would_end_the_same_way(source: Path, out: Path, server: Server) -> None:
    rows = write_rows(source.with_name("other.jsonl"), server, ["ok", "html", "opt-out", "redirect-file", "large"])
    other = out.with_name("other")
    again(other, rows)
    server.asked.clear()
    assert again(other, rows, retry_skipped=True, allow_private_hosts=False).done_before
    assert not server.asked
    again(other, rows, retry_skipped=True, allow_private_hosts=False, max_download_bytes=1 << 21)
    assert not server.asked  # it would have been: this machine is refused
    result = again(other, rows, retry_skipped=True, ignore_opt_out=True)
    assert samples(other) == [0, 2]
    assert result.manifest.skipped["download_refused"] == 1


def test_a_first_run_may_try_again_at_its_end(source: Path, tmp_path: Path) -> None:
    again(tmp_path / "out", source, retry_skipped=True)
    assert samples(tmp_path / "out") == sorted(FIRST + LATER)


def test_rows_are_tried_again_and_again(source: Path, out: Path, server: Server) -> None:
    del server.asked[f"/{ONCE}/4.jpg"]  # fails once more
    again(out, source, retry_skipped=True)
    assert samples(out) == sorted({*FIRST, *LATER} - {4})
    again(out, source, retry_skipped=True)
    assert samples(out) == sorted(FIRST + LATER)


@pytest.mark.parametrize("mode", ["keep", "exact", "near"])
def test_a_picture_that_comes_late_and_the_one_that_it_repeats(
    source: Path, out: Path, server: Server, mode: str
) -> None:
    """Rows four apart have one picture. 1, 3 and 7 come late, and 5, which came before, then repeats 1."""
    rows = write_rows(source.with_name("repeats.jsonl"), server, ["ok", ONCE, "ok", ONCE, "ok", "ok", "ok", ONCE])
    other = out.with_name("repeats")
    server.asked.clear()
    again(other, rows, duplicates=mode)
    assert outcomes(other)[5] is None
    again(other, rows, duplicates=mode, retry_skipped=True)
    assert outcomes(other) == {row: "duplicate_image" if row >= 4 and mode != "keep" else None for row in range(8)}
    again(out.with_name("whole"), rows, duplicates=mode)
    assert tree(other) == tree(out.with_name("whole"))
    assert again(other, rows, duplicates=mode).done_before


@pytest.mark.parametrize("damage", ["the shard", "the list"])
def test_a_damaged_shard_is_not_copied_from(source: Path, out: Path, damage: str) -> None:
    path = out / ("shards/00000.tar" if damage == "the shard" else "skipped/00000.jsonl")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardFailedError, match="00000"):
        again(out, source, retry_skipped=True)
    assert not (out / "manifest.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["retried again", "plainly run again"])
def test_wherever_it_is_stopped_the_next_run_ends_well(
    source: Path, tmp_path: Path, server: Server, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each file that appears or goes, once."""
    out = tmp_path / "out"
    write_rows(source, server, ["ok", ONCE, ONCE, "status-404", "ok"])
    again(out, source)
    finished = tree(out)
    steps = 0
    while stopped(lambda: again(out, source, retry_skipped=True), steps, monkeypatch):
        again(out, source, retry_skipped=not plain)
        found = samples(out)  # which validates
        assert {0, 4} <= set(found) <= {0, 1, 2, 4}
        if not plain:
            assert found == [0, 1, 2, 4]
        assert again(out, source).done_before
        for name in tree(out):
            (out / name).unlink()
        for name, data in finished.items():
            (out / name).write_bytes(data)
        steps += 1
    assert steps > 10, "it was hardly ever stopped"


@pytest.mark.slow
@pytest.mark.parametrize("lost", [[0], [6], [0, 3], [3, 4, 5], [0, 1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("manifest", [True, False])
def test_a_lost_shard_comes_back(source: Path, out: Path, lost: list[int], manifest: bool) -> None:
    again(out, source, retry_skipped=True)
    before = tree(out)
    for shard in lost:
        (out / f"shards/{shard:05d}.json").unlink()
    if not manifest:
        (out / "manifest.json").unlink()
    again(out, source)
    assert tree(out) == before
    assert again(out, source).done_before


def test_a_match_goes_on_with_the_changed_shards_alone(source: Path, out: Path, tmp_path: Path) -> None:
    options = MatchOptions(str(out), str(tmp_path / "pairs"), workers=0, detector="none")
    run_match(options, plain=True, build=CentreWorker)
    before = tree(tmp_path / "pairs", "*.tar")
    again(out, source, retry_skipped=True)
    result = run_match(options, plain=True, build=CentreWorker)
    after = tree(tmp_path / "pairs", "*.tar")
    changed = {f"shards/{row // 2:05d}.tar" for row in LATER}
    assert {name for name in before if after[name] != before[name]} == changed
    assert result.manifest.totals["samples"] == len(FIRST + LATER)
    assert list(validate(*open_dataset(str(tmp_path / "pairs")))) == []
