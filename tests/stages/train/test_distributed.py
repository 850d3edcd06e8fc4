"""Several processes take the steps of one: the same samples, losses, counts and updates, whatever the sizes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from glitbuild.clip.saved import WEIGHTS
from glitbuild.errors import TrainingError
from glitbuild.stages.train.loop import BAD_BATCH
from glitbuild.stages.train.options import TrainOptions
from tests.stages.train.ranks import train_as
from tests.stages.train.worlds import TIMES, matched_out_of_sight, matched_scenes, save_small_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    matched_scenes(folder / "one-shard", (9,))
    matched_scenes(folder / "uneven", (4, 0, 2, 3))
    matched_scenes(folder / "two", (2,))
    matched_out_of_sight(folder / "unseen")
    save_small_clip(folder / "base")
    return folder


def options(world: Path, data: str, run: Path, **others: Any) -> TrainOptions:
    given = {"epochs": 2, "batch_size": 4, "lr": 1e-3, "loader_workers": 0}
    if "val" in others:
        others["val"] = str(world / others["val"])
    return TrainOptions(str(world / data), str(run), str(world / "base"), **(given | others))


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").open()]


def agree(one: Path, two: Path, base: Path) -> None:
    """See that two runs logged the same, and moved the weights to the same place."""
    a, b = lines(one), lines(two)
    assert [line["step"] for line in b] == [line["step"] for line in a]
    for x, y in zip(a, b, strict=True):
        assert y.keys() == x.keys()
        for name in x.keys() - TIMES:
            assert y[name] == pytest.approx(x[name], rel=2e-4, abs=2e-6), f"{name} of step {x['step']}"
    first, last, start = load_file(one / WEIGHTS), load_file(two / WEIGHTS), load_file(base / WEIGHTS)
    moved = sum(
        float((first[name] - start[name]).norm()) for name in start if start[name].shape == first[name].shape
    )
    apart = sum(float((first[name] - last[name]).norm()) for name in first)
    assert moved > 0
    assert apart < 0.02 * moved


@pytest.mark.parametrize(
    ("data", "others"),
    [
        ("one-shard", {}),  # fewer shards than processes; nine samples: 4, 4 and 1
        ("uneven", {"batch_size": 5, "accumulate": 2}),
        ("two", {"batch_size": 2, "epochs": 2, "accumulate": 4}),  # fewer samples than processes
        ("uneven", {"batch_size": 4, "accumulate": 2, "val": "unseen", "val_every": 2, "grad_checkpointing": True}),
        ("one-shard", {"clip_grad": 0.1, "pairs": "all", "warmup": 0.5, "epochs": 1}),
    ],
)
def test_whatever_the_sizes(data: str, others: dict[str, Any], world: Path, tmp_path: Path) -> None:
    for count in (1, 3):
        states = train_as(options(world, data, tmp_path / str(count), **others), count)
        assert len({str(state) for state in states}) == 1
    agree(tmp_path / "1", tmp_path / "3", world / "base")


@pytest.mark.parametrize(
    "others",
    [
        {"loss": "tsl"},  # logit_scale gets no gradient
        {"loss": "local"},
        {"loss": "global,tsl", "tsl_weight": 0.0},
        {"loss": "tsl", "unlocked_image_groups": 0, "accumulate": 2},
        {"loss": "tsl", "unlocked_image_groups": 1, "unlocked_text_layers": 1},
        {"unlocked_image_groups": 0, "unlocked_text_layers": 0, "accumulate": 2},  # logit_scale alone is left
    ],
)
def test_whichever_losses_and_parts(others: dict[str, Any], world: Path, tmp_path: Path) -> None:
    given = {"epochs": 1, "batch_size": 3} | others
    for count in (1, 2):
        train_as(options(world, "uneven", tmp_path / str(count), **given), count)
    agree(tmp_path / "1", tmp_path / "2", world / "base")


@pytest.mark.parametrize(("loss", "batch_size"), [("tsl", 1), ("tsl", 2), ("global,local,tsl", 1)])
def test_steps_in_which_a_side_of_tsl_has_no_sample(
    loss: str, batch_size: int, world: Path, tmp_path: Path
) -> None:
    for count in (1, 2):
        given = options(world, "unseen", tmp_path / str(count), loss=loss, batch_size=batch_size)
        states = train_as(given, count)
        # In every epoch one caption hides its sentence and one picture its region, whoever has them.
        assert [(state.sentences_beyond, state.boxes_outside) for state in states] == [(2, 2)] * count
    agree(tmp_path / "1", tmp_path / "2", world / "base")


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2)])
def test_a_run_goes_on_with_another_number_of_processes(
    before: int, after: int, world: Path, tmp_path: Path
) -> None:
    given = options(world, "one-shard", tmp_path / "1", save_every=1)
    train_as(given, 1)
    changed = replace(given, out=str(tmp_path / "changed"))
    assert train_as(changed, before, steps=3)[0].step == 4
    assert {state.step for state in train_as(changed, after)} == {6}
    agree(tmp_path / "1", tmp_path / "changed", world / "base")


def test_a_loss_that_is_not_a_number_ends_all_with_the_keys_of_the_whole_batch(world: Path, tmp_path: Path) -> None:
    given = options(world, "one-shard", tmp_path / "1", lr=1e30, epochs=4)
    with pytest.raises(TrainingError, match=BAD_BATCH):
        train_as(given, 1)
    with pytest.raises(TrainingError, match=BAD_BATCH):
        train_as(replace(given, out=str(tmp_path / "3")), 3)
    alone, together = (json.loads((tmp_path / name / BAD_BATCH).read_text()) for name in ("1", "3"))
    assert together["keys"] == alone["keys"]
    assert together["step"] == alone["step"]


def test_tensorboard_has_the_figures_of_all_processes(world: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_as(options(world, "one-shard", tmp_path / "run", epochs=1), 2)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    for name in ("loss", "tsl", "global"):
        shown = [event.value for event in events.Scalars(name)]
        assert shown == pytest.approx([line[name] for line in lines(tmp_path / "run")])
