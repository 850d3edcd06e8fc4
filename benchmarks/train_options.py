"""Time and memory of a training step with --grad-checkpointing, --precision bf16, --compile and --accumulate.

    python benchmarks/train_options.py [--model ViT-B-16] [--batch-size 32] [--repeat 5] [--device cpu]

A step is forward, the three losses, backward and AdamW, as ``glitbuild train`` takes it, on a model with random
weights and captions of 248 tokens. The kinds of steps take turns, and the results are medians. On a CPU, memory is
the peak of a fresh process that takes two steps, with model, gradients and optimizer; on a GPU, the most that torch
allocated. ``activations`` is that peak minus what the same process needs for a step on a single sample.
"""

import argparse
import os
import re
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import open_clip
import torch

from glitbuild.clip.fit import quiet_open_clip
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import clip_tokenizer
from glitbuild.clip.towers import stretch
from glitbuild.stages.train.data import Batch, ExampleMaker, collate
from glitbuild.stages.train.loop import compile_layers, computing
from glitbuild.stages.train.losses import LOSSES, Objective, Views
from glitbuild.stages.train.optim import backward, parameter_groups

WEIGHTS = {"global": 1.0, "local": 0.5, "tsl": 1.0}


@dataclass(frozen=True)
class Kind:
    """A way to take a step, as the command's options name it."""

    checkpointing: bool = False
    precision: str = "fp32"
    compiled: bool = False
    accumulate: int = 1


KINDS = {
    "plain": Kind(),
    "--grad-checkpointing": Kind(checkpointing=True),
    "--accumulate 4": Kind(accumulate=4),
    "--precision bf16": Kind(precision="bf16"),
    "--precision bf16 --grad-checkpointing": Kind(checkpointing=True, precision="bf16"),
    "--compile": Kind(compiled=True),
}


class Stepper:
    """A model with its optimizer, ready for steps of one kind."""

    def __init__(self, architecture: str, kind: Kind, device: str) -> None:
        torch.manual_seed(0)
        with quiet_open_clip():
            self.model: Any = open_clip.create_model(architecture, load_weights=False, device=device)
        stretch(self.model)
        self.model.train()
        if kind.checkpointing:
            self.model.set_grad_checkpointing()
        if kind.compiled:
            compile_layers(self.model)
        self._kind, self._device = kind, device
        self._views = Views(self.model, frozenset(LOSSES))
        self._optimizer = torch.optim.AdamW(parameter_groups(self.model, 0.05), lr=1e-6)

    def step(self, batch: Batch) -> float:
        """Take a step; return its seconds."""
        start, kind = time.perf_counter(), self._kind
        mixed = partial(computing, self._device, kind.precision)
        backward(self._views, batch, Objective(WEIGHTS), kind.accumulate, mixed)
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start


def make_batch(model: Any, architecture: str, size: int) -> Batch:
    """Return a batch of noise with captions and sentences of realistic length."""
    maker = ExampleMaker(Preprocess.of(model), clip_tokenizer(architecture), model.context_length)
    blank, side = maker.blank(), maker.preprocess.size
    start, end = blank.ids[0], blank.ids[-1]
    words = (start, *range(320, 320 + model.context_length - 2), end)
    box = (0.0, 0.0, side / 2, side / 2)
    example = replace(blank, key="0", ids=words, sentence_ids=(*words[:24], end), span=(1, 24), box=box)
    batch = collate([example] * size)
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, batch.images.shape, dtype=torch.uint8, generator=noise)
    return replace(batch, images=pixels, crops=pixels.flip(0))


def peak(architecture: str, kind: Kind, device: str, size: int) -> float:
    """Return the peak memory of this process after two steps, in GiB."""
    stepper = Stepper(architecture, kind, device)
    batch = make_batch(stepper.model, architecture, size).to(device)
    for _ in range(2):
        stepper.step(batch)
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text()  # getrusage's peak would include the parent's
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20  # type: ignore[index]


def memory(architecture: str, kind: Kind, device: str, size: int) -> float:
    """Return the peak memory of a fresh process, in GiB."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        return fresh.submit(peak, architecture, kind, device, size).result()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="ViT-B-16")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    given = parser.parse_args()
    # glibc would keep freed memory in as many heaps as there are threads.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    kinds = {name: KINDS[name] for name in given.kinds}
    print(
        f"{given.model}, {given.batch_size} samples, 248 tokens, {given.device}, {torch.get_num_threads()} threads"
    )
    least = {name: memory(given.model, kind, given.device, 1) for name, kind in kinds.items()}
    most = {name: memory(given.model, kind, given.device, given.batch_size) for name, kind in kinds.items()}
    steppers = {name: Stepper(given.model, kind, given.device) for name, kind in kinds.items()}
    batch = make_batch(next(iter(steppers.values())).model, given.model, given.batch_size).to(given.device)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(given.repeat + 1):
        for name, stepper in steppers.items():
            found = stepper.step(batch)
            if number:  # the first is a warm-up
                seconds[name].append(found)
    first = next(iter(kinds))
    base = statistics.median(seconds[first])
    held = most[first] - least[first]
    print(f"{'':40}{'s':>8}{'':>8}{'GiB':>8}{'':>8}{'activations':>13}")
    for name in kinds:
        taken, there = statistics.median(seconds[name]), most[name] - least[name]
        ratios = taken / base, most[name] / most[first], there / held
        print(
            f"{name:40}{taken:8.3f}{ratios[0]:7.2f}x{most[name]:8.2f}{ratios[1]:7.2f}x{there:7.2f}{ratios[2]:5.2f}x"
        )


if __name__ == "__main__":
    main()
