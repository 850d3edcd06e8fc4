"""Several processes, through Ray Train."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from glitbuild.engine.cluster import Cluster, connected, no_gpus
from glitbuild.engine.lifeline import Lifeline
from glitbuild.errors import ClusterError, ConfigError, GlitbuildError, TrainingError
from glitbuild.stages.train.folder import LINES, State, last_step
from glitbuild.stages.train.loop import Job, prepare, train
from glitbuild.stages.train.losses import Group
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Plan

Result = TypeVar("Result")

SECONDS_BETWEEN_LOOKS = 1.0

DEATHS = frozenset(
    {"ActorDiedError", "RayActorError", "WorkerCrashedError", "OutOfMemoryError", "WorkerHealthCheckFailedError"}
)
"""What Ray calls the end of a process; the others then fail of having lost it."""

GO_ON = "run the same command again to resume from its checkpoint"

RAY, STATE = "ray", "state.json"
"""Where Ray Train keeps its own files in a run's folder while it lasts, and there, how far the run came."""


def check_gpus(options: TrainOptions) -> None:
    """See that this machine has the GPUs that are asked for; of a cluster, ``train_with_ray`` asks Ray.

    Raises:
        ConfigError: it hasn't.
    """
    import torch

    if options.gpus and not options.ray_address and (here := torch.cuda.device_count()) < options.gpus:
        raise no_gpus(options.gpus, here)


def train_with_ray(job: Job, plan: Plan, begin: Callable[[], None], report: Callable[[int], None]) -> State:
    """Train in as many processes as the options ask for.

    Args:
        job: what to do.
        plan: the steps.
        begin: called once when all is there that the options ask for, before anything is written.
        report: called with the number of images now and then.

    Raises:
        ConfigError: the cluster isn't there or is too small.
        ClusterError: Ray doesn't start, or a process of its own died.
        TrainingError: a process died, or the loss is not a number.
    """
    options = job.options
    try:
        # One more for the process of Ray Train that watches over the others.
        with connected(Cluster(options.world_size + 1, address=options.ray_address)) as lifeline:
            _check_room(job)
            begin()
            return _fit(job, plan, lifeline, report)
    except (ConfigError, ClusterError):
        raise
    except Exception as error:
        raise _cause(error, job.run) from error
    finally:
        shutil.rmtree(Path(job.run) / RAY, ignore_errors=True)


def _check_room(job: Job) -> None:
    """See that the cluster has what the options ask for; Ray Train would wait for it for ever."""
    import ray

    options, there = job.options, ray.cluster_resources()  # type: ignore[no-untyped-call]
    if options.gpus and there.get("GPU", 0) < options.gpus:
        raise no_gpus(options.gpus, int(there.get("GPU", 0)))
    if options.workers and there.get("CPU", 0) < options.workers:
        why = f"the cluster has {int(there.get('CPU', 0))} CPUs, and each process needs one"
        raise ConfigError(f"--workers {options.workers}", why, "ask for fewer")


def _fit(job: Job, plan: Plan, lifeline: Lifeline, report: Callable[[int], None]) -> State:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    gpus, run = bool(job.options.gpus), Path(job.run)
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(num_workers=job.options.world_size, use_gpu=gpus),
        run_config=RunConfig(name=RAY, storage_path=job.run),
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
    )
    images = _images(run, plan)
    # Calls to a Ray that is gone may never return, so somebody else waits for this one.
    fitted = _in_background(trainer.fit)
    while True:
        try:
            fitted.result(SECONDS_BETWEEN_LOOKS)
            break
        except TimeoutError:
            if fitted.done():  # it was the training's own
                raise
        finally:
            report(next(images))
        lifeline.check()
    return State(**json.loads((run / RAY / STATE).read_text()))


def _in_background(function: Callable[[], Result]) -> "Future[Result]":
    """Run a function in a thread that nobody has to wait for, at the end of the program either."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _worker(config: dict[str, Any]) -> None:
    """Train in one of the processes; Ray Train has started their group."""
    import ray.train
    from ray.train.torch import get_device

    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    job: Job = config["job"]
    training = prepare(job, str(get_device()), Group(rank, world_size))
    state = train(training, lambda state, images: None)
    if rank == 0:
        (Path(job.run) / RAY / STATE).write_text(json.dumps(asdict(state)))


def _cause(error: BaseException, run: str) -> GlitbuildError:
    """Return what a process failed of, out of what Ray made of it."""
    every = list(_causes(error))
    for found in every:
        if isinstance(found, ConfigError):  # something has been written by now
            return TrainingError(run, f"a process failed: {found}")
        if isinstance(found, GlitbuildError):
            return found
    if any(type(found).__name__ in DEATHS for found in every):
        why = "a process died; where nobody killed it, this machine's memory was too small"
        return TrainingError(run, why, f"{GO_ON}; --accumulate and fewer --loader-workers need less memory")
    last = every[-1]
    why = (str(last).strip().splitlines() or [type(last).__name__])[-1]
    return TrainingError(run, f"a process failed: {why}", GO_ON)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, of all processes that failed: one may have failed of another's end."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        for failure in (getattr(seen, "worker_failures", None) or {}).values():
            yield from _causes(failure)
        seen = getattr(seen, "cause", None) or seen.__cause__


def _images(run: Path, plan: Plan) -> Iterator[int]:
    """Yield how many images were trained on since the last time, as far as the run's log tells."""
    known = last_step(run) or 0
    while True:
        step = max(known, _last_logged(run / LINES, known))
        yield plan.images(step) - plan.images(known)
        known = step


def _last_logged(path: Path, known: int) -> int:
    """Return the step of a log's last whole line."""
    try:
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
        return int(json.loads(lines[-1])["step"])
    except (OSError, IndexError, ValueError):
        return known
