"""``ingest`` with ``--duplicates`` and ``--exclude``: on real pictures, in order, and when a run is continued."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from glitbuild.errors import ConfigError, DatasetError, OptionsChangedError
from glitbuild.records import SkipReason
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.store import Store
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.images.pictures import smooth
from tests.run import tree


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures: 2 and 7 have the bytes of 0 and 5; 3 and 8 are 1 and 5 in another size or format."""
    folder = tmp_path_factory.mktemp("duplicates")
    files = {}
    for number in (0, 1, 4, 5, 6):
        path = folder / f"{number}.jpg"
        smooth(number).save(path, quality=90)
        files[number] = path
    for number, of in ((2, 0), (7, 5)):
        (folder / f"{number}.jpg").write_bytes(files[of].read_bytes())
    smooth(1).resize((300, 200)).save(folder / "3.jpg", quality=70)
    smooth(5).save(folder / "8.png")
    rows = [
        {"image": f"{number}.{'png' if number == 8 else 'jpg'}", "caption": f"No. {number}."} for number in range(9)
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(out: Path, *sources: Path, **more: Any) -> dict[str, str]:
    """Ingest, and return the skipped rows' details by key."""
    options = {"shard_size": 2} | more
    manifest = run_ingest(IngestOptions(tuple(map(str, sources)), str(out), **options)).manifest
    assert list(validate(*open_dataset(str(out)))) == []
    store = Store(str(out))
    skipped = [skip for entry in manifest.shards for skip in read_skipped(store, entry.name)]
    kept = [sample.key for entry in manifest.shards for sample, _ in read_shard(store, entry.name, entry.sha256)]
    assert not {skip.key for skip in skipped} & set(kept)
    assert {skip.reason for skip in skipped} <= {SkipReason.DUPLICATE_IMAGE, SkipReason.EXCLUDED_IMAGE}
    return {skip.key.lstrip("0") or "0": skip.detail.split(":")[0] for skip in skipped}


EXACT = {"2": "repeats 000000000", "7": "repeats 000000005"}
NEAR = EXACT | {"3": "repeats 000000001", "8": "repeats 000000005"}


@pytest.mark.parametrize(("mode", "expected"), [("keep", {}), ("exact", EXACT), ("near", NEAR)])
def test_copies_are_skipped_with_the_key_they_repeat(
    mode: str, expected: dict[str, str], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "out", source, duplicates=mode) == expected
    for threads in (1, 7):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        run(tmp_path / "again", source, duplicates=mode, overwrite=True)
        assert tree(tmp_path / "again") == tree(tmp_path / "out")


def test_without_an_option_exact_copies_are_skipped(source: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "out", source) == EXACT


@pytest.mark.parametrize("mode", ["exact", "near"])
@pytest.mark.parametrize("lost", [[1], [2], [0, 2], [1, 2]])
def test_a_continued_run_knows_the_pictures_of_the_finished_shards(
    mode: str, lost: list[int], source: Path, tmp_path: Path
) -> None:
    run(tmp_path, source, duplicates=mode)
    before = tree(tmp_path)
    for shard in lost:
        (tmp_path / f"shards/{shard:05d}.json").unlink()
    (tmp_path / "manifest.json").unlink()
    run(tmp_path, source, duplicates=mode)
    assert tree(tmp_path) == before


def test_a_picture_in_two_inputs_is_one(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.jpg").write_bytes((source.parent / "4.jpg").read_bytes())
    (other / "a.txt").write_text("Another caption.")
    assert run(tmp_path / "out", source, other) == EXACT | {"9": "repeats 000000004"}


@pytest.mark.parametrize("wrong", ["", "AAAA", "!", 3])
def test_a_sidecar_whose_pictures_do_not_fit_is_damaged(wrong: object, source: Path, tmp_path: Path) -> None:
    run(tmp_path, source)
    path = tmp_path / "shards/00000.json"
    sidecar = json.loads(path.read_bytes())
    sidecar["input"]["facts"] = wrong
    path.write_text(json.dumps(sidecar))
    (tmp_path / "shards/00001.json").unlink()
    with pytest.raises(DatasetError, match=r"00000\.json.*facts"):
        run(tmp_path, source)


@pytest.mark.slow
def test_the_pictures_of_another_dataset_are_left_out(source: Path, tmp_path: Path) -> None:
    evaluation = tmp_path / "photos"
    evaluation.mkdir()
    for number in (1, 4):
        smooth(number).resize((450, 300)).save(evaluation / f"{number}.png")
        (evaluation / f"{number}.txt").write_text("Another.")
    run(tmp_path / "test-set", evaluation)
    skipped = run(tmp_path / "out", source, exclude=(str(tmp_path / "test-set"),))
    assert skipped == EXACT | {
        "1": "repeats 000000000 of test-set",
        "3": "repeats 000000000 of test-set",
        "4": "repeats 000000001 of test-set",
    }
    before = tree(tmp_path / "out")
    (tmp_path / "out/shards/00001.json").unlink()
    run(tmp_path / "out", source, exclude=(str(tmp_path / "test-set"),))
    assert tree(tmp_path / "out") == before
    with pytest.raises(OptionsChangedError, match=r"exclude was .* and is now None"):
        run(tmp_path / "out", source)
    smooth(9).save(evaluation / "9.png")
    (evaluation / "9.txt").write_text("Another.")
    run(tmp_path / "test-set", evaluation, overwrite=True)
    with pytest.raises(OptionsChangedError, match="exclude was"):
        run(tmp_path / "out", source, exclude=(str(tmp_path / "test-set"),))


def test_what_can_be_excluded(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such dataset directory"):
        run(tmp_path / "out", source, exclude=(str(tmp_path / "gone"),))
    run(tmp_path / "out", source)
    with pytest.raises(ConfigError, match="it is the input"):
        run(tmp_path / "out", source, exclude=(str(tmp_path / "out"),), overwrite=True)


@pytest.mark.parametrize(
    ("options", "says"), [({"duplicates": "some"}, "keep or exact or near"), ({"near_distance": 17}, "0 to 16")]
)
def test_wrong_options(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        IngestOptions(("a",), "b", **options)
