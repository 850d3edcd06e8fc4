"""What users read when memory is too small, or a decoding process dies."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from glitbuild.errors import TrainingError
from glitbuild.stages.train import data
from glitbuild.stages.train.data import Batch
from glitbuild.stages.train.distributed import _cause
from glitbuild.stages.train.losses import Views
from glitbuild.stages.train.optim import step_too_large, too_little_memory
from glitbuild.stages.train.options import TrainOptions
from tests.run import here
from tests.stages.train.worlds import matched_scenes, save_small_clip

CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB"


def _on_a_gpu() -> None:
    raise torch.OutOfMemoryError(CUDA)


def _of_the_host() -> None:
    torch.empty(2**62, dtype=torch.uint8)  # torch's own error, whatever it says on this system


def _of_the_host_elsewhere() -> None:
    raise RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried"
    )


def _of_a_library() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def _of_python() -> None:
    raise MemoryError


KINDS = [_on_a_gpu, _of_the_host, _of_the_host_elsewhere, _of_a_library, _of_python]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    matched_scenes(folder / "pairs", (6,))
    save_small_clip(folder / "base")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("harm", KINDS)
def test_a_step_that_does_not_fit_names_what_to_set(
    harm: Callable[[], None], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Views.forward

    def small(self: Views, batch: Batch) -> Any:
        if len(batch) > 1:  # a single sample fits
            harm()
        return forward(self, batch)

    monkeypatch.setattr(Views, "forward", small)
    given = ["--model", world / "base", "--batch-size", 6, "--loader-workers", 0, "--epochs", 1, "--out", "run"]
    for parts, advice in ((1, 2), (2, 4), (4, 6)):
        result = here("train", world / "pairs", *given, "--accumulate", parts, cwd=tmp_path)
        line = result.stderr.splitlines()[-1]
        assert result.returncode == 1
        assert f"--batch-size 6 and --accumulate {parts}" in line
        assert "out of memory" in line
        assert "--grad-checkpointing" in line
        assert f"--accumulate {advice}: " in line
    done = here("train", world / "pairs", *given, "--accumulate", 6, cwd=tmp_path)  # as the line says
    assert done.returncode == 0, done.stderr


def test_where_parts_of_one_sample_are_too_large_another_way_is_named() -> None:
    options = TrainOptions("data", "run", batch_size=8, accumulate=4, workers=2)
    assert "--grad-checkpointing" in str(step_too_large(options, "run", "cpu", 3, share=4))
    options = replace(options, grad_checkpointing=True)
    assert "--accumulate can't be raised" in str(step_too_large(options, "run", "cpu", 3, share=4))
    assert "--accumulate can't be raised" not in str(step_too_large(options, "run", "cuda:1", 3, share=5))


@pytest.mark.parametrize("harm", KINDS)
def test_each_kind_is_known_also_where_another_error_came_of_it(harm: Callable[[], None]) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as found:
        harm()
    assert too_little_memory(found.value)
    with pytest.raises(ValueError) as outer:
        try:
            harm()
        except (MemoryError, RuntimeError) as error:
            raise ValueError("weights can't be had") from error
    assert too_little_memory(outer.value)
    assert not too_little_memory(RuntimeError("Connection closed by peer [127.0.0.1]:5"))


@pytest.mark.slow
def test_of_several_processes_the_one_that_had_a_reason_is_heard() -> None:
    from ray.exceptions import ActorDiedError
    from ray.train import WorkerGroupError

    reason = step_too_large(TrainOptions("data", "run", workers=2), "run", "cpu", 3, 128)
    failures = {0: RuntimeError("Connection closed by peer"), 1: reason}
    assert _cause(WorkerGroupError("failed", failures), "run") is reason
    died = _cause(WorkerGroupError("failed", {0: ActorDiedError()}), "run")
    assert isinstance(died, TrainingError)
    assert "a process died" in str(died)


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_decoding_process_that_dies_ends_the_run(
    by: signal.Signals, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, read = os.getpid(), data.Batches.__getitem__

    def dying(self: data.Batches, places: Any) -> Batch:
        if os.getpid() != parent:
            os.kill(os.getpid(), by)
        return read(self, places)

    monkeypatch.setattr(data.Batches, "__getitem__", dying)
    given = ["--model", world / "base", "--batch-size", 6, "--loader-workers", 1, "--epochs", 1, "--out", "run"]
    result = here("train", world / "pairs", *given, cwd=tmp_path)
    assert result.returncode == 1
    assert "a decoding process: one of the 1 died" in result.stderr.splitlines()[-1]
    assert "--loader-workers" in result.stderr.splitlines()[-1]


@pytest.mark.slow
def test_what_a_decoding_process_finds_damaged_is_said_in_one_line(world: Path, tmp_path: Path) -> None:
    matched_scenes(tmp_path / "pairs", (6,))
    tar = tmp_path / "pairs" / "shards" / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:2048])
    given = ["--model", world / "base", "--batch-size", 6, "--loader-workers", 1, "--epochs", 1, "--out", "run"]
    result = here("train", "pairs", *given, cwd=tmp_path)
    assert result.returncode == 1
    assert "shards/00000.tar" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
