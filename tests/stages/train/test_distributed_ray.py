"""Several processes as users start them: through Ray."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from glitbuild.stages.train.options import TrainOptions
from tests.run import GLITBUILD, here
from tests.stages.train.ranks import train_as
from tests.stages.train.worlds import matched_scenes, save_small_clip

pytestmark = pytest.mark.slow

MOST_SECONDS = 60
"""From the death of a process to the end of the run."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    matched_scenes(folder / "pairs", (7, 3))
    save_small_clip(folder / "base")
    return folder


def test_two_processes_log_and_count_what_one_does(world: Path, tmp_path: Path) -> None:
    given = ["--model", world / "base", "--batch-size", 3, "--epochs", 1, "--lr", 1e-3, "--loader-workers", 0]
    outputs = []
    for run, more in (("one", []), ("two", ["--workers", 2])):
        result = here("train", world / "pairs", "--out", run, "--loss", "tsl", *given, *more, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        said, *counts = result.stdout.splitlines()
        assert said.startswith(f"{run}: 4 steps, 1 epochs of 10 samples, "), result.stdout
        outputs.append(counts)
    one, two = ([json.loads(line) for line in (tmp_path / run / "log.jsonl").open()] for run in ("one", "two"))
    assert len(one) == len(two) == 4  # 3, 3, 3 and 1, of which one process has none
    for a, b in zip(one, two, strict=True):
        assert {name: b[name] for name in ("step", "epoch", "lr")} == {
            name: a[name] for name in ("step", "epoch", "lr")
        }
        assert b["tsl"] == pytest.approx(a["tsl"], rel=2e-4)
    assert outputs[0] == outputs[1]
    done = [json.loads((tmp_path / run / "run.json").read_text())["done"] for run in ("one", "two")]
    assert done[0] == done[1]


def _worker(process: psutil.Process) -> bool:
    return "RayTrainWorker" in " ".join(process.cmdline())


def test_when_a_process_is_killed_the_run_ends_in_one_line(world: Path, tmp_path: Path) -> None:
    given = ["--model", world / "base", "--batch-size", "3", "--epochs", "9999", "--loader-workers", "0"]
    given += ["--restarts", "0"]
    command = [GLITBUILD, "train", world / "pairs", "--out", tmp_path / "run", "--workers", "2", *given]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    family: list[psutil.Process] = []
    try:
        log = tmp_path / "run" / "log.jsonl"
        while not (log.exists() and log.read_bytes().count(b"\n") > 2):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.2)
        family = psutil.Process(process.pid).children(recursive=True)
        victim = next(child for child in family if _worker(child))
        killed = time.monotonic()
        victim.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=MOST_SECONDS)
        assert time.monotonic() - killed < MOST_SECONDS
        assert process.returncode == 1
        assert errors.splitlines()[-1].startswith("glitbuild: error: ")
        assert "died" in errors.splitlines()[-1]
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive
    finally:
        for one in (process, *family):
            if one.pid and psutil.pid_exists(one.pid):
                one.kill()
        process.wait()


def _steps(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _start(command: list[object]) -> "subprocess.Popen[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = [str(word) for word in command]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True)


STEPS = 80


def _given(world: Path, run: Path) -> TrainOptions:
    return TrainOptions(
        str(world / "pairs"), str(run), str(world / "base"), batch_size=3, epochs=20, loader_workers=0
    )


def _command(world: Path, run: Path) -> list[object]:
    command: list[object] = [GLITBUILD, "train", world / "pairs", "--out", run, "--model", world / "base"]
    return [*command, "--workers", 2, "--batch-size", 3, "--epochs", 20, "--loader-workers", 0, "--save-every", 8]


@pytest.fixture(scope="module")
def whole(world: Path) -> Path:
    """A run of two processes that nothing interrupts."""
    train_as(_given(world, world / "whole"), 2)
    return world / "whole"


def _same(run: Path, whole: Path) -> bool:
    name = "open_clip_model.safetensors"
    assert [json.loads(line)["step"] for line in (run / "log.jsonl").open()] == list(range(1, STEPS + 1))
    return (run / name).read_bytes() == (whole / name).read_bytes()


def test_after_a_lost_process_it_goes_on_bit_for_bit(world: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = _start(_command(world, run))
    try:
        _wait_for(12, run, process)
        children = psutil.Process(process.pid).children(recursive=True)
        next(child for child in children if _worker(child)).send_signal(signal.SIGKILL)
        output, errors = process.communicate(timeout=2 * MOST_SECONDS)
        assert process.returncode == 0, errors
    finally:
        _end(process)
    assert re.search(r"a process died; starting again from step \d+ \(2 restarts left\)", errors), errors
    assert output.startswith(f"{run}: {STEPS} steps"), output  # what Ray says of the death is no result
    assert _same(run, whole)


def test_sigterm_saves_the_step_of_all_processes(world: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = _start(_command(world, run))
    try:
        _wait_for(12, run, process)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=MOST_SECONDS)
        assert process.returncode == 130, errors
    finally:
        _end(process)
    assert max(int(path.name) for path in (run / "checkpoints").iterdir()) == _steps(run) < STEPS
    train_as(_given(world, run), 2)
    assert _same(run, whole)


def _wait_for(steps: int, run: Path, process: "subprocess.Popen[str]") -> None:
    while _steps(run) < steps:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
