"""Photographs and captions in, matched shards out, as a user runs it: real detector, real Ray, real loaders."""

import json
from collections.abc import Sequence
from pathlib import Path

import datasets
import pytest
import webdataset

from glitbuild.records import Sample
from tests.run import done, here, tree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def raw(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs, ingested into three shards."""
    out = tmp_path_factory.mktemp("ingested") / "raw"
    output = done("ingest", photos / "captions.jsonl", "--out", out, "--shard-size", 15)
    assert "36 samples in 3 shards, 0 skipped" in output
    return out


@pytest.fixture(scope="module")
def options(yolo: Path, clip_checkpoint: Path) -> Sequence[object]:
    return ["--detector", yolo, "--clip-model", "ViT-S-32-alt", "--clip-pretrained", clip_checkpoint]


@pytest.fixture(scope="module")
def pairs(raw: Path, options: Sequence[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs, matched by two Ray actors."""
    out = tmp_path_factory.mktemp("matched") / "pairs"
    output = done("match", raw, "--out", out, "--workers", 2, *options)
    assert "36 samples in 3 shards, 0 skipped" in output
    return out


def test_every_photograph_is_there_once_with_its_own_bytes(raw: Path, pairs: Path, photos: Path) -> None:
    rows = [json.loads(line) for line in (photos / "captions.jsonl").read_text().splitlines()]
    samples = list(webdataset.WebDataset(_tars(pairs), shardshuffle=False))
    assert [sample["jpg"] for sample in samples] == [(photos / row["image"]).read_bytes() for row in rows]
    records = [Sample.from_json(sample["json"]) for sample in samples]
    assert [record.caption for record in records] == [row["caption"].strip() for row in rows]
    assert [record.key for record in records] == [f"{number:09d}" for number in range(36)]
    for folder in (raw, pairs):
        assert all(not content for content in tree(folder / "skipped").values())


def test_it_is_valid(raw: Path, pairs: Path) -> None:
    assert "36 samples" in done("validate", raw)
    assert "36 samples" in done("validate", pairs)


def test_the_detector_finds_what_people_marked(pairs: Path, photos: Path) -> None:
    """At least half of the large things that people marked are among the regions, under their name."""
    from glitbuild.flism.regions import area, iou

    rows = [json.loads(line) for line in (photos / "captions.jsonl").read_text().splitlines()]
    marked = found = 0
    for row, sample in zip(rows, webdataset.WebDataset(_tars(pairs), shardshuffle=False), strict=True):
        record = Sample.from_json(sample["json"])
        assert record.matched
        pixels = record.image.width * record.image.height
        for box in row["boxes"]:
            if 0.02 < area(box["xyxy"]) / pixels < 0.7:
                marked += 1
                found += any(
                    region.label == box["label"] and iou(region.box, tuple(box["xyxy"])) > 0.7
                    for region in record.matched.regions
                )
    assert marked > 30
    assert found / marked > 0.5


def test_datasets_and_webdataset_read_the_same(pairs: Path, tmp_path: Path) -> None:
    loaded = datasets.load_dataset("webdataset", data_files=_tars(pairs), split="train", cache_dir=str(tmp_path))
    plain = list(webdataset.WebDataset(_tars(pairs), shardshuffle=False).decode("pil"))
    assert len(loaded) == len(plain) == 36
    for row, sample in zip(loaded, plain, strict=True):
        assert row["json"] == sample["json"]
        assert row["jpg"].convert("RGB").tobytes() == sample["jpg"].tobytes()


def test_the_same_command_again_does_nothing_and_says_so(raw: Path, pairs: Path, options: Sequence[object]) -> None:
    before = {path: path.stat().st_mtime_ns for path in pairs.rglob("*") if path.is_file()}
    assert "nothing to do" in done("match", raw, "--out", pairs, "--workers", 2, *options)
    assert {path: path.stat().st_mtime_ns for path in pairs.rglob("*") if path.is_file()} == before


def test_a_run_elsewhere_without_ray_gives_the_same_bytes(
    raw: Path, pairs: Path, options: Sequence[object], tmp_path: Path
) -> None:
    result = here("match", raw, "--out", tmp_path / "elsewhere", "--workers", 0, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert tree(tmp_path / "elsewhere") == tree(pairs)


def _tars(folder: Path) -> list[str]:
    return sorted(str(path) for path in (folder / "shards").glob("*.tar"))
