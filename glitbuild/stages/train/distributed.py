"""Training in several processes through Ray Train."""

import json
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from glitbuild.engine.cluster import Cluster, connected, no_gpus
from glitbuild.engine.lifeline import Lifeline
from glitbuild.errors import ClusterError, ConfigError, GlitbuildError, TrainingError
from glitbuild.stages.train.folder import LINES, RAY, State, last_step
from glitbuild.stages.train.loop import Job, prepare, train
from glitbuild.stages.train.losses import Group
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Plan
from glitbuild.stages.train.stopping import STOP, StopRequest

Result = TypeVar("Result")

SECONDS_BETWEEN_LOOKS = 1.0

DEATHS = frozenset(
    {"ActorDiedError", "RayActorError", "WorkerCrashedError", "OutOfMemoryError", "WorkerHealthCheckFailedError"}
)
"""Ray's names for the death of a process; the others then fail because they lost it."""

GO_ON = "run the same command again to resume from its checkpoint"

STATE = "state.json"
"""Name of the progress file in the folder with Ray Train's own files."""

STOP_SECONDS = 45.0
"""Time that the processes have for their checkpoint once the run was asked to end."""

log = logging.getLogger(__name__)


def check_gpus(options: TrainOptions) -> None:
    """Check that this machine has the requested GPUs; for a cluster, ``train_with_ray`` asks Ray.

    Raises:
        ConfigError: there are fewer.
    """
    import torch

    if options.gpus and not options.ray_address and (here := torch.cuda.device_count()) < options.gpus:
        raise no_gpus(options.gpus, here)


def train_with_ray(job: Job, plan: Plan, begin: Callable[[], None], report: Callable[[int], None]) -> State:
    """Train in as many processes as the options ask for; restart them if one dies.

    After a restart the training continues from its last checkpoint with the same samples in the same order. Ray
    Train's own ``FailureConfig`` would restart after any error, also after one that will occur again.

    Args:
        job: description of the training.
        plan: order of the training.
        begin: called once, when all requested resources are available and before anything is written.
        report: called from time to time with the number of further images.

    Raises:
        ConfigError: the cluster can't be reached or is too small.
        ClusterError: Ray doesn't start, or one of its own processes died.
        TrainingError: a process died, or the loss is NaN or infinite.
    """
    options = job.options
    try:
        # One CPU more for the controller process of Ray Train.
        with connected(Cluster(options.world_size + 1, address=options.ray_address)) as lifeline:
            _check_room(job)
            begin()
            images = _images(Path(job.run), plan)
            for left in reversed(range(options.restarts + 1)):
                try:
                    return _fit(job, lifeline, report, images)
                except Exception as error:
                    if not left or not _died(error):
                        raise
                step = last_step(Path(job.run)) or 0
                log.warning("train: a process died; starting again from step %d (%d restarts left)", step, left - 1)
                shutil.rmtree(Path(job.run) / RAY, ignore_errors=True)
                try:
                    _check_room(job)
                except ConfigError as error:
                    raise TrainingError(job.run, f"a node of the cluster is lost: {error}", GO_ON) from error
            raise AssertionError("the last attempt returns or raises")
    except (ConfigError, ClusterError):
        raise
    except Exception as error:
        raise _cause(error, job.run) from error
    finally:
        shutil.rmtree(Path(job.run) / RAY, ignore_errors=True)


def _check_room(job: Job) -> None:
    """Check that the cluster has the requested resources; Ray Train would wait for them for ever."""
    import ray

    options, there = job.options, ray.cluster_resources()  # type: ignore[no-untyped-call]
    if options.gpus and there.get("GPU", 0) < options.gpus:
        raise no_gpus(options.gpus, int(there.get("GPU", 0)))
    if options.workers and there.get("CPU", 0) < options.workers:
        why = f"the cluster has {int(there.get('CPU', 0))} CPUs, and each process needs one"
        raise ConfigError(f"--workers {options.workers}", why, "ask for fewer")


def _fit(job: Job, lifeline: Lifeline, report: Callable[[int], None], images: Iterator[int]) -> State:
    """Train until the end, an error, or a request to end."""
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
    stop, latest = run / RAY / STOP, math.inf
    with StopRequest(stop) as request:
        # Calls to a dead Ray may never return, so another thread makes this one.
        fitted = _in_background(trainer.fit)
        while True:
            try:
                fitted.result(SECONDS_BETWEEN_LOOKS)
                break
            except TimeoutError:
                if fitted.done():  # the error came from the training, not from Ray
                    raise
            finally:
                report(next(images))
            lifeline.check()
            if request.asked and latest == math.inf:
                latest = time.monotonic() + STOP_SECONDS
                stop.parent.mkdir(exist_ok=True)
                stop.touch()
            if time.monotonic() > latest:
                raise KeyboardInterrupt
    return State(**json.loads((run / RAY / STATE).read_text()))


def _in_background(function: Callable[[], Result]) -> "Future[Result]":
    """Run a function in a daemon thread, which the program doesn't wait for when it exits."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _worker(config: dict[str, Any]) -> None:
    """Train in one of the processes; Ray Train has started their process group."""
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
    """Return the error of the process that failed first, from what Ray wrapped it in."""
    every = list(_causes(error))
    for found in every:
        if isinstance(found, ConfigError):  # not a ConfigError any more, as files have been written by now
            return TrainingError(run, f"a process failed: {found}")
        if isinstance(found, GlitbuildError):
            return found
    if any(type(found).__name__ in DEATHS for found in every):
        why = "a process died; unless it was killed, the machine's memory was too small"
        return TrainingError(run, why, f"{GO_ON}; --accumulate and fewer --loader-workers need less memory")
    last = every[-1]
    why = (str(last).strip().splitlines() or [type(last).__name__])[-1]
    return TrainingError(run, f"a process failed: {why}", GO_ON)


def _died(error: BaseException) -> bool:
    """Return whether an error of Ray Train says that a process died, and not that one failed."""
    every = list(_causes(error))
    failed = any(isinstance(found, GlitbuildError) for found in every)
    return not failed and any(type(found).__name__ in DEATHS for found in every)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, for all failed processes: one may have failed because another one died."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        for failure in (getattr(seen, "worker_failures", None) or {}).values():
            yield from _causes(failure)
        seen = getattr(seen, "cause", None) or seen.__cause__


def _images(run: Path, plan: Plan) -> Iterator[int]:
    """Yield the number of images trained on since the last call, according to the run's log."""
    known = last_step(run) or 0
    while True:
        step = max(known, _last_logged(run / LINES, known))  # after a restart, not before where it was
        yield plan.images(step) - plan.images(known)
        known = step


def _last_logged(path: Path, known: int) -> int:
    """Return the step of the last complete line of a log."""
    try:
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
        return int(json.loads(lines[-1])["step"])
    except (OSError, IndexError, ValueError):
        return known
