"""``ingest --retry-skipped``: what failed to download comes later, wherever a run is stopped in between."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glitbuild.engine.match import run_match
from glitbuild.engine.options import MatchOptions
from glitbuild.shards import store
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.shards.retried import settle
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store
from glitbuild.shards.validate import validate
from tests.engine.test_downloads import PICTURES, outcomes, run, write_rows
from tests.engine.workers import CentreWorker
from tests.ingest.download.server import Server
from tests.run import tree

ONCE = "status-503-once"
FAULTS = ["ok", ONCE, "ok", "status-404", ONCE, "ok", ONCE, "html", "ok", ONCE, "ok", "opt-out", ONCE]
"""A first run without retries has 5 samples in shards of two; a second finds five more, in three shards."""
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


def test_what_failed_comes_in_shards_behind_the_others(source: Path, out: Path, server: Server) -> None:
    before = tree(out, "*.tar")
    server.asked.clear()
    server.asked.update({f"/{ONCE}/{row}.jpg": 1 for row in LATER})
    asked = server.asked.copy()
    result = again(out, source, retry_skipped=True)
    assert samples(out) == sorted(FIRST + LATER)
    assert [entry.samples for entry in result.manifest.shards] == [2, 2, 1, 2, 2, 1]
    after = tree(out, "*.tar")
    assert {name: after[name] for name in before} == before
    tried = {int(name.split("/")[-1][:-4]) for name in (server.asked - asked)}
    assert tried == {*LATER, 3}, "only what failed to download is asked for"
    assert result.manifest.skipped == {"download_failed": 1, "download_opt_out": 1, "image_not_an_image": 1}
    # The keys and the pictures are those that a first success would have had.
    again(out.parent / "whole", source, retries=1)
    expected = {s.key: (s, data) for s, data in all_samples(out.parent / "whole")}
    assert {s.key: (s, data) for s, data in all_samples(out)} == expected


def all_samples(out: Path) -> list[Any]:
    found, manifest = open_dataset(str(out))
    return [pair for entry in manifest.shards for pair in read_shard(found, entry.name, entry.sha256)]


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
    """What fails the second time beside others that come moves with them, and on from there."""
    del server.asked[f"/{ONCE}/4.jpg"]  # fails once more
    again(out, source, retry_skipped=True)
    assert samples(out) == sorted({*FIRST, *LATER} - {4})
    result = again(out, source, retry_skipped=True)
    assert samples(out) == sorted(FIRST + LATER)
    third = Sidecar.read(Store(str(out)), "00003")
    assert third is not None
    assert third.input == {"of": 13, "retried": [1, 3, 4, 6], "moved": {"00005": [3, 4]}}
    assert [(entry.samples, entry.skipped) for entry in result.manifest.shards[3:]] == [(2, 0), (2, 0), (1, 1)]


@pytest.mark.parametrize("lost", [[3], [5], [0, 3], [3, 5], [1, 3, 5]])
def test_a_shard_that_rows_came_to_and_went_from_comes_back(
    source: Path, out: Path, server: Server, lost: list[int]
) -> None:
    del server.asked[f"/{ONCE}/4.jpg"]
    again(out, source, retry_skipped=True)
    again(out, source, retry_skipped=True)
    for shard in lost:
        (out / f"shards/{shard:05d}.json").unlink()
    again(out, source)
    assert samples(out) == sorted(FIRST + LATER)
    assert again(out, source).done_before


@pytest.mark.parametrize("mode", ["keep", "exact", "near"])
def test_a_picture_that_comes_late_must_not_repeat_another(
    source: Path, out: Path, server: Server, mode: str
) -> None:
    """Rows four apart have one picture. 1, 3 and 7 come late: 1 repeats 5, which came before, and 7 repeats 3."""
    rows = write_rows(source.with_name("repeats.jsonl"), server, ["ok", ONCE, "ok", ONCE, "ok", "ok", "ok", ONCE])
    other = out.with_name("repeats")
    server.asked.clear()
    again(other, rows, duplicates=mode)
    again(other, rows, duplicates=mode, retry_skipped=True)
    late = {1: "duplicate_image", 4: "duplicate_image", 6: "duplicate_image", 7: "duplicate_image"}
    expected = {row: late.get(row) if mode != "keep" else None for row in range(8)}
    assert outcomes(other) == expected
    assert again(other, rows, duplicates=mode).done_before
    # What came late is known to a later run, too.
    (other / "shards/00000.json").unlink()
    (other / "manifest.json").unlink()
    again(other, rows, duplicates=mode)
    assert outcomes(other) == expected


class Stopped(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("plain", [False, True], ids=["retried again", "plainly run again"])
def test_wherever_it_is_stopped_the_next_run_ends_well(
    source: Path, out: Path, server: Server, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each file that appears or goes, once."""
    finished = tree(out)
    steps = 0
    while stopped(lambda: again(out, source, retry_skipped=True), steps, monkeypatch):
        again(out, source, retry_skipped=not plain)
        found = samples(out)  # which validates
        assert set(FIRST) <= set(found) <= {*FIRST, *LATER}
        if not plain:
            assert found == sorted(FIRST + LATER)
        assert again(out, source).done_before
        for name in tree(out):
            (out / name).unlink()
        for name, data in finished.items():
            (out / name).write_bytes(data)
        steps += 1
    assert steps > 20, "it was hardly ever stopped"


def stopped(action: Callable[[], object], steps: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run until so many files appeared or were removed; return whether it was stopped by that."""
    replace_, remove, taken = store.os.replace, Store.remove, 0

    def step() -> None:
        nonlocal taken
        if taken == steps:
            raise Stopped
        taken += 1

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "replace", lambda *names: (step(), replace_(*names)))
        patch.setattr(Store, "remove", lambda *name: (step(), remove(*name)))
        try:
            action()
        except Stopped:
            return True
    return False


@pytest.mark.parametrize(
    "lost", [[0], [1], [2], [3], [4], [5], [0, 3], [2, 5], [3, 4, 5], [0, 1, 2], [0, 1, 2, 3, 4, 5]]
)
@pytest.mark.parametrize("manifest", [True, False])
def test_a_lost_shard_comes_back(source: Path, out: Path, lost: list[int], manifest: bool) -> None:
    again(out, source, retry_skipped=True)
    for shard in lost:
        (out / f"shards/{shard:05d}.json").unlink()
    if not manifest:
        (out / "manifest.json").unlink()
    again(out, source)
    assert samples(out) == sorted(FIRST + LATER)
    assert again(out, source).done_before


def test_a_changed_input_is_seen_behind_retried_rows(source: Path, out: Path) -> None:
    again(out, source, retry_skipped=True)
    before, text = tree(out), source.read_text()
    for change in (text + text.splitlines(keepends=True)[0], "".join(text.splitlines(keepends=True)[:-1])):
        source.write_text(change)
        for options in ({}, {"retry_skipped": True}):
            with pytest.raises(Exception, match="another input"):
                again(out, source, **options)
        assert tree(out) == before
        (out / "manifest.json").unlink()
        with pytest.raises(Exception, match="another input"):
            again(out, source)
        source.write_text(text)
        again(out, source)
        assert tree(out) == before


def test_settling_twice_is_settling_once(source: Path, out: Path) -> None:
    again(out, source, retry_skipped=True)
    before = tree(out)
    settle(Store(str(out)))
    assert tree(out) == before


DAMAGE: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "a row that two shards have": ("00000", lambda record: record.pop("moved"), "00000.json"),
    "a row that moved nowhere": ("00001", lambda record: record["moved"].update({"00007": [3]}), "00001.json"),
    "another row": ("00003", lambda record: record["retried"].append(7), "00003.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_validate_sees_rows_that_are_in_two_shards_or_in_none(source: Path, out: Path, damage: str) -> None:
    again(out, source, retry_skipped=True)
    shard, change, says = DAMAGE[damage]
    found = Store(str(out))
    sidecar = Sidecar.read(found, shard)
    assert sidecar is not None
    change(sidecar.input)
    sidecar.write(found)
    assert any(says in str(problem) for problem in validate(*open_dataset(str(out))))


def test_a_match_goes_on_with_the_new_shards_alone(source: Path, out: Path, tmp_path: Path) -> None:
    options = MatchOptions(str(out), str(tmp_path / "pairs"), workers=0, detector="none")
    run_match(options, plain=True, build=CentreWorker)
    before = tree(tmp_path / "pairs", "*.tar")
    again(out, source, retry_skipped=True)
    result = run_match(options, plain=True, build=CentreWorker)
    after = tree(tmp_path / "pairs", "*.tar")
    assert {name: after[name] for name in before} == before
    assert result.manifest.totals["samples"] == len(FIRST + LATER)
    assert list(validate(*open_dataset(str(tmp_path / "pairs")))) == []
