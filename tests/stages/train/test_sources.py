"""Training on several datasets: what is seen how often, resuming, and what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from glitbuild.clip.saved import WEIGHTS
from glitbuild.errors import ConfigError, DatasetError, OptionsChangedError, TrainingError
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store
from glitbuild.stages.train import loop
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.sources import Source, shards_of
from tests.run import here
from tests.stages.train.ranks import train_as
from tests.stages.train.worlds import (
    TIMES,
    InterruptedRunError,
    matched_scenes,
    record,
    save_small_clip,
    write_matched,
)

pytestmark = pytest.mark.slow

FIRST, SECOND = 16, 9
"""Number of samples of the two datasets."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    matched_scenes(folder / "first", (7, 3, 6))
    matched_scenes(folder / "second", (5, 4), FIRST)
    save_small_clip(folder / "base")
    return folder


def options(world: Path, run: Path, **others: Any) -> TrainOptions:
    given: dict[str, Any] = {"epochs": 2, "batch_size": 5, "lr": 1e-3, "loader_workers": 0, "save_every": 2}
    given |= {
        "dir": [str(world / "first"), str(world / "second")],
        "repeat": (0.5, 3),
        "model": str(world / "base"),
    }
    return TrainOptions(**(given | {"out": str(run)} | others))


def keys(folder: Path) -> set[str]:
    source = Source.open(str(folder))
    store = Store(source.url)
    return {
        sample.key
        for shard in shards_of([source])
        for sample, _ in read_shard(store, shard.entry.name, shard.entry.sha256)
    }


def log(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def test_each_dataset_is_seen_as_often_as_asked(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = record(monkeypatch)
    trained = run_train(options(world, tmp_path / "run"), plain=True)
    assert (trained.steps, trained.samples) == (14, FIRST + SECOND)  # 8 + 27 samples in batches of 5, twice
    first, second = keys(world / "first"), keys(world / "second")
    assert (len(first), len(second), len(first & second)) == (FIRST, SECOND, 0)
    found = Counter(key for batch in batches for key in batch)
    assert found == dict.fromkeys(first, 1) | dict.fromkeys(second, 6)
    epoch = Counter(key for batch in batches[:7] for key in batch)
    assert sum(key in first for key in epoch) == 8
    assert all(epoch[key] == 3 for key in second)
    assert all(len(set(batch)) == len(batch) for batch in batches)
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert config["repeat"] == [0.5, 3.0]
    assert len(set(config["dir"])) == 2 and all(text.startswith("sha256:") for text in config["dir"])


@pytest.mark.parametrize("steps", [3, 9])
def test_interrupted_and_resumed_it_is_the_same_bit_for_bit(steps: int, world: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path / "whole"), plain=True)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InterruptedRunError):
        record(patch, steps)
        run_train(options(world, tmp_path / "run"), plain=True)
    run_train(options(world, tmp_path / "run", resume=True, loader_workers=2), plain=True)
    assert log(tmp_path / "run") == log(tmp_path / "whole")
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("run", "whole"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_several_processes_take_the_same_steps(world: Path, tmp_path: Path) -> None:
    for count in (1, 2):
        train_as(options(world, tmp_path / str(count), epochs=1), count)
    one, two = ([line["loss"] for line in log(tmp_path / str(count))] for count in (1, 2))
    assert len(one) == 7
    assert two == pytest.approx(one, rel=1e-3)


def test_pairs_are_drawn_anew_at_each_visit(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: dict[str, set[tuple[float, ...]]] = {}
    backward = loop.backward

    def recording(views: Any, batch: loop.Batch, *rest: Any) -> dict[str, torch.Tensor]:
        for key, box in zip(batch.keys, batch.boxes.tolist(), strict=True):
            boxes.setdefault(key, set()).add(tuple(box))
        return backward(views, batch, *rest)

    monkeypatch.setattr(loop, "backward", recording)
    run_train(options(world, tmp_path / "run", pairs="all", epochs=1), plain=True)
    assert max(len(boxes[key]) for key in keys(world / "second")) > 1


def test_other_datasets_order_or_repeats_are_another_run(world: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path, epochs=1), plain=True)
    assert run_train(options(world, tmp_path, epochs=1, repeat="0.5,3.0"), plain=True).done_before
    dirs = [str(world / "second"), str(world / "first")]
    others: list[tuple[str, dict[str, Any]]] = [
        ("repeat was", {"repeat": (0.5, 2)}),
        ("repeat was", {"repeat": ()}),
        ("dir was", {"dir": dirs}),
        ("dir was", {"dir": dirs[:1], "repeat": 3}),
    ]
    for named, changes in others:
        with pytest.raises(OptionsChangedError, match=named):
            run_train(options(world, tmp_path, epochs=1, **changes), plain=True)


def test_once_each_is_recorded_as_nothing(world: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path, epochs=1, repeat=(1, 1)), plain=True)
    assert "repeat" not in json.loads((tmp_path / "run.json").read_text())["config"]
    assert run_train(options(world, tmp_path, epochs=1, repeat=()), plain=True).done_before


def test_a_dataset_that_adds_nothing_is_refused_by_its_name(world: Path, tmp_path: Path) -> None:
    first, second = str(world / "first"), str(world / "second")
    empty = str(write_matched(tmp_path / "empty", []))
    here("scenes", "--count", 2, "--out", "scenes", cwd=tmp_path)
    refused: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ConfigError, "second: it has the same samples as .*second", {"dir": [first, second, second]}),
        (ConfigError, "second: --repeat 0.01 leaves none of its 9 samples", {"repeat": (1, 0.01)}),
        (ConfigError, "empty: it has no samples", {"dir": [first, empty]}),
        (ConfigError, "--batch-size 50.*only 35 samples", {"batch_size": 50}),
        (ConfigError, "are local", {"cache_size": "1GB"}),
        (ConfigError, "it contains .*second", {"out": second, "overwrite": True}),
        (DatasetError, "scenes: .*no best_pair", {"dir": [first, str(tmp_path / "scenes")]}),
    ]
    for error, message, changes in refused:
        changes = {"repeat": ()} | changes if "dir" in changes else changes
        with pytest.raises(error, match=message):
            run_train(options(world, tmp_path / "run", **changes), plain=True)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_a_number_names_the_datasets_of_its_batch(world: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nan-batch\.json"):
        run_train(options(world, tmp_path, lr=1e30, epochs=9), plain=True)
    found = json.loads((tmp_path / "nan-batch.json").read_text())
    first = keys(world / "first")
    assert len(found["keys"]) == len(found["dirs"]) == 5
    for key, name in zip(found["keys"], found["dirs"], strict=True):
        assert Path(name).name == ("first" if key in first else "second")


def test_the_command_takes_several_datasets(world: Path, tmp_path: Path) -> None:
    small = ["--batch-size", 5, "--epochs", 1, "--loader-workers", 0, "--model", world / "base"]
    result = here(
        "train", world / "first", world / "second", "--repeat", "1,2", "--out", "run", *small, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "25 samples (34 per epoch)" in result.stderr
    result = here("train", world / "first", "--repeat", "1,2", "--out", "other", *small, cwd=tmp_path)
    assert result.returncode == 2
    assert "--repeat 1,2: 2 given for 1" in result.stderr
