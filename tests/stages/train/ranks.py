"""Several processes of a training without Ray, so that many cases take seconds."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from glitbuild.clip.load import ClipSpec
from glitbuild.shards.store import Store
from glitbuild.stages.train.folder import State
from glitbuild.stages.train.loop import Job, prepare, train
from glitbuild.stages.train.losses import Group
from glitbuild.stages.train.options import TrainOptions

MOST_SECONDS = 120


def train_as(options: TrainOptions, count: int, steps: int | None = None) -> list[State]:
    """Train in ``count`` processes as ``glitbuild train`` does in those that Ray starts; return their states.

    Args:
        options: of the command.
        count: processes.
        steps: after which they stop as if killed, where they are to.
    """
    run = Path(options.out)
    run.mkdir(parents=True, exist_ok=True)
    urls = tuple(Store(dir).root for dir in options.dirs)
    job = Job(options, urls, str(run.resolve()), ClipSpec.parse(options.model))
    meeting = run.with_name(f"{run.name}.{count}.meeting")
    meeting.unlink(missing_ok=True)
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe(duplex=False) for _ in range(count)]
    processes = [
        fork.Process(target=_rank, args=(job, rank, count, meeting, steps, pipe[1]), daemon=True)
        for rank, pipe in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    answers: list[Any] = []
    try:
        for rank, (receive, _) in enumerate(pipes):
            assert receive.poll(MOST_SECONDS), f"process {rank} of {count} hangs"
            answers.append(receive.recv())
    finally:
        for process in processes:
            process.kill()
            process.join()
        meeting.unlink(missing_ok=True)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _rank(job: Job, rank: int, count: int, meeting: Path, steps: int | None, answer: Connection) -> None:
    torch.set_num_threads(1)  # threads of the parent's pool aren't here
    try:
        torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=count)
        reached = State()

        def stop(state: State, images: int) -> None:
            reached.step = state.step
            if steps is not None and state.step > steps:
                raise KilledError

        try:
            answer.send(train(prepare(job, "cpu", Group(rank, count)), stop))
        except KilledError:
            answer.send(reached)
        torch.distributed.barrier()  # or the first to end would take the connections of the others along
    except Exception as error:
        answer.send(error)


class KilledError(Exception):
    """Stands for whatever ends a process in the middle."""
