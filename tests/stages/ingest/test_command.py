import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.engine.task import Result
from glitbuild.errors import DatasetError, OptionsChangedError, ShardFailedError, SourceError
from glitbuild.records import Source
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import TEMPORARY, Store
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest import command
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.ingest.source import Cut, Row, RowSource, digest_text
from tests.factories import jpeg
from tests.run import tree

JPEGS = [jpeg(seed=seed) for seed in range(4)]


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write a JSONL input, its images beside it."""
    for number, data in enumerate(JPEGS):
        (path.parent / f"{number}.jpg").write_bytes(data)
    (path.parent / "empty.jpg").write_bytes(b"")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(number: int, image: str = "") -> dict[str, str]:
    return {"image": image or f"{number % len(JPEGS)}.jpg", "caption": f"Noise number {number}."}


def bad(number: int) -> dict[str, str]:
    return row(number, "empty.jpg")


def run(out: Path, *sources: Path, size: int = 2, **more: Any) -> Result:
    return run_ingest(IngestOptions(tuple(map(str, sources)), str(out), shard_size=size, **more))


def sizes(out: Path) -> list[tuple[int, int]]:
    """Return the samples and the skipped rows of each shard."""
    assert list(validate(*open_dataset(str(out)))) == []
    return [(entry.samples, entry.skipped) for entry in open_dataset(str(out))[1].shards]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten rows of which three are bad; in shards of two."""
    rows = [row(number) for number in range(10)]
    for number in (1, 6, 9):
        rows[number] = bad(number)
    return write_rows(tmp_path / "rows.jsonl", rows)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def edit(source: Path, change: Callable[[list[str]], object]) -> None:
    lines = source.read_text().splitlines(keepends=True)
    change(lines)
    source.write_text("".join(lines))


# What becomes of the rows.


@pytest.mark.parametrize(
    ("pattern", "size", "expected"),
    [
        ("gggg", 2, [(2, 0), (2, 0)]),
        ("ggggg", 2, [(2, 0), (2, 0), (1, 0)]),
        ("ggbbg", 2, [(2, 0), (0, 2), (1, 0)]),
        ("bgbgbb", 4, [(2, 2), (0, 2)]),
        ("gb", 1, [(1, 0), (0, 1)]),
        ("g", 9, [(1, 0)]),
        ("bbb", 2, [(0, 2), (0, 1)]),
    ],
)
def test_a_shard_is_a_range_of_rows(
    tmp_path: Path, out: Path, pattern: str, size: int, expected: list[tuple[int, int]]
) -> None:
    rows = [row(number) if kind == "g" else bad(number) for number, kind in enumerate(pattern)]
    run(out, write_rows(tmp_path / "rows.jsonl", rows), size=size)
    assert sizes(out) == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.lists(st.booleans(), min_size=1, max_size=14), st.integers(1, 6))
def test_every_row_is_a_sample_or_skipped(
    tmp_path_factory: pytest.TempPathFactory, whole: list[bool], size: int
) -> None:
    folder = tmp_path_factory.mktemp("ingest")
    rows = [row(number) if good else bad(number) for number, good in enumerate(whole)]
    result = run(folder / "out", write_rows(folder / "rows.jsonl", rows), size=size)
    found = sizes(folder / "out")
    assert [entry.name for entry in result.manifest.shards] == [f"{i:05d}" for i in range(len(found))]
    assert [sum(counts) for counts in found] == [min(size, len(whole) - at) for at in range(0, len(whole), size)]
    store = Store(str(folder / "out"))
    keys: list[str] = []
    for entry in result.manifest.shards:
        samples = [sample for sample, _ in read_shard(store, entry.name, entry.sha256)]
        skipped = [skip.key for skip in read_skipped(store, entry.name)]
        assert all(whole[int(sample.key)] for sample in samples)
        assert [sample.caption for sample in samples] == [f"Noise number {int(s.key)}." for s in samples]
        assert not any(whole[int(key)] for key in skipped)
        keys += sorted([sample.key for sample in samples] + skipped)
    assert keys == [f"{number:09d}" for number in range(len(whole))]
    assert result.manifest.totals["samples"] == sum(whole)
    assert result.manifest.totals["skipped"] == len(whole) - sum(whole)


def test_two_sources_are_one_stream(tmp_path: Path, out: Path, source: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, data in enumerate(JPEGS[:2]):
        (folder / f"{number}.jpg").write_bytes(data)
        (folder / f"{number}.txt").write_text("A picture.")
    result = run(out, source, folder, size=3, duplicates="keep")
    assert sizes(out) == [(2, 1), (3, 0), (2, 1), (0, 1), (2, 0)], "each input begins a new shard"
    shards = result.manifest.shards
    samples = [s for entry in shards for s, _ in read_shard(Store(str(out)), entry.name, entry.sha256)]
    assert [int(sample.key) for sample in samples] == [0, 2, 3, 4, 5, 7, 8, 10, 11]
    assert [sample.source.dataset for sample in samples] == ["rows"] * 7 + ["photos"] * 2
    assert run(out, source, folder, size=3, duplicates="keep").done_before
    with pytest.raises(OptionsChangedError, match="sources"):
        run(out, folder, source, size=3, duplicates="keep")


def test_an_id_that_comes_twice_is_skipped_the_second_time(tmp_path: Path, out: Path) -> None:
    ids = ["a", "b", "a", "c", "a"]
    source = write_rows(tmp_path / "rows.jsonl", [row(i) | {"id": name} for i, name in enumerate(ids)])
    result = run(out, source)
    assert result.manifest.skipped == {"duplicate_key": 2}
    assert sizes(out) == [(2, 0), (1, 1), (0, 1)]
    assert [skip.detail for skip in read_skipped(Store(str(out)), "00001")] == [
        "repeats 000000000: the same id in this input"
    ]
    # Names are counted over finished shards, too, when a run goes on.
    before = tree(out)
    for name in ("manifest.json", "shards/00001.json"):
        (out / name).unlink()
    run(out, source)
    assert tree(out) == before


def test_an_input_without_rows_is_refused(tmp_path: Path, out: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl", [row(0)])
    run(out, source)
    (tmp_path / "none.csv").write_text("image,caption\n")
    for sources in ([tmp_path / "none.csv"], [source, tmp_path / "none.csv"]):
        with pytest.raises(SourceError, match=r"none\.csv: there are no rows"):
            run(tmp_path / "other", *sources)
        assert not (tmp_path / "other").exists()
    with pytest.raises(SourceError):
        run(tmp_path / "other", write_rows(tmp_path / "none.jsonl", []))
    assert not tree(tmp_path / "other")


def test_the_bytes_do_not_depend_on_the_number_of_threads(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in (1, 2, 8, None):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        out = tmp_path / f"out-{threads}"
        run(out, source)
        found.append(tree(out))
    assert found[1:] == found[:1] * 3


# Again.


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_finished_dataset_is_not_touched(source: Path, out: Path) -> None:
    assert not run(out, source).done_before
    before, content = stamps(out), tree(out)
    result = run(out, source)
    assert result.done_before
    assert result.manifest == open_dataset(str(out))[1]
    assert stamps(out) == before
    assert tree(out) == content


WHOLE = [(1, 1), (2, 0), (2, 0), (1, 1), (1, 1)]
SIDECARS = [f"shards/0000{index}.json" for index in range(5)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "lost",
    [
        *([name] for name in SIDECARS),
        ["manifest.json"],
        ["manifest.json", "shards/sizes.json"],
        *(["manifest.json", "shards/sizes.json", *SIDECARS[first:]] for first in range(5)),
        [SIDECARS[0], SIDECARS[2]],
        [SIDECARS[1], SIDECARS[3], "manifest.json"],
        ["shards/00002.tar", SIDECARS[2], "skipped/00002.jsonl"],
        ["manifest.json", "shards/sizes.json", "shards/00003.tar", SIDECARS[3], "skipped/00003.jsonl"],
    ],
    ids="+".join,
)
@pytest.mark.parametrize("leftover", [False, True])
def test_whatever_is_lost_comes_back_and_nothing_else_changes(
    source: Path, out: Path, lost: list[str], leftover: bool
) -> None:
    run(out, source)
    assert sizes(out) == WHOLE
    before, written = tree(out), stamps(out / "shards")
    for name in lost:
        (out / name).unlink()
    if leftover:
        for name in (f"shards/.00001.tar{TEMPORARY}0a", f"skipped/.00003.jsonl{TEMPORARY}0b"):
            (out / name).write_bytes(b"half")
    assert not run(out, source).done_before
    assert tree(out) == before
    for shard in range(5):
        if SIDECARS[shard] not in lost:
            name = str(out / f"shards/0000{shard}.tar")
            assert stamps(out / "shards")[name] == written[name], "a finished shard was written again"


CHANGES: dict[str, Callable[[list[str]], object]] = {
    "a caption": lambda lines: lines.__setitem__(3, lines[3].replace("Noise", "Sound")),
    "the caption of a skipped row": lambda lines: lines.__setitem__(1, lines[1].replace("Noise", "Sound")),
    "a row removed": lambda lines: lines.pop(2),
    "a row added at the start": lambda lines: lines.insert(0, lines[0]),
    "two rows exchanged": lambda lines: lines.insert(2, lines.pop(3)),
    "the last row removed": lambda lines: lines.pop(),
    "a row added at the end": lambda lines: lines.append(lines[0]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_input_is_refused_and_nothing_is_lost(source: Path, out: Path, change: str) -> None:
    run(out, source)
    before, original = tree(out), source.read_text()
    edit(source, CHANGES[change])
    with pytest.raises(OptionsChangedError, match="another input") as caught:
        run(out, source)
    assert caught.value.exit_code == 2
    assert tree(out) == before
    source.write_text(original)
    assert run(out, source).done_before


@pytest.mark.parametrize("change", [name for name in CHANGES if "last" not in name and "end" not in name])
def test_another_input_in_a_finished_shard_is_refused(source: Path, out: Path, change: str) -> None:
    run(out, source)
    for name in ("manifest.json", "shards/sizes.json", *SIDECARS[2:]):
        (out / name).unlink()
    finished = tree(out)
    original = source.read_text()
    edit(source, CHANGES[change])
    with pytest.raises(OptionsChangedError, match="another input"):
        run(out, source)
    assert tree(out) == finished
    source.write_text(original)
    run(out, source)
    assert sizes(out) == WHOLE


@pytest.mark.parametrize("kept", [4, 7, 9])
def test_where_nothing_is_finished_the_input_may_have_become_shorter(source: Path, out: Path, kept: int) -> None:
    run(out, source)
    for name in ("manifest.json", "shards/sizes.json", *SIDECARS[2:]):
        (out / name).unlink()  # the tars stay, as of a run that was stopped just before it said that they are whole
    edit(source, lambda lines: lines.__delitem__(slice(kept, None)))
    run(out, source)
    resumed = tree(out)
    assert sum(map(sum, sizes(out))) == kept
    run(out, source, overwrite=True)
    assert tree(out) == resumed


@pytest.mark.parametrize(
    ("gone", "change", "says"),
    [
        (SIDECARS[1:3], lambda lines: lines.__delitem__(slice(4, None)), "fewer rows"),
        (SIDECARS[4:], lambda lines: lines.__delitem__(slice(8, None)), "fewer rows"),
        (SIDECARS[4:], lambda lines: lines.append(lines[0]), "more rows"),
        (SIDECARS[1:2], lambda lines: lines.insert(2, lines[1]), "not what they were"),
    ],
)
def test_where_a_shard_is_lost_another_input_is_refused_too(
    source: Path, out: Path, gone: list[str], change: Callable[[list[str]], object], says: str
) -> None:
    run(out, source)
    before, original = tree(out), source.read_text()
    for name in gone:
        (out / name).unlink()
    left = tree(out)
    edit(source, change)
    with pytest.raises(OptionsChangedError, match=says):
        run(out, source)
    assert tree(out) == left
    source.write_text(original)
    run(out, source)
    assert tree(out) == before


@pytest.mark.parametrize("gone", [[], ["manifest.json"], [*SIDECARS[:1]], ["manifest.json", *SIDECARS[:3]]])
@pytest.mark.parametrize(("name", "value"), [("shard_size", 3), ("max_pixels", 99), ("max_side", 99)])
def test_another_option_is_named_and_nothing_is_written(
    source: Path, out: Path, name: str, value: int, gone: list[str]
) -> None:
    run(out, source)
    for file in gone:
        (out / file).unlink()
    before = tree(out)
    options: dict[str, Any] = {"size": 2} | {"size" if name == "shard_size" else name: value}
    with pytest.raises(OptionsChangedError, match=f"{name} was .* and is now {value}") as caught:
        run(out, source, **options)
    assert "--overwrite" in str(caught.value)
    assert tree(out) == before


def test_overwriting_makes_what_a_new_run_makes(source: Path, out: Path, tmp_path: Path) -> None:
    run(out, source, size=1)
    (out / "shards/notes.txt").write_text("mine")
    run(out, source, size=4, overwrite=True)
    run(tmp_path / "new", source, size=4)
    assert tree(out) == tree(tmp_path / "new") | {"shards/notes.txt": b"mine"}


@pytest.mark.parametrize("rows", [None, 3, [1], ["a", "b"], {"a": 1}])
def test_a_sidecar_without_its_rows_is_damaged(source: Path, out: Path, rows: object) -> None:
    run(out, source)
    sidecar = json.loads((out / SIDECARS[1]).read_bytes())
    sidecar["input"]["rows"] = rows
    (out / SIDECARS[1]).write_text(json.dumps(sidecar))
    with pytest.raises(DatasetError, match=r"00001\.json"):
        run(out, source)
    (out / SIDECARS[1]).unlink()
    run(out, source)
    assert sizes(out) == WHOLE


# Sources that fail, and how far they are read.


class Stub(RowSource):
    """A source of so many rows that may break off, and counts what is read."""

    summary = "stub"

    def __init__(self, count: int, breaks_at: int | None = None, error: Exception | None = None) -> None:
        self.count, self.breaks_at, self.error = count, breaks_at, error
        self.reading = self.most_reading = self.opened = 0
        self.lock = threading.Lock()

    def cut(self, size: int) -> Iterator[Cut]:
        for start in range(0, self.count, size):
            numbers = range(start, min(start + size, self.count))
            if self.breaks_at in numbers:
                raise self.error or SourceError("stub", "the connection is gone")
            yield Cut(b"".join(digest_text(str(number)) for number in numbers), numbers)

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        for number in cut.place:
            yield Row(Source("stub", str(number)), f"Noise {number}.", partial(self.open, number))

    def open(self, number: int) -> bytes:
        with self.lock:
            self.opened += 1
            self.reading += 1
            self.most_reading = max(self.reading, self.most_reading)
        time.sleep(0.001)
        with self.lock:
            self.reading -= 1
        return JPEGS[number % len(JPEGS)]


def run_stub(out: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch, size: int = 20) -> Result:
    with monkeypatch.context() as patch:
        patch.setattr(command, "open_sources", lambda *_: [stub])
        patch.setattr(os, "cpu_count", lambda: 2)
        return run(out, Path("stub"), size=size)


def test_a_source_that_breaks_off_leaves_the_finished_shards(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="the connection is gone"):
        run_stub(out, Stub(60, breaks_at=50), monkeypatch)
    assert not (out / "manifest.json").exists()
    assert not (out / "shards/00002.json").exists()
    run_stub(out, Stub(60), monkeypatch)
    run_stub(tmp_path / "whole", Stub(60), monkeypatch)
    assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.parametrize("error", [RuntimeError("unforeseen"), MemoryError()])
def test_an_unforeseen_error_costs_its_shard_and_is_said(
    out: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Failing(Stub):
        def open(self, number: int) -> bytes:
            if number == 25:
                raise error
            return super().open(number)

    with pytest.raises(ShardFailedError, match=rf"\(00001\); the first: {type(error).__name__}"):
        run_stub(out, Failing(60), monkeypatch)
    assert [(out / name).exists() for name in SIDECARS[:3]] == [True, False, True]
    run_stub(out, Stub(60), monkeypatch)
    assert sizes(out) == [(20, 0)] * 3


def test_finished_shards_are_passed_over_without_reading_an_image(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stub(out, Stub(60), monkeypatch)
    again = Stub(60)
    assert run_stub(out, again, monkeypatch).done_before
    assert again.opened == 0
    (out / "shards/00001.json").unlink()
    run_stub(out, again, monkeypatch)
    assert again.opened == 20


def test_the_sidecar_knows_its_rows(source: Path, out: Path) -> None:
    run(out, source)
    found = [Sidecar.read(Store(str(out)), f"{index:05d}") for index in range(5)]
    assert [sidecar.input["rows"] for sidecar in found if sidecar] == [[0, 2], [2, 4], [4, 6], [6, 8], [8, 10]]
    assert len({sidecar.input["sha256"] for sidecar in found if sidecar}) == 5


def test_long_names_are_cut_and_still_told_apart(tmp_path: Path, out: Path) -> None:
    long = "x" * 5000
    rows = [row(number) | {"id": name} for number, name in enumerate([f"{long}a", f"{long}b", f"{long}a"])]
    source = write_rows(tmp_path / "rows.jsonl", rows)
    manifest = run(out, source).manifest
    assert manifest.totals["samples"] == 2
    store = Store(str(out))
    (skip,) = read_skipped(store, "00001")
    ids = [sample.source.id for sample, _ in read_shard(store, "00000", manifest.shards[0].sha256)]
    assert skip.reason == "duplicate_key"
    assert {len(text) for text in (*ids, skip.source.id)} == {1000}
    assert ids[0] == skip.source.id != ids[1]
    assert run(out, source).done_before
    write_rows(source, [rows[0], rows[1] | {"id": f"{long}c"}, rows[2]])
    with pytest.raises(OptionsChangedError, match="not what they were"):
        run(out, source)


def test_a_table_of_base64_has_no_base64_in_its_records(tmp_path: Path, out: Path) -> None:
    text = base64.b64encode(jpeg(300, 200)).decode()
    lines = [f"{index}\t{text[: -4 * index or None]}\tNoise {index}." for index in range(3)]
    (tmp_path / "rows.tsv").write_text("\n".join(["index\timage\tcaption", *lines]))
    run(out, tmp_path / "rows.tsv", size=3)
    assert sizes(out) == [(1, 2)]
    assert (out / "skipped/00000.jsonl").stat().st_size < 1000
    assert [skip.reason for skip in read_skipped(Store(str(out)), "00000")] == ["image_corrupt"] * 2
