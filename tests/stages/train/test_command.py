"""The command as users run it: whole, interrupted at any step, in several processes, on what it can't use."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.saved import CONFIG, WEIGHTS
from glitbuild.errors import ConfigError, DatasetError, OptionsChangedError, TrainingError
from glitbuild.stages.train import loop
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.data import Batch, Batches
from glitbuild.stages.train.folder import FOLDER
from glitbuild.stages.train.loop import Job, Pieces, prepare, train
from glitbuild.stages.train.losses import Features, Objective
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Place
from tests.run import GLITBUILD, here
from tests.stages.train.worlds import (
    InterruptedRunError,
    matched_out_of_sight,
    matched_scenes,
    record,
    save_small_clip,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    matched_scenes(folder / "pairs")
    save_small_clip(folder / "base")
    return folder


def options(world: Path, run: Path, **others: object) -> TrainOptions:
    given = {"epochs": 2, "batch_size": 5, "lr": 1e-3, "loader_workers": 0, "save_every": 2}
    return TrainOptions(str(world / "pairs"), str(run), str(world / "base"), **(given | others))  # type: ignore[arg-type]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / WEIGHTS)


def same(one: Path, two: Path) -> bool:
    a, b = weights(one), weights(two)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(world: Path) -> Path:
    run_train(options(world, world / "whole"), plain=True)
    return world / "whole"


def test_a_run_leaves_a_model_that_reads_248_tokens_and_what_it_did(whole: Path, world: Path) -> None:
    assert ClipSpec.parse(str(whole)).load("cpu").context_length == 248
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 9))  # 16 samples: three batches of 5 and one of 1
    assert [line["epoch"] for line in lines] == [0] * 4 + [1] * 4
    assert lines[0]["lr"] == pytest.approx(1e-3)
    assert lines[-1]["lr"] < 1e-4
    for line in lines:
        assert line["loss"] == pytest.approx(line["global"] + 0.5 * line["local"] + line["tsl"], rel=1e-5)
    assert list((whole / "tensorboard").iterdir())
    content = json.loads((whole / "run.json").read_text())
    assert content["done"]["steps"] == 8
    assert "/" not in "".join(map(str, content["config"].values())), (
        "the folders of this machine are of no use elsewhere"
    )
    assert sorted(path.name for path in whole.iterdir()) == sorted(
        ["log.jsonl", "run.json", "tensorboard", CONFIG, WEIGHTS]
    )
    before = load_file(world / "base" / WEIGHTS)
    assert not torch.equal(weights(whole)["visual.proj"], before["visual.proj"])


def test_the_loss_falls_on_what_it_sees_again(world: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path / "run", epochs=12, batch_size=16), plain=True)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("others", [{"loader_workers": 2}, {"save_every": 100}])
def test_neither_decoding_processes_nor_checkpoints_change_a_bit(
    others: dict[str, object], world: Path, whole: Path, tmp_path: Path
) -> None:
    run_train(options(world, tmp_path / "run", **others), plain=True)
    assert same(whole, tmp_path / "run")


@pytest.mark.parametrize("steps", [1, 3, 4, 7])
def test_interrupted_at_a_step_and_continued_it_is_the_same_bit_for_bit(
    steps: int, world: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        record(patched, steps)
        with pytest.raises(InterruptedRunError):
            run_train(options(world, tmp_path / "run"), plain=True)
    assert not (tmp_path / "run" / WEIGHTS).exists()
    assert run_train(options(world, tmp_path / "run", resume=steps >= 2), plain=True).steps == 8
    assert same(whole, tmp_path / "run")
    assert [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").open()] == list(range(1, 9))


def test_killed_at_a_random_moment_and_run_again_it_is_the_same(world: Path, tmp_path: Path) -> None:
    command = [
        GLITBUILD,
        "train",
        world / "pairs",
        "--model",
        world / "base",
        "--epochs",
        "16",
        "--batch-size",
        "5",
    ]
    command += ["--lr", "1e-3", "--loader-workers", "1", "--save-every", "3", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = tmp_path / "killed"
    process = subprocess.Popen([*command, run], env=environment, start_new_session=True)
    while process.poll() is None and len(list((run / FOLDER).glob("[0-9]*"))) < 2:
        time.sleep(0.05)
    time.sleep(random.random())
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run([*command, run], env=environment, check=True)
    subprocess.run([*command, tmp_path / "whole"], env=environment, check=True)
    assert same(tmp_path / "whole", run)


def test_sigterm_saves_the_step_and_the_same_command_goes_on_bit_for_bit(world: Path, tmp_path: Path) -> None:
    command = [
        GLITBUILD,
        "train",
        world / "pairs",
        "--model",
        world / "base",
        "--epochs",
        "40",
        "--batch-size",
        "5",
    ]
    command += ["--lr", "1e-3", "--loader-workers", "1", "--save-every", "9999", "--out"]
    environment, run = os.environ | {"OMP_NUM_THREADS": "1"}, tmp_path / "stopped"
    process = subprocess.Popen([*command, run], env=environment, stderr=subprocess.PIPE, text=True)
    log = run / "log.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 5):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    saved = [path.name for path in (run / FOLDER).iterdir()]
    last = json.loads(log.read_text().splitlines()[-1])["step"]
    assert saved == [f"{last:08d}"]
    assert f"step {last} of 160" in errors
    assert "resume" in errors.splitlines()[-1]
    subprocess.run([*command, run, "--resume"], env=environment, check=True)
    subprocess.run([*command, tmp_path / "whole"], env=environment, check=True)
    assert same(tmp_path / "whole", run)
    assert [json.loads(line)["step"] for line in log.open()] == list(range(1, 161))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_recomputed_activations_change_no_bit(accumulate: int, world: Path, tmp_path: Path) -> None:
    for name, more in (("plain", False), ("recomputed", True)):
        given = options(world, tmp_path / name, accumulate=accumulate, grad_checkpointing=more)
        run_train(given, plain=True)
    assert same(tmp_path / "plain", tmp_path / "recomputed")


def test_bf16_trains_and_is_another_run_than_fp32(world: Path, whole: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path / "bf16", precision="bf16"), plain=True)
    a, b = ([json.loads(line)["loss"] for line in (run / "log.jsonl").open()] for run in (whole, tmp_path / "bf16"))
    assert a != b
    assert a == pytest.approx(b, rel=0.05)
    assert all(value.dtype == torch.float32 for value in weights(tmp_path / "bf16").values())
    with pytest.raises(OptionsChangedError, match="precision"):
        run_train(options(world, whole, precision="bf16"), plain=True)
    assert run_train(options(world, whole, precision="auto"), plain=True).done_before


def test_a_compiled_model_takes_the_same_steps(world: Path, tmp_path: Path) -> None:
    runs = tmp_path / "plain", tmp_path / "compiled"
    for run in runs:  # batches of equal shape, so that nothing is compiled twice
        run_train(options(world, run, batch_size=16, compile=run.name == "compiled"), plain=True)
    a, b = ([json.loads(line)["loss"] for line in (run / "log.jsonl").open()] for run in runs)
    assert a[0] != a[1] == pytest.approx(b[1], rel=1e-3)
    assert weights(runs[0]).keys() == weights(runs[1]).keys()


def test_each_step_says_how_fast_and_how_large(whole: Path) -> None:
    for line in map(json.loads, (whole / "log.jsonl").open()):
        assert 0 < line["images_per_second"] <= 5 / line["step_seconds"]
        assert 0.05 < line["memory_gib"] < 64


def test_again_there_is_nothing_to_do_and_other_options_are_refused(whole: Path, world: Path) -> None:
    assert run_train(options(world, whole), plain=True).done_before
    with pytest.raises(OptionsChangedError, match=r"lr was 0\.001 and is now 0\.002"):
        run_train(options(world, whole, lr=2e-3), plain=True)


def test_overwrite_removes_a_run_and_nothing_else(world: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ConfigError):
            run_train(options(world, tmp_path / "mine", overwrite=overwrite), plain=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_resume_wants_a_checkpoint(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint"):
        run_train(options(world, tmp_path / "run", resume=True), plain=True)


def test_accumulating_takes_the_same_steps(world: Path, whole: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path / "run", accumulate=3), plain=True)
    one, two = (
        [json.loads(line)["loss"] for line in (run / "log.jsonl").open()] for run in (whole, tmp_path / "run")
    )
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    assert two == pytest.approx(one, rel=1e-3)  # rounding grows from step to step


def test_only_what_is_unlocked_is_trained(world: Path, tmp_path: Path) -> None:
    run_train(options(world, tmp_path / "run", unlocked_image_groups=0, epochs=1), plain=True)
    before, after = load_file(world / "base" / WEIGHTS), weights(tmp_path / "run")
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("visual."))
    assert not torch.equal(before["text_projection"], after["text_projection"])


def test_a_loss_that_is_not_a_number_stops_with_the_batch_s_keys(world: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nan-batch\.json"):
        run_train(options(world, tmp_path / "run", lr=1e30, epochs=9), plain=True)
    found = json.loads((tmp_path / "run" / "nan-batch.json").read_text())
    assert 0 < len(found["keys"]) <= 5
    assert not (tmp_path / "run" / WEIGHTS).exists()


def _broken(checkpoint: Path) -> None:
    (checkpoint / "optimizer.safetensors").write_bytes(b"broken")


def _of_another_model(checkpoint: Path) -> None:
    state = load_file(checkpoint / "model.safetensors")
    state["visual.proj"] = state["visual.proj"][:, :8].contiguous()
    save_file(state, checkpoint / "model.safetensors")


def _of_another_schema(checkpoint: Path) -> None:
    state = json.loads((checkpoint / "state.json").read_text())
    (checkpoint / "state.json").write_text(json.dumps(state | {"tokens": 1}))


@pytest.mark.parametrize("harm", [_broken, _of_another_model, _of_another_schema])
def test_a_checkpoint_that_does_not_fit_is_named(
    harm: Callable[[Path], None], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(InterruptedRunError):
        patched.setattr(loop, "save_model", _raise)
        run_train(options(world, tmp_path / "run"), plain=True)
    folders = sorted((tmp_path / "run" / FOLDER).iterdir())
    assert len(folders) == 2
    harm(folders[-1])
    with pytest.raises(DatasetError, match=folders[-1].name):
        run_train(options(world, tmp_path / "run"), plain=True)


def test_a_run_of_another_schema_is_refused(whole: Path, world: Path, tmp_path: Path) -> None:
    content = json.loads((whole / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(content | {"schema": "glit-run/9"}))
    with pytest.raises(DatasetError, match=r"glit-run/9, but this version writes glit-run/1"):
        run_train(options(world, tmp_path), plain=True)


def _raise(*_: object) -> None:
    raise InterruptedRunError


def test_unmatched_or_small_datasets_are_refused(world: Path, tmp_path: Path) -> None:
    here("scenes", "--count", 2, "--out", "scenes", cwd=tmp_path)
    result = here("train", "scenes", "--out", "run", "--model", world / "base", cwd=tmp_path)
    assert result.returncode == 1
    assert "no best_pair" in result.stderr
    result = here("train", world / "pairs", "--out", "run", "--model", world / "base", cwd=tmp_path)
    assert result.returncode == 2
    assert "only 16 samples" in result.stderr
    assert not (tmp_path / "run").exists()


def test_what_the_model_does_not_see_is_counted_and_shown(world: Path, tmp_path: Path) -> None:
    matched_out_of_sight(tmp_path / "pairs")
    small = ["--batch-size", 2, "--epochs", 3, "--loader-workers", 0]
    result = here("train", "pairs", "--out", "run", "--model", world / "base", *small, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "sentences beyond the last token: 3\n" in result.stdout
    assert "regions outside the model's crop: 3\n" in result.stdout


def test_the_pieces_of_a_training_can_be_replaced(world: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    class Doubled(Objective):
        def __call__(self, features: Features, shares: Sequence[int] = ()) -> dict[str, torch.Tensor]:
            asked.append("objective")
            losses = super().__call__(features, shares)
            return losses | {"loss": 2 * losses["loss"]}

    class Counted(Batches):
        def __getitem__(self, places: Sequence[Place]) -> Batch:
            asked.append("batches")
            return super().__getitem__(places)

    logged = []
    for name, pieces in (("plain", None), ("replaced", Pieces(batches=Counted, objective=Doubled))):
        (tmp_path / name).mkdir()
        job = Job(
            options(world, tmp_path / name, epochs=1),
            (str(world / "pairs"),),
            str(tmp_path / name),
            ClipSpec.parse(str(world / "base")),
        )
        train(prepare(job, "cpu", pieces=pieces), lambda state, images: None)
        logged.append(json.loads((tmp_path / name / "log.jsonl").open().readline()))
    assert set(asked) == {"objective", "batches"}
    assert logged[1]["loss"] == pytest.approx(2 * logged[0]["loss"], rel=1e-5)
    assert logged[1]["tsl"] == pytest.approx(logged[0]["tsl"], rel=1e-5)
