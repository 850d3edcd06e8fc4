"""``ingest --extend``: what is built in two steps is, byte for byte, what is built in one."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glitbuild.engine.task import Result
from glitbuild.errors import ConfigError, OptionsChangedError
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.factories import jpeg
from tests.run import tree
from tests.stopping import stopped

pytestmark = pytest.mark.slow

JPEGS = [jpeg(16, 12, seed=seed) for seed in range(5)]
"""Few, so that pictures come again."""


def folder(place: Path, rows: Sequence[int]) -> Path:
    place.mkdir(exist_ok=True)
    for number, picture in enumerate(rows):
        (place / f"{number:03d}.jpg").write_bytes(JPEGS[picture])
        (place / f"{number:03d}.txt").write_text(f"No. {number}.")
    return place


def table(place: Path, rows: Sequence[int]) -> list[dict[str, Any]]:
    for picture, data in enumerate(JPEGS):
        (place.parent / f"{picture}.jpg").write_bytes(data)
    return [{"id": f"{n}", "image": f"{p}.jpg", "caption": f"No. {n}."} for n, p in enumerate(rows)]


def jsonl(place: Path, rows: Sequence[int]) -> Path:
    place = place.with_suffix(".jsonl")
    place.write_text("".join(json.dumps(row) + "\n" for row in table(place, rows)))
    return place


def utf16(place: Path, rows: Sequence[int]) -> Path:
    """A table that can't be entered in its middle."""
    lines = [f"{row['image']}\t{row['caption']}" for row in table(place, rows)]
    place = place.with_suffix(".tsv")
    place.write_text("\n".join(["image\tcaption", *lines]) + "\n", encoding="utf-16")
    return place


def comma(place: Path, rows: Sequence[int]) -> Path:
    place = place.with_suffix(".csv")
    with place.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "image", "caption"])
        writer.writeheader()
        writer.writerows(row | {"caption": f'Said: "{row["caption"]}"\nAnd more.'} for row in table(place, rows))
    return place


def parquet(place: Path, rows: Sequence[int]) -> Path:
    """A folder with a file per three rows."""
    place.mkdir(exist_ok=True)
    for part, at in enumerate(range(0, len(rows), 3)):
        taken = range(at, min(at + 3, len(rows)))
        columns = {"image": [JPEGS[rows[n]] for n in taken], "caption": [f"No. {n}." for n in taken]}
        datasets.Dataset.from_dict(columns).to_parquet(place / f"{part}.parquet", batch_size=2)
    return place


def tars(place: Path, rows: Sequence[int]) -> Path:
    place = place.with_suffix(".tar")
    with tarfile.open(place, "w") as tar:
        for number, picture in enumerate(rows):
            for ending, data in (("jpg", JPEGS[picture]), ("txt", f"No. {number}.".encode())):
                info = tarfile.TarInfo(f"{number}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return place


def docci(place: Path, rows: Sequence[int]) -> Path:
    (place / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for number, row in enumerate(table(place / "images" / "x", rows)):
        names = {"example_id": f"train_{number}", "image_file": row["image"], "split": "train"}
        lines.append(json.dumps(names | {"description": row["caption"]}) + "\n")
    (place / "docci_descriptions.jsonlines").write_text("".join(lines))
    return place


FORMATS: dict[str, Callable[[Path, Sequence[int]], Path]] = {
    made.__name__: made for made in (folder, jsonl, utf16, comma, parquet, tars, docci)
}


def run(out: Path, *sources: Path, **more: Any) -> Result:
    form = {"format": "docci"} if any((source / "images").exists() for source in sources) else {}
    return run_ingest(IngestOptions(tuple(map(str, sources)), str(out), **({"shard_size": 3} | form | more)))


pictures = st.lists(st.integers(0, len(JPEGS) - 1), min_size=1, max_size=8)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("form", [form for form in FORMATS if form != "docci"])
@given(first=pictures, more=pictures, other=pictures, mode=st.sampled_from(["keep", "exact", "near"]))
def test_rows_and_inputs_that_are_added_later(
    form: str,
    first: list[int],
    more: list[int],
    other: list[int],
    mode: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    work = tmp_path_factory.mktemp("extend")
    make = FORMATS[form]
    (work / "b").mkdir()
    b = jsonl(work / "b" / "b", other)
    a = make(work / "a", first)
    run(work / "out", a, duplicates=mode)
    a = make(work / "a", [*first, *more])
    run(work / "out", a, duplicates=mode, extend=True)
    run(work / "grown", a, duplicates=mode)
    assert tree(work / "out") == tree(work / "grown"), "rows at the end"
    run(work / "out", b, duplicates=mode, extend=True)
    run(work / "whole", a, b, duplicates=mode)
    assert tree(work / "out") == tree(work / "whole"), "another input, given alone"
    assert list(validate(*open_dataset(str(work / "out")))) == []
    before = tree(work / "out")
    assert run(work / "out", a, b, duplicates=mode).done_before
    assert run(work / "out", a, b, duplicates=mode, extend=True).done_before
    assert run(work / "out", b, duplicates=mode, extend=True).done_before
    assert tree(work / "out") == before


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=pictures, more=pictures, other=pictures)
def test_rows_that_are_added_to_an_input_in_front_of_another(
    first: list[int], more: list[int], other: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """They move the rows behind them, whose shards are made again."""
    work = tmp_path_factory.mktemp("extend")
    (work / "b").mkdir()
    b = tars(work / "b" / "b", other)
    run(work / "out", jsonl(work / "a", first), b)
    a = jsonl(work / "a", [*first, *more])
    run(work / "out", a, b, extend=True)
    run(work / "whole", a, b)
    assert tree(work / "out") == tree(work / "whole")


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_there_is_not_asked_again(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, out = FORMATS[form], tmp_path / "out"
    run(out, make(tmp_path / "a", [0, 1, 2, 3]), duplicates="keep")
    first = (out / "shards/00000.tar").stat().st_mtime_ns
    read: list[str] = []
    from glitbuild.stages.ingest import worker

    accept = worker.accept
    monkeypatch.setattr(worker, "accept", lambda row, key, *more: (read.append(key), accept(row, key, *more))[1])
    a = make(tmp_path / "a", [0, 1, 2, 3, 4, 0, 1])
    run(out, a, duplicates="keep", extend=True)
    assert (out / "shards/00000.tar").stat().st_mtime_ns == first
    assert sorted(map(int, read)) == [4, 5, 6]
    read.clear()
    run(tmp_path / "whole", a, duplicates="keep")
    assert len(read) == 7
    assert tree(out) == tree(tmp_path / "whole")


def test_what_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    a = jsonl(tmp_path / "a", [0, 1, 2, 3])
    (tmp_path / "b").mkdir()
    b = jsonl(tmp_path / "b" / "b", [4, 4])
    run(out, a, b)
    before = tree(out)

    def refused(says: str, *sources: Path, error: type[Exception] = OptionsChangedError, **more: Any) -> None:
        with pytest.raises(error, match=says):
            run(out, *sources, **more)
        assert tree(out) == before

    refused("give all inputs", a, error=ConfigError, extend=True)
    refused("give all inputs", b, a, error=ConfigError, extend=True)
    refused("shard_size", a, b, shard_size=2, extend=True)
    refused("sources", b)
    jsonl(tmp_path / "b" / "b", [4])
    refused("fewer", b, extend=True)
    jsonl(tmp_path / "b" / "b", [4, 3])
    refused("not what they were", b, extend=True)
    jsonl(tmp_path / "b" / "b", [4, 4, 4])
    refused("more rows now; add --extend", a, b)
    with pytest.raises(ConfigError, match="--overwrite and --extend"):
        run(out, a, b, extend=True, overwrite=True)


def test_two_inputs_of_one_name_are_told_apart_by_their_rows(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    a, b = jsonl(tmp_path / "x", [0, 1, 2, 3]), jsonl(tmp_path / "b" / "x", [4, 3])
    run(tmp_path / "out", a)
    with pytest.raises(OptionsChangedError, match="not what they were"):
        run(tmp_path / "out", b, extend=True)
    run(tmp_path / "out", a, b, extend=True)
    run(tmp_path / "whole", a, b)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_wherever_extending_is_stopped_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").mkdir()
    b = jsonl(tmp_path / "b" / "b", [4, 4, 0, 2])
    a, out = jsonl(tmp_path / "a", [0, 1, 0, 2]), tmp_path / "out"
    run(out, a)
    finished = tree(out)
    a = jsonl(tmp_path / "a", [0, 1, 0, 2, 2, 3, 1])
    run(tmp_path / "whole", a, b)
    steps = 0
    while stopped(lambda: run(out, a, b, extend=True), steps, monkeypatch):
        run(out, a, b, extend=True)
        assert tree(out) == tree(tmp_path / "whole")
        for name in tree(out):
            (out / name).unlink()
        for name, data in finished.items():
            (out / name).write_bytes(data)
        steps += 1
    assert steps > 10


@pytest.mark.parametrize("form", FORMATS)
def test_any_range_is_read_without_those_before_it(form: str, tmp_path: Path) -> None:
    """The rows of each range, read last range first by a copy of the source, are those of the whole."""
    import pickle

    from glitbuild.stages.ingest.registry import SourceOptions, open_sources

    place = FORMATS[form](tmp_path / "a", [0, 1, 2, 3, 4, 0, 1, 2])
    (source,) = open_sources([str(place)], SourceOptions(format="docci" if form == "docci" else "auto"))
    whole = [(row.source, row.caption, row.read_image()) for row in source.rows()]
    assert len(whole) == 8
    for size in (1, 3, 5, 100):
        cuts = list(source.cut(size))
        assert [len(cut) for cut in cuts] == [min(size, 8 - at) for at in range(0, 8, size)]
        found = []
        for number in reversed(range(len(cuts))):
            copied, cut = pickle.loads(pickle.dumps((source, cuts[number])))
            rows = copied.read(cut, number * size)
            found[:0] = [(row.source, row.caption, row.read_image()) for row in rows]
        assert found == whole
