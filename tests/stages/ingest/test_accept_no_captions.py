"""``ingest --no-captions``: images alone, whatever the input has beside them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from glitbuild.engine.task import Result
from glitbuild.errors import ConfigError, OptionsChangedError
from glitbuild.records import Sample, Skip
from glitbuild.shards.manifest import open_dataset, write_manifest
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.stats import collect
from glitbuild.shards.validate import validate
from glitbuild.shards.writer import write_shard
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.options import TrainOptions
from tests.factories import jpeg
from tests.stages.ingest.conftest import write_tar


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of which one has a text, one an object, one neither; and a text of its own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(jpeg(seed=number))
    (folder / "0.txt").write_text("A caption. It is left out.")
    (folder / "1.json").write_text(json.dumps({"caption": 7, "url": "u", "license": "l"}))
    (folder / "notes.txt").write_text("About the folder.")
    return folder


def ingest(source: Path, out: Path, **changes: object) -> Result:
    return run_ingest(replace(IngestOptions((str(source),), str(out), captions=False), **changes))


def read(out: Path) -> tuple[list[Sample], list[Skip]]:
    store, manifest = open_dataset(str(out))
    samples = read_shard(store, "00000", manifest.shards[0].sha256)
    return [sample for sample, _ in samples], list(read_skipped(store, "00000"))


def test_a_folder_gives_its_images_and_what_is_known_of_them(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest(folder, out)
    samples, skipped = read(out)
    assert [(sample.source.id, sample.caption, sample.source.url, sample.source.license) for sample in samples] == [
        ("0.jpg", "", "", ""),
        ("1.jpg", "", "u", "l"),
        ("2.jpg", "", "", ""),
    ]
    assert skipped == []
    assert list(validate(*open_dataset(str(out)))) == []


def csv(folder: Path) -> Path:
    path = folder.with_name("rows.csv")
    path.write_text("image,text\n" + "".join(f"photos/{number}.jpg,\n" for number in range(3)))
    return path


def jsonl(folder: Path) -> Path:
    path = folder.with_name("rows.jsonl")
    path.write_text("".join(json.dumps({"image": f"photos/{n}.jpg", "caption": n}) + "\n" for n in range(3)))
    return path


def table(folder: Path) -> dict[str, list[bytes]]:
    return {"image": [(folder / f"{number}.jpg").read_bytes() for number in range(3)]}


def parquet(folder: Path) -> Path:
    path = folder.with_name("rows.parquet")
    pq.write_table(datasets.Dataset.from_dict(table(folder)).data.table, path)
    return path


def saved(folder: Path) -> Path:
    datasets.Dataset.from_dict(table(folder)).save_to_disk(str(folder.with_name("saved")))
    return folder.with_name("saved")


def tar(folder: Path) -> Path:
    members = [(f"{number}.jpg", data) for number, data in enumerate(table(folder)["image"])]
    return write_tar(folder.with_name("rows.tar"), [*members, ("2.txt", b"\xff\xfe")])


@pytest.mark.parametrize("make", [csv, jsonl, parquet, saved, tar])
def test_every_other_input_needs_no_caption_column_either(
    make: Callable[[Path], Path], folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ingest(make(folder), out)
    samples, skipped = read(out)
    assert [sample.caption for sample in samples] == ["", "", ""] and skipped == []


def test_a_tar_that_breaks_off_within_a_caption_still_gives_its_image(folder: Path, tmp_path: Path) -> None:
    path = tar(folder)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"2.txt") + 100])
    ingest(path, tmp_path / "out")
    samples, skipped = read(tmp_path / "out")
    assert len(samples) == 3 and [skip.reason for skip in skipped] == ["row_unreadable"]


def test_a_dataset_with_captions_can_be_made_one_without(folder: Path, tmp_path: Path) -> None:
    ingest(folder, tmp_path / "raw", captions=True)
    ingest(tmp_path / "raw", tmp_path / "out")
    samples, _ = read(tmp_path / "out")
    assert [(sample.source.id, sample.caption) for sample in samples] == [("0.jpg", "")]


def test_it_is_an_option_that_must_not_change_and_the_texts_may(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ingest(folder, out)
    with pytest.raises(OptionsChangedError, match="captions was False"):
        ingest(folder, out, captions=True)
    (folder / "0.txt").write_text("Another one.")
    assert ingest(folder, out).done_before
    with pytest.raises(ConfigError, match="caption-column"):
        ingest(folder, out, caption_column="text")


def test_what_needs_captions_says_so_in_one_line(folder: Path, tmp_path: Path) -> None:
    raw, out = str(tmp_path / "raw"), str(tmp_path / "out")
    ingest(folder, Path(raw))
    for start in (
        lambda: run_match(MatchOptions(raw, out, workers=0, detector="none", clip_model="demo")),
        lambda: run_train(TrainOptions(raw, out, model="demo")),
        lambda: run_eval(EvalOptions("demo", raw)),
    ):
        with pytest.raises(ConfigError) as error:
            start()
        assert str(error.value) == (
            f"{raw}: its images have no captions; generate captions first: glitbuild caption {raw} --out ..."
        )
    assert not Path(out).exists()


def test_statistics_count_no_words(folder: Path, tmp_path: Path) -> None:
    ingest(folder, tmp_path / "out")
    assert collect(*open_dataset(str(tmp_path / "out"))).words.total == 0


@pytest.mark.parametrize(
    ("captions", "caption", "says"), [(False, "A dog.", "a caption"), (True, "", "no caption")]
)
def test_a_dataset_has_captions_or_it_has_none(
    captions: bool, caption: str, says: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ingest(folder, out)
    store, manifest = open_dataset(str(out))
    samples = list(read_shard(store, "00000", manifest.shards[0].sha256))
    samples[1] = replace(samples[1][0], caption=caption), samples[1][1]
    if captions:
        samples = [(replace(sample, caption=sample.caption or "A cat."), data) for sample, data in samples]
        samples[1] = replace(samples[1][0], caption=""), samples[1][1]
    config = {name: value for name, value in manifest.config.items() if name != "captions" or not captions}
    old = Sidecar.read(store, "00000")
    assert old is not None
    sidecar = write_shard(store, "00000", samples, config, lambda: old.input)
    write_manifest(store, [sidecar], config, manifest.versions)
    (problem,) = validate(*open_dataset(str(out)))
    assert says in problem.what and "000000001" in problem.what
