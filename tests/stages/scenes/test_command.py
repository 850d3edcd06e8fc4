"""The command, from end to end."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import datasets
import pytest
from PIL import Image

from glitbuild.errors import ConfigError, OptionsChangedError
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.validate import validate
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from tests.run import here


def make(out: Path, count: int = 5, **changes: object) -> bool:
    options = {"count": count, "out": str(out), "seed": 3, "shard_size": 2} | changes
    return run_scenes(ScenesOptions(**options), plain=True).done_before  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def problems(out: Path) -> list[str]:
    return [str(problem) for problem in validate(*open_dataset(str(out)))]


def test_the_command_writes_a_dataset_with_its_truth(tmp_path: Path) -> None:
    result = here("scenes", "--count", 5, "--seed", 3, "--out", "out", "--shard-size", 2, cwd=tmp_path)
    assert result.returncode == 0 and "5 samples in 3 shards, 0 skipped" in result.stdout
    assert "valid" in here("validate", "out", cwd=tmp_path).stdout
    assert (
        "nothing to do"
        in here("scenes", "--count", 5, "--seed", 3, "--out", "out", "--shard-size", 2, cwd=tmp_path).stdout
    )
    rows = [
        json.loads(line)
        for path in sorted((tmp_path / "out" / "truth").iterdir())
        for line in path.read_text().splitlines()
    ]
    assert [row["key"] for row in rows] == [f"{number:09d}" for number in range(5)]
    with tarfile.open(tmp_path / "out" / "shards" / "00000.tar") as tar:
        members = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    assert list(members) == [
        f"00000000{number}.{extension}" for number in (0, 1) for extension in ("jpg", "json", "txt")
    ]
    record = json.loads(members["000000000.json"])
    assert Image.open(io.BytesIO(members["000000000.jpg"])).size == (
        record["image"]["width"],
        record["image"]["height"],
    )


@pytest.mark.slow
def test_match_takes_it(tmp_path: Path, clip_checkpoint: Path) -> None:
    make(tmp_path / "out", count=3)
    clip = ("--clip-model", "ViT-S-32-alt", "--clip-pretrained", clip_checkpoint)
    here("match", "out", "--out", "pairs", "--workers", 0, "--detector", "none", *clip, cwd=tmp_path)
    assert not problems(tmp_path / "pairs")
    store, manifest = open_dataset(str(tmp_path / "pairs"))
    truth = (tmp_path / "out" / "truth").iterdir()
    rows = [json.loads(line) for path in truth for line in path.read_text().splitlines()]
    assert manifest.totals["sentences"] == sum(len(row["sentences"]) for row in rows)
    assert not store.exists("truth")


@pytest.mark.slow
def test_datasets_reads_it(tmp_path: Path) -> None:
    make(tmp_path / "out")
    shards = str(tmp_path / "out" / "shards" / "*.tar")
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset("webdataset", data_files=shards, split="train", cache_dir=cache)
    assert len(loaded) == 5


def test_more_scenes_begin_with_the_same_ones(tmp_path: Path) -> None:
    make(tmp_path / "five")
    make(tmp_path / "again")
    make(tmp_path / "seven", count=7)
    assert files(tmp_path / "five") == files(tmp_path / "again")
    for name in ("shards/00000.tar", "shards/00001.tar", "truth/00000.jsonl", "truth/00001.jsonl"):
        assert files(tmp_path / "five")[name] == files(tmp_path / "seven")[name]


@pytest.mark.parametrize("lost", ["shards/00001.json", "manifest.json", "shards/00000.json"])
def test_a_run_that_was_stopped_is_continued(lost: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out)
    whole = files(out)
    kept = (out / "shards" / "00002.tar").stat().st_mtime_ns
    (out / lost).unlink()
    assert make(out) is False
    assert files(out) == whole
    assert (out / "shards" / "00002.tar").stat().st_mtime_ns == kept
    assert make(out) is True


def test_other_options_need_overwrite(tmp_path: Path) -> None:
    make(tmp_path)
    for changes in ({"seed": 4}, {"contrast": 0.1}, {"count": 3}):
        with pytest.raises(OptionsChangedError, match=next(iter(changes))):
            make(tmp_path, **changes)
    make(tmp_path, count=3, overwrite=True)
    assert not problems(tmp_path)
    assert sorted(path.name for path in (tmp_path / "truth").iterdir()) == ["00000.jsonl", "00001.jsonl"]


@pytest.mark.parametrize("damage", ["missing", "altered", "short", "key", "span", "box", "index", "extra"])
def test_damage_to_the_truth_is_found(damage: str, tmp_path: Path) -> None:
    make(tmp_path, count=2)
    path = tmp_path / "truth" / "00000.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    row = json.loads(lines[0])
    if damage == "missing":
        path.unlink()
    elif damage == "extra":
        shutil.copy(path, path.with_name("00009.jsonl"))
    elif damage == "altered":
        path.write_text("".join(lines).replace("true", "false", 1))
    else:
        if damage == "key":
            row["key"] = "000000007"
        elif damage == "span":
            row["sentences"][-1]["span"][1] += 5
        elif damage == "box":
            row["objects"][0]["box"][2] = 5000
        elif damage == "index":
            row["sentences"][0]["objects"] = [40]
        path.write_text("".join([json.dumps(row) + "\n", *lines[1:]][: 1 if damage == "short" else 2]))
        (tmp_path / "shards" / "00000.json").unlink()  # with it, the hash alone would tell
    found = [problem for problem in problems(tmp_path) if "truth" in problem]
    assert found and all("truth/0000" in problem for problem in found)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"count": 0}, "--count 0"),
        ({"shard_size": 0}, "--shard-size 0"),
        ({"seed": -1}, "--seed -1"),
        ({"split": "dev"}, "--split dev"),
        ({"max_objects": 10}, "--max-objects 10"),
        ({"min_objects": 1}, "--min-objects 1"),
        ({"min_objects": 5, "max_objects": 4}, "the least is more than the most"),
        ({"kinds": "dragon"}, "unknown kind"),
        ({"kinds": "car,car"}, "given twice"),
        ({"kinds": "car", "max_objects": 7}, "more objects than"),
        ({"kinds": "car,guitar"}, "held out of training"),
        ({"held_out_kinds": True}, "kept for test"),
        ({"held_out_kinds": True, "split": "test", "kinds": "car,bus"}, "no held-out kind"),
        ({"contrast": 1.5}, "--contrast 1.5"),
        ({"late": -0.1}, "--late -0.1"),
        ({"noise": float("nan")}, "--noise nan"),
        ({"size": 100}, "--size 100"),
    ],
)
def test_impossible_options_are_configuration_errors(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        make(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_the_command_line_says_so_in_one_line(tmp_path: Path) -> None:
    result = here("scenes", "--count", 3, "--out", "out", "--max-objects", 12, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("glitbuild: error: --max-objects 12: ")


@pytest.mark.parametrize("kinds", ["car", "car,bus"])
def test_a_few_kinds_are_enough(kinds: str, tmp_path: Path) -> None:
    make(tmp_path, count=8, kinds=kinds, max_objects=6, contrast=1.0)
    lines = (tmp_path / "truth" / "00000.jsonl").read_text().splitlines()
    found = {thing["kind"] for line in lines for thing in json.loads(line)["objects"]}
    assert found <= set(kinds.split(","))
