"""Several processes, through Ray Train."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glitbuild.engine.cluster import Cluster, connect, no_gpus
from glitbuild.errors import GlitbuildError, TrainingError
from glitbuild.train.checkpoint import State
from glitbuild.train.job import Job, Trainer
from glitbuild.train.log import LINES

SECONDS_BETWEEN_LOOKS = 1.0

RAY, STATE = "ray", "state.json"
"""Where Ray Train keeps its own files in a run's folder while it lasts, and there, how far the run came."""


def train_with_ray(job: Job, report: Callable[[int], None]) -> State:
    """Train in as many processes as the options ask for.

    Args:
        job: what to do.
        report: called with the number of images now and then.

    Raises:
        ConfigError: the cluster isn't there or is too small.
        TrainingError: a process died, or the loss is not a number.
    """
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    options, run = job.options, Path(job.run)
    gpus = bool(options.gpus)
    # One more for the process of Ray Train that watches over the others.
    connect(Cluster(options.world_size + 1, address=options.ray_address))
    try:
        there = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
        if gpus and there < options.world_size:
            raise no_gpus(options.world_size, there)
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": job},
            scaling_config=ScalingConfig(num_workers=options.world_size, use_gpu=gpus),
            run_config=RunConfig(name=RAY, storage_path=job.run),
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        )
        with _watching(run / LINES, options.batch_size, report):
            trainer.fit()
        return State(**json.loads((run / RAY / STATE).read_text()))
    except Exception as error:
        raise _cause(error, job.run) from error
    finally:
        ray.shutdown()
        shutil.rmtree(run / RAY, ignore_errors=True)


def _worker(config: dict[str, Any]) -> None:
    """Train in one of the processes; Ray Train has started their group."""
    import ray.train
    from ray.train.torch import get_device

    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    job: Job = config["job"]
    trainer = Trainer(job, str(get_device()), rank, world_size)
    state = trainer.run(lambda images: None)
    if rank == 0:
        (Path(job.run) / RAY / STATE).write_text(json.dumps(asdict(state)))


def _cause(error: BaseException, run: str) -> GlitbuildError:
    """Return what a process failed of, out of what Ray made of it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, GlitbuildError):
            return seen
        failures = getattr(seen, "worker_failures", None) or {}
        for failure in failures.values():
            return _cause(failure, run)
        seen = getattr(seen, "cause", None) or seen.__cause__
    why = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return TrainingError(run, f"a process failed: {why}", "run the same command again to go on from its checkpoint")


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@contextmanager
def _watching(path: Path, batch_size: int, report: Callable[[int], None]) -> Iterator[None]:
    """Report the steps that appear in a run's log meanwhile."""
    stop = threading.Event()

    def watch() -> None:
        known = _lines(path)
        while True:
            over = stop.wait(SECONDS_BETWEEN_LOOKS)
            lines = _lines(path)  # fewer when what was written after the checkpoint has been taken back
            report(max(0, lines - known) * batch_size)
            known = lines
            if over:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
