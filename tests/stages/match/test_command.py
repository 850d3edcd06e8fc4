"""The command ``match`` around a worker that asks no model: planning, continuing, refusing."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from glitbuild.engine.task import Result
from glitbuild.errors import ConfigError, OptionsChangedError, ShardFailedError
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match import command
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.match.worker import MatchPlan
from tests.engine.workers import CentreWorker
from tests.factories import jpeg
from tests.run import tree

SHARDS = 4


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3 * SHARDS - 1):
        (folder / f"{number:02d}.jpg").write_bytes(jpeg(seed=number))
        (folder / f"{number:02d}.txt").write_text(f"Noise number {number}.")
    return folder


@pytest.fixture
def options(photos: Path, tmp_path: Path) -> MatchOptions:
    ingest(photos, tmp_path)
    return MatchOptions(str(tmp_path / "raw"), str(tmp_path / "pairs"), workers=0, detector="none")


def ingest(photos: Path, tmp_path: Path, **changes: object) -> None:
    run_ingest(
        replace(IngestOptions((str(photos),), str(tmp_path / "raw"), shard_size=3, overwrite=True), **changes)
    )


def times(options: MatchOptions) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(options.out).rglob("*") if path.is_file()}


def match(options: MatchOptions, **changes: object) -> Result:
    return run_match(replace(options, **changes), build=CentreWorker)


def test_a_finished_dataset_is_valid_and_stays_as_it_is(options: MatchOptions) -> None:
    first = match(options)
    assert not first.done_before and first.manifest.totals["pairs"] == 3 * SHARDS - 1
    assert list(validate(*open_dataset(options.out))) == []
    before = times(options)
    second = match(options)
    assert second.done_before and second.manifest == first.manifest
    assert times(options) == before


@pytest.mark.parametrize(
    "lost",
    [
        ["shards/00000.json"],
        ["shards/00002.json", "manifest.json"],
        ["manifest.json"],
        ["shards/00001.tar"],
        ["pairs/00000.parquet", "skipped/00002.jsonl"],
    ],
)
def test_what_is_missing_is_made_again_and_nothing_else(options: MatchOptions, lost: list[str]) -> None:
    match(options)
    out = Path(options.out)
    before = tree(out)
    written = times(options)
    for name in lost:
        (out / name).unlink()
    (out / "shards" / ".00001.tar.part-0123456789ab").write_bytes(b"half")
    assert not match(options).done_before
    assert tree(out) == before
    again = {path.stem for path, time in times(options).items() if path.suffix == ".tar" and written[path] != time}
    assert again == {Path(name).stem for name in lost} - {"manifest"}


@pytest.mark.parametrize(
    ("change", "named"), [({"score": 0.4}, "score was 0.25 and is now 0.4"), ({"min_area": 0.02}, "min_area")]
)
def test_other_options_are_refused_by_name(options: MatchOptions, change: dict[str, float], named: str) -> None:
    match(options)
    with pytest.raises(OptionsChangedError, match=named):
        match(options, **change)
    assert not match(options, overwrite=True, **change).done_before


def begin(options: MatchOptions, precision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Match where ``auto`` finds ``precision``, or as a version did that recorded none."""
    monkeypatch.setattr(command, "choose_precision", lambda precision_, device: precision)
    match(options)
    Path(options.out, "manifest.json").unlink()
    next(Path(options.out, "shards").glob("*.json")).unlink()


@pytest.mark.parametrize("precision", ["bf16", "fp32", None])
def test_what_was_begun_is_continued_in_its_precision_on_any_machine(
    options: MatchOptions, precision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(options, precision, monkeypatch)
    monkeypatch.setattr(command, "choose_precision", lambda precision_, device: "fp16")
    plans = []

    def build(plan: MatchPlan) -> CentreWorker:
        plans.append(plan)
        return CentreWorker(plan)

    assert run_match(options, build=build).manifest.config.get("precision") == precision
    assert [plan.precision for plan in plans] == [precision]
    assert run_match(options, build=build).done_before
    assert match(options, overwrite=True).manifest.config["precision"] == "fp16"


def test_another_precision_than_begun_is_refused_by_name(
    options: MatchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(options, "bf16", monkeypatch)
    with pytest.raises(OptionsChangedError, match="precision was 'bf16' and is now 'fp32'"):
        match(options, precision="fp32")
    assert match(options, precision="bf16").manifest.config["precision"] == "bf16"


def other_photos(tmp_path: Path) -> Path:
    folder = tmp_path / "others"
    folder.mkdir()
    for number in range(3 * SHARDS - 1):
        (folder / f"{number:02d}.jpg").write_bytes(jpeg(seed=100 + number))
        (folder / f"{number:02d}.txt").write_text(f"Noise number {number}.")
    return folder


def test_another_input_is_refused_and_changes_nothing(options: MatchOptions, tmp_path: Path) -> None:
    match(options)
    before = tree(Path(options.out))
    ingest(other_photos(tmp_path), tmp_path)
    with pytest.raises(OptionsChangedError, match="shard 00000 was made from another input"):
        match(options)
    assert tree(Path(options.out)) == before
    assert not match(options, overwrite=True).done_before


def grow(photos: Path) -> None:
    """Change a caption in the second shard, fill the last one up, and add one more."""
    (photos / "04.txt").write_text("Another caption.")
    for number in range(3 * SHARDS - 1, 3 * SHARDS + 2):
        (photos / f"{number:02d}.jpg").write_bytes(jpeg(seed=number))
        (photos / f"{number:02d}.txt").write_text(f"Noise number {number}.")


def test_a_grown_and_mended_input_costs_the_shards_that_changed(
    options: MatchOptions, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    match(options)
    written = times(options)
    grow(photos)
    ingest(photos, tmp_path)
    with caplog.at_level(logging.INFO):
        assert not match(options).done_before
    assert "match: 3 of 5 shards have new or changed input" in caplog.messages
    again = {path.stem for path, time in times(options).items() if written.get(path) != time}
    assert again == {"00001", "00003", "00004", "manifest", "sizes"}
    fresh = str(tmp_path / "fresh")
    match(options, out=fresh)
    assert tree(Path(options.out)) == tree(Path(fresh))
    assert match(options).done_before


def test_shards_that_still_match_vouch_for_one_that_is_all_new(
    options: MatchOptions, photos: Path, tmp_path: Path
) -> None:
    match(options)
    for number in (3, 4, 5):
        (photos / f"{number:02d}.txt").write_text("Another caption.")
    ingest(photos, tmp_path)
    assert not match(options).done_before


def test_the_only_shard_may_have_changed_as_long_as_it_is_the_same_dataset(
    options: MatchOptions, photos: Path, tmp_path: Path
) -> None:
    ingest(photos, tmp_path, shard_size=100)
    match(options)
    grow(photos)
    ingest(photos, tmp_path, shard_size=100)
    match(options)
    assert list(validate(*open_dataset(options.out))) == []
    ingest(other_photos(tmp_path), tmp_path, shard_size=100)
    with pytest.raises(OptionsChangedError, match="shard 00000"):
        match(options)


def test_a_shard_that_is_made_again_is_not_finished_meanwhile(
    options: MatchOptions, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if killed between the tar and the sidecar: with the old input again, the old sidecar must not hold."""
    match(options)
    before = tree(Path(options.out))
    text = (photos / "04.txt").read_text()
    (photos / "04.txt").write_text("Noise number 9.")  # the same sizes: they don't tell
    ingest(photos, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Sidecar, "write", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(ShardFailedError, match="killed"):
            match(options)
    (photos / "04.txt").write_text(text)
    ingest(photos, tmp_path)
    match(options)
    assert tree(Path(options.out)) == before


def test_a_shorter_input_is_refused(options: MatchOptions, photos: Path, tmp_path: Path) -> None:
    match(options)
    for number in range(3, 3 * SHARDS - 1):
        (photos / f"{number:02d}.jpg").unlink()
        (photos / f"{number:02d}.txt").unlink()
    ingest(photos, tmp_path)
    with pytest.raises(OptionsChangedError, match="more shards"):
        match(options)
    match(options, overwrite=True)
    assert list(validate(*open_dataset(options.out))) == []


def test_a_damaged_shard_is_named_and_the_others_are_done(options: MatchOptions) -> None:
    tar = Path(options.dir) / "shards" / "00001.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-3000])
    with pytest.raises(ShardFailedError, match=r"1 of 4 failed \(00001\)"):
        match(options)
    assert len(list(Path(options.out).glob("shards/*.json"))) == SHARDS - 1
    with pytest.raises(ConfigError, match="isn't finished"):
        open_dataset(options.out)
    tar.write_bytes(whole)
    match(options)
    assert list(validate(*open_dataset(options.out))) == []


def test_an_altered_shard_is_damaged_even_where_it_can_be_read(options: MatchOptions) -> None:
    tar = Path(options.dir) / "shards" / "00002.tar"
    tar.write_bytes(tar.read_bytes().replace(b"Noise number 7", b"Voice number 7"))
    with pytest.raises(ShardFailedError, match="SHA-256"):
        match(options)


def test_what_is_not_finished_or_no_dataset_is_refused(options: MatchOptions, tmp_path: Path) -> None:
    (Path(options.dir) / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="isn't finished"):
        match(options)
    with pytest.raises(ConfigError, match="no such dataset"):
        match(options, dir=str(tmp_path / "nowhere"))


def test_a_dataset_without_samples_can_be_matched(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    ingest(tmp_path / "photos", tmp_path)
    options = MatchOptions(str(tmp_path / "raw"), str(tmp_path / "pairs"), workers=0, detector="none")
    assert match(options).manifest.totals["samples"] == 0
    assert list(validate(*open_dataset(options.out))) == []


@pytest.mark.slow
def test_on_a_cluster_it_must_be_said_how_many_workers(options: MatchOptions) -> None:
    with pytest.raises(ConfigError, match="number of workers"):
        match(options, workers=None, ray_address="auto")
