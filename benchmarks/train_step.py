"""Cost of the token similarity loss in a training step of CLIP, and speed of the data loader.

    python benchmarks/train_step.py [--model demo] [--batch-size 32] [--repeat 12] [--device cpu]

A step consists of forward, backward and AdamW on two views and two texts per sample. glitbuild's step is compared
with a plain CLIP step on the same views and texts (both contrastive losses, no states of patches or tokens), and
with one that runs both towers twice, once for the embeddings and once for the states. The loader is compared with
only decoding and resizing the same images in as many processes. Steps take turns, so that other load on the machine
affects all of them; the results are medians. Memory per sample is the difference in peak memory between a step with
the batch and one with half of it, each in a separate process, on the CPU.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import clips_own
from glitbuild.clip.towers import stretch
from glitbuild.flism.regions import pixels
from glitbuild.images.stored import open_rgb
from glitbuild.records import Sample
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.data import Batch, Batches, ExampleMaker, load
from glitbuild.stages.train.losses import Features, Objective, Views
from glitbuild.stages.train.optim import parameter_groups
from glitbuild.stages.train.plan import Plan
from glitbuild.stages.train.sources import Source

WEIGHTS = {"global": 1.0, "local": 0.5, "tsl": 1.0}
PLAIN = {"global": 1.0, "local": 0.5}
FULL, CLIP_STEP, TWICE = "glitbuild's step", "plain CLIP step", "both towers twice"


def twice(views: Views, plain: Views, batch: Batch) -> Features:
    """Return the features of a step that runs both towers once for embeddings and again for states."""
    return plain(batch) | {name: value for name, value in views(batch).items() if name not in ("image", "text")}


def kinds_of_steps(model: Any) -> dict[str, tuple[Callable[[Batch], Features], dict[str, float]]]:
    """Return, for each kind of step, the function that computes its features, and the weights of its losses."""
    full, plain = Views(model, frozenset(WEIGHTS)), Views(model, frozenset(PLAIN))
    return {FULL: (full, WEIGHTS), CLIP_STEP: (plain, PLAIN), TWICE: (partial(twice, full, plain), WEIGHTS)}


def base(spec: ClipSpec, device: str) -> Any:
    """Return the model, stretched and in training mode."""
    model = spec.load(device)
    stretch(model)
    return model.train()


def peak(kind: str, spec: ClipSpec, batch: Batch) -> int:
    """Run one step on the CPU; return the peak memory of this process in bytes."""
    views, weights = kinds_of_steps(base(spec, "cpu"))[kind]
    Objective(weights)(views(batch))["loss"].backward()
    status = Path("/proc/self/status").read_text()  # getrusage's peak would include the parent's
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def memory(kind: str, spec: ClipSpec, batch: Batch) -> float:
    """Return the memory in bytes per additional sample."""
    peaks = []
    for part in (batch.part(0, len(batch) // 2), batch):
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            peaks.append(fresh.submit(peak, kind, spec, part).result())
    return (peaks[1] - peaks[0]) / (len(batch) - len(batch) // 2)


def measure(model: Any, batch: Batch, repeat: int, device: str) -> dict[str, float]:
    """Return the median seconds of each kind of step."""
    kinds = kinds_of_steps(model)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.05), lr=1e-6)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    computing: Any = nullcontext() if device == "cpu" else torch.autocast("cuda", dtype=torch.bfloat16)
    for number in range(repeat + 1):
        for name, (views, weights) in kinds.items():
            start = time.perf_counter()
            with computing:
                features = views(batch)
            loss: Tensor = Objective(weights)(features)["loss"]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if device != "cpu":
                torch.cuda.synchronize()
            if number:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def bare(preprocess: Preprocess, jobs: list[tuple[bytes, tuple[float, float, float, float]]]) -> int:
    """Decode images and resize both views of each; return the number of images."""
    for jpeg, box in jobs:
        image = open_rgb(jpeg)
        preprocess.crop(image, (0, 0, image.width, image.height))
        preprocess.crop(image, pixels(box, image.width, image.height))
    return len(jobs)


def bare_rate(preprocess: Preprocess, samples: list[tuple[Sample, bytes]], processes: int) -> float:
    """Return images per second of only decoding and resizing."""
    jobs = []
    for sample, jpeg in samples:
        jobs.append((jpeg, sample.best.box))
    parts = [jobs[start : start + 32] for start in range(0, len(jobs), 32)]
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(partial(bare, preprocess), parts[:processes]))  # starts the processes
        start = time.perf_counter()
        count = sum(pool.map(partial(bare, preprocess), parts))
        return count / (time.perf_counter() - start)


def loader_rate(batches: Batches, plan: Plan, processes: int) -> float:
    """Return images per second of the loader after its first batch."""
    steps = load(batches, plan.steps(2), processes)
    next(steps)
    start = time.perf_counter()
    count = sum(len(batch) for batch in steps)
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--pretrained")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=320)
    parser.add_argument(
        "--size", type=int, default=1024, help="height of the images in pixels, similar to photographs"
    )
    given = parser.parse_args()
    spec = ClipSpec.parse(given.model, given.pretrained)
    model = base(spec, given.device)
    preprocess = Preprocess.of(model)
    with tempfile.TemporaryDirectory() as temporary:
        scenes, pairs = str(Path(temporary) / "scenes"), str(Path(temporary) / "pairs")
        run_scenes(ScenesOptions(given.scenes, scenes, split="val", shard_size=80, size=given.size), plain=True)
        run_match(MatchOptions(scenes, pairs, workers=0, detector="none", clip_model="demo"), plain=True)
        store, manifest = open_dataset(pairs)
        samples = [sample for entry in manifest.shards for sample in read_shard(store, entry.name, entry.sha256)]
        maker = ExampleMaker(preprocess, clips_own(spec.tokenizer()), model.context_length)
        source = Source.open(pairs)
        plan = Plan.of([source], 0, given.batch_size)
        batches = Batches([source], maker, plan)
        host = batches[next(plan.steps(1))]
        batch = host.to(given.device)
        found = measure(model, batch, given.repeat, given.device)
        print(
            f"{given.model}, {given.batch_size} samples, captions of {batch.ids.shape[1]} tokens, {given.device}:"
        )
        for name, seconds in found.items():
            share = f"glitbuild's is {found[FULL] / seconds:5.3f} of it"
            print(f"  {name:20}{seconds:8.3f} s   {share}   {memory(name, spec, host) / 2**20:6.1f} MiB per sample")
        rates: dict[str, list[float]] = {"loader": [], "bare": []}
        for _ in range(3):
            rates["bare"].append(bare_rate(preprocess, samples, given.processes))
            rates["loader"].append(loader_rate(batches, plan, given.processes))
        loader, decoding = (statistics.median(rates[name]) for name in ("loader", "bare"))
        print(
            f"loader, {given.processes} processes: {loader:.0f} images/s, {loader / decoding:.1%} of bare decoding"
        )


if __name__ == "__main__":
    main()
