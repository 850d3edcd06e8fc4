"""Validation on another dataset, against open_clip itself, and the best model that is kept."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.saved import load_saved
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.loop import Job, prepare
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.validation import BEST, MEAN, Best
from tests.stages.train.worlds import MODEL_CFG, matched_scenes, save_small_clip, small_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validation")
    matched_scenes(folder / "pairs")
    matched_scenes(folder / "val", (4, 0, 9))
    save_small_clip(folder / "base")
    return folder


def options(world: Path, run: Path, **others: Any) -> TrainOptions:
    given = {"epochs": 3, "batch_size": 8, "lr": 3e-3, "loader_workers": 0, "save_every": 2, "val_every": 2}
    given |= {"val": str(world / "val")}
    return TrainOptions(str(world / "pairs"), str(run), str(world / "base"), **(given | others))


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").open()]


def by_hand(model: Any, data: Path) -> tuple[float, float]:
    """Return recall@1 of both directions as anyone would compute it with open_clip."""
    _, _, transform = open_clip.create_model_and_transforms("ViT-B-32", load_weights=False)
    transform = open_clip.transform.image_transform(32, is_train=False)
    store, manifest = open_dataset(str(data))
    images, texts = [], []
    for entry in manifest.shards:
        for sample, jpeg in read_shard(store, entry.name, entry.sha256):
            import io

            images.append(transform(Image.open(io.BytesIO(jpeg)).convert("RGB")))
            texts.append(sample.caption)
    ids = open_clip.get_tokenizer("ViT-B-32", context_length=248)(texts)
    with torch.no_grad():
        a = model.encode_image(torch.stack(images), normalize=True).double()
        b = model.encode_text(ids, normalize=True).double()
    cosines, right = (b @ a.T).numpy(), np.arange(len(images))
    return 100 * float((cosines.argmax(1) == right).mean()), 100 * float((cosines.argmax(0) == right).mean())


@pytest.fixture(scope="module")
def whole(world: Path) -> Path:
    run_train(options(world, world / "whole"), plain=True)
    return world / "whole"


def test_the_log_has_the_metrics_of_the_model_at_that_step(whole: Path, world: Path) -> None:
    found = {line["step"]: line for line in lines(whole)}
    assert [step for step, line in found.items() if MEAN in line] == [0, 2, 4, 6]
    assert set(found[0]) == {name for name in found[6] if name.startswith("val_")} | {"step"}
    model = load_saved(whole, "cpu")
    text, image = by_hand(model, world / "val")
    assert found[6]["val_text_to_image_recall_at_1"] == pytest.approx(text)
    assert found[6]["val_image_to_text_recall_at_1"] == pytest.approx(image)
    assert found[6][MEAN] == pytest.approx((text + image) / 2)
    assert found[6]["val_loss"] < found[0]["val_loss"]  # scenes of the same kinds: what it learns helps here too


def test_the_best_model_is_kept_and_is_the_one_of_its_step(whole: Path, world: Path) -> None:
    about = json.loads((whole / BEST / "validation.json").read_text())
    found = {line["step"]: line[MEAN] for line in lines(whole) if MEAN in line}
    assert about["metrics"][MEAN] == max(found.values())
    assert about["step"] == min(step for step, value in found.items() if value == max(found.values()))
    text, image = by_hand(load_saved(whole / BEST, "cpu"), world / "val")
    assert about["metrics"][MEAN] == pytest.approx((text + image) / 2)
    done = json.loads((whole / "run.json").read_text())["done"]
    assert (done["best_step"], done["best_recall"]) == (about["step"], about["metrics"][MEAN])


def test_validating_changes_no_bit_of_the_training(whole: Path, world: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path / "run", val=None), plain=True)
    name = "open_clip_model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("parts", [1, 3])
def test_the_losses_are_the_mean_over_all_samples(parts: int, world: Path, tmp_path: Path) -> None:
    given = options(world, tmp_path, accumulate=parts, batch_size=16)
    training = prepare(Job(given, (str(world / "pairs"),), str(tmp_path), ClipSpec.parse(given.model)), "cpu")
    assert training.validation
    found = training.validation.run(training.model, nullcontext)
    assert training.model.training
    batch = training.validation.batches[next(training.validation.plan.of_epoch(0))]
    assert len(batch) == 13  # the whole dataset is one batch
    with torch.no_grad():
        losses = training.objective(training.views(batch))
    for name, value in losses.items():
        assert found[f"val_{name}"] == pytest.approx(float(value), rel=1e-4), name


def test_a_resumed_run_keeps_the_best_of_before(whole: Path, world: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    from glitbuild.clip.load import ClipSpec as Spec
    from glitbuild.stages.train.loop import train

    given = options(world, tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_bytes(
        json.dumps(json.loads((whole / "run.json").read_text()) | {"done": {}}).encode()
    )

    def kill(state: Any, images: int) -> None:
        if state.step == 5:
            raise KilledError

    job = Job(given, (str(world / "pairs"),), str(tmp_path / "run"), Spec.parse(given.model))
    with pytest.raises(KilledError):
        train(prepare(job, "cpu"), kill)
    run_train(given, plain=True)
    assert [line["step"] for line in lines(tmp_path / "run")] == list(range(7))
    for name in ("validation.json", "open_clip_model.safetensors"):
        assert (tmp_path / "run" / BEST / name).read_bytes() == (whole / BEST / name).read_bytes()


def test_only_a_better_model_takes_the_place_and_a_kill_between_loses_none(tmp_path: Path) -> None:
    best = Best(tmp_path, "of-val")
    best.offer(3, {MEAN: 50.0}, small_clip(), MODEL_CFG)
    best.offer(4, {MEAN: 50.0}, small_clip(1), MODEL_CFG)
    assert Best(tmp_path, "of-val").step == 3
    assert Best(tmp_path, "of-another").step is None
    (tmp_path / BEST).replace(tmp_path / f".{BEST}.old")  # killed before the new one had its name
    again = Best(tmp_path, "of-val")
    assert (again.step, again.metrics) == (3, {MEAN: 50.0})
    again.offer(5, {MEAN: 60.0}, small_clip(), MODEL_CFG)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST]
    (tmp_path / BEST / "validation.json").write_text("{")
    with pytest.raises(DatasetError, match="damaged"):
        Best(tmp_path, "of-val")


def test_what_can_not_be_validated_on_is_refused_before_anything_is_written(world: Path, tmp_path: Path) -> None:
    plain = tmp_path / "nothing"
    with pytest.raises(ConfigError):
        run_train(options(world, tmp_path / "run", val=str(plain)), plain=True)
    shutil.copytree(world / "val", tmp_path / "damaged")
    (tmp_path / "damaged" / "shards" / "00002.tar").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"00002\.tar"):
        run_train(options(world, tmp_path / "run", val=str(tmp_path / "damaged")), plain=True)
    assert not (tmp_path / "run").exists()
