"""The paper's ablation in miniature: the contribution of each loss, the regions and the pairs on drawn scenes.

    python benchmarks/paper_ablation.py --work DIR [--scenes 2560] [--gallery 4000] [--seeds 0,1,2] [--split val]

The base is the embedded CLIP, stretched to 248 tokens, or another model (--base): the one of ``python -m
tools.demo_models.clip --whole-scenes DIR`` has never seen a crop. The embedded CLIP chooses the pairs either way,
as the paper matches with a larger model than it trains. Each arm fine-tunes the base on the same matched scenes of
the split ``train``, once per seed of the sample order, and is evaluated on scenes of another split. Use ``val`` to
choose the regime (learning rate, epochs, difficulty), and ``test`` once, when it is fixed. All results are kept in
--work and reused, so the same command resumes where it was stopped; other settings need another folder. Arms run in
parallel, in as many --processes as there are cores, and on the GPU if there is one.

Next to each arm's R@1 are the gain of the full loss over it, with the 95 % bounds of a paired bootstrap over the
queries (each query's mean over the seeds), and the paper's results on its own data. ``zero-shot`` is the
classification of cropped objects of all kinds, as in ``retention.py``; ``half`` are R@1 (the mean of both
directions) and zero-shot of a blend halfway between the base and the arm.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from retention import lay_out_kinds

from glitbuild.clip.load import ClipSpec
from glitbuild.stages.blend.command import headline, run_blend
from glitbuild.stages.blend.options import BlendOptions
from glitbuild.stages.evaluate.command import Report, run_eval
from glitbuild.stages.evaluate.metrics import paired_bootstrap
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.match.worker import MatchPlan, MatchWorker
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train import loop
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.data import Batch, Batches
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Place

FULL = "global + local + TSL"
SUITES = "retrieval,localization,robustness"
SCENES_OF_ALL_KINDS = 1000
RETAINED = ("zero-shot", "half", "half zero-shot")
DIRECTIONS = ("text_to_image", "image_to_text")


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Attributes:
        paper: R@1 that the paper reports on DOCCI, text to image and image to text.
        options: training options that differ from the full method.
        pairs: name of the matched dataset to train on.
        misplaced: whether boxes are scaled by the crop's size, as in GOAL's first public code.
    """

    paper: str
    options: dict[str, Any] = field(default_factory=dict)
    pairs: str = "pairs"
    misplaced: bool = False


ARMS = {
    "global": Arm("76.02 | 75.51", {"loss": "global"}),
    "local": Arm("70.33 | 71.67", {"loss": "local"}),
    "global + local": Arm("78.27 | 78.37", {"loss": "global,local"}),
    FULL: Arm("79.06 | 78.94"),
    "detections alone": Arm("69.41 | 71.88 of 74.27 | 74.67", pairs="pairs-detections"),
    "top-3 pairs": Arm("71.51 | 73.04 of 74.27 | 74.67", {"pairs": "top3"}),
    "misplaced boxes": Arm("", misplaced=True),
}


class MisplacedBatches(Batches):
    """Batches whose boxes are mapped to wrong patches, as if the image were as large as the region."""

    def __getitem__(self, places: list[Place]) -> Batch:  # type: ignore[override]
        batch = super().__getitem__(places)
        extent = batch.boxes[:, 2:] - batch.boxes[:, :2]
        return replace(batch, windows=torch.cat([torch.zeros_like(extent), extent], dim=1))


def here() -> str:
    """Return the torch device of this process."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def draw(given: argparse.Namespace, name: str) -> None:
    """Draw the scenes to train on, the gallery, or those of all kinds with their crops, unless it is done."""
    work, split = given.work, "train" if name == "scenes" else given.split
    difficulty = {name: getattr(given, name) for name in ("min_objects", "contrast", "late", "kinds")}
    if name == "kinds":
        scenes = str(work / f"{split}-of-all-kinds")
        run_scenes(ScenesOptions(SCENES_OF_ALL_KINDS, scenes, seed=202, split=split), plain=True)
        lay_out_kinds(Path(scenes), work / f"{split}-kinds")
        return
    count, seed = (given.scenes, 101) if name == "scenes" else (given.gallery, 102)
    options = ScenesOptions(count, str(work / name), seed=seed, split=split, shard_size=320, **difficulty)
    run_scenes(options, plain=True)


def match(given: argparse.Namespace, pairs: str) -> None:
    """Match the scenes to train on, unless they are already matched: with default regions, or without."""
    scenes, out, regions = str(given.work / "scenes"), str(given.work / pairs), pairs == "pairs"
    options = MatchOptions(scenes, out, workers=0, detector="demo", clip_model="demo", default_regions=regions)
    run_match(options, plain=True, build=build_worker)


def build_worker(plan: MatchPlan) -> MatchWorker:
    """Build a worker in this process, on its GPU if it has one."""
    return MatchWorker(replace(plan, device=here()))


def train(given: argparse.Namespace, name: str, seed: int) -> Path:
    """Train one arm, unless it is already trained; return the run's folder."""
    arm, run = ARMS[name], Path(given.work) / "runs" / f"{name.replace(' ', '')}-{seed}"
    options = TrainOptions(
        str(given.work / arm.pairs),
        str(run),
        given.base,
        epochs=given.epochs,
        batch_size=given.batch_size,
        lr=given.lr,
        seed=seed,
        precision=given.precision,
        loader_workers=2,
        save_every=100,
        **arm.options,
    )
    if not arm.misplaced:
        run_train(options, plain=True)
    elif not (run / "open_clip_model.safetensors").exists():
        run.mkdir(parents=True, exist_ok=True)
        job = loop.Job(options, options.dirs, str(run), ClipSpec.parse(given.base))
        training = loop.prepare(job, here(), pieces=loop.Pieces(MisplacedBatches))
        loop.train(training, lambda state, images: None)
    return run


def measure(given: argparse.Namespace, name: str, model: str, suites: str = SUITES) -> dict[str, Any]:
    """Evaluate a model, unless it is already evaluated; return its metrics and hits."""
    path = given.work / f"eval-{given.split}-{name.replace(' ', '')}.npz"
    if not path.exists():
        report: Report = run_eval(EvalOptions(model, str(given.work / given.split), suite=suites), plain=True)
        figures = {suite: found.figures for suite, found in report.suites.items()}
        hits = {way: of["R@1"] for way, of in report.suites["retrieval"].scores.items()}
        with path.open("wb") as file:
            np.savez(file, figures=json.dumps(figures), **hits)
    stored = np.load(path)
    return {"figures": json.loads(str(stored["figures"]))} | {key: stored[key] for key in stored.files[1:]}


def score(given: argparse.Namespace, name: str, model: str, data: str) -> float:
    """Evaluate a model by one metric, unless it is already evaluated: recall@1, or acc1 of crops, in percent."""
    path = given.work / f"{data}-{name.replace(' ', '')}.json"
    if not path.exists():
        suite = "" if data.endswith("kinds") else "retrieval"
        report = run_eval(EvalOptions(model, str(given.work / data), suite=suite), plain=True)
        path.write_text(json.dumps(headline(report)))
    return float(json.loads(path.read_text()))


def run_arm(given: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Train and evaluate one arm, and its blend with the base."""
    run, kinds = train(given, name, seed), f"{given.split}-kinds"
    half = given.work / "blends" / run.name
    run_blend(BlendOptions(given.base, str(run), str(half), alpha=0.5), plain=True)
    return measure(given, run.name, str(run)) | {
        "zero-shot": score(given, run.name, str(run), kinds),
        "half": score(given, f"{run.name}-half", str(half), given.split),
        "half zero-shot": score(given, f"{run.name}-half", str(half), kinds),
    }


def run_base(given: argparse.Namespace) -> dict[str, Any]:
    """Evaluate the base."""
    found = measure(given, "base", given.base, f"{SUITES},averaging")
    return found | {"zero-shot": score(given, "base", given.base, f"{given.split}-kinds")}


def call(job: Callable[[], Any]) -> Any:
    """Call a job in another process."""
    return job()


def row(name: str, found: list[dict[str, Any]], full: list[dict[str, Any]], paper: str) -> str:
    """Return a row of the table: means over the seeds, and the gain of the full loss over them."""
    cells = []
    for way in DIRECTIONS:
        own, best = (np.mean([_hits(one, way) for one in each], axis=0) for each in (found, full))
        gain = paired_bootstrap(own, best, 0)
        change = f"{100 * gain.difference:+5.1f} [{100 * gain.low:+5.1f}, {100 * gain.high:+5.1f}]"
        cells.append(f"{100 * own.mean():5.1f} {change if name != FULL else '':22}")
    located = np.mean([one["figures"]["localization"]["sentences"]["hit@5"] for one in found])
    drop = np.mean([one["figures"]["robustness"]["mean"]["drop"] for one in found])
    rest = [np.mean([one[what] for one in found if what in one] or [np.nan]) for what in RETAINED]
    last = " ".join(f"{value:9.1f}" for value in rest)
    return f"{name:22} {cells[0]} {cells[1]} {located:6.1f} {drop:6.1f} {last}   {paper}"


def _hits(found: dict[str, Any], way: str) -> NDArray[np.float64]:
    hits: NDArray[np.float64] = found[way]
    return hits


def main() -> None:
    """Prepare, train, evaluate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", default="demo")
    parser.add_argument("--scenes", type=int, default=2560)
    parser.add_argument("--gallery", type=int, default=4000)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--precision", default="auto", help="of the training; bf16 is faster on some CPUs")
    parser.add_argument("--min-objects", type=int, default=6)
    parser.add_argument("--contrast", type=float, default=0.5)
    parser.add_argument("--late", type=float, default=0.8)
    parser.add_argument("--kinds", default="car,cat,ball,robot")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    start = time.perf_counter()
    arms, seeds = given.arms.split(","), [int(seed) for seed in given.seeds.split(",")]
    # Each process has one thread, as many of them are faster than threads for a model as small as this one.
    context = get_context("spawn")
    with ProcessPoolExecutor(given.processes, context, torch.set_num_threads, (1,)) as pool:
        list(pool.map(partial(draw, given), ("scenes", given.split, "kinds")))
        list(pool.map(partial(match, given), sorted({ARMS[arm].pairs for arm in arms})))
        jobs = [partial(run_base, given), *(partial(run_arm, given, arm, seed) for arm in arms for seed in seeds)]
        base, *rest = pool.map(call, jobs)
    found = {arm: rest[at * len(seeds) : (at + 1) * len(seeds)] for at, arm in enumerate(arms)}
    full = found.get(FULL, [base])
    print(f"{given.scenes} scenes, {given.epochs} epochs of batches of {given.batch_size}, lr {given.lr}; ", end="")
    print(f"gallery of {given.gallery}, split {given.split}; seeds {given.seeds}")
    print(f"{'':22} {'text to image, R@1':28} {'image to text, R@1':28} {'hit@5':>6} {'drop':>6} ", end="")
    print(f"{'zero-shot':>9} {'half, R@1':>9} {'zero-shot':>9}   the paper")
    print(row("base, stretched", [base], full, "58.53 | 58.80"))
    averaged = base["figures"]["averaging"]
    print(f"{'sentence averaging':22} ", end="")
    print(
        " ".join(f"{averaged[way]['R@1_averaged']:5.1f} {'':22}" for way in DIRECTIONS) + f"{'':44}   39.00 | 40.88"
    )
    for name, each in found.items():
        print(row(name, each, full, ARMS[name].paper))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
