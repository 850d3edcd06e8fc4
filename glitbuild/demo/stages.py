"""The stages of the demo, as the commands run them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from glitbuild.cpus import usable_cpus
from glitbuild.demo.photos import write_photos
from glitbuild.engine.result import Result
from glitbuild.options import OVERWRITE, Options, about
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.options import TrainOptions

SCENES = 96
"""Scenes that are matched and trained on."""

HELD_OUT = 200
"""Scenes of the split ``test`` on which the model is evaluated before and after."""


@dataclass(frozen=True, slots=True)
class DemoOptions(Options):
    """Run every stage on drawn scenes with the embedded models: no network, no GPU, a minute or two.

    Ends with what each stage made, how right it was, what the training changed, and a page to look at.
    """

    out: str = field(default="glitbuild-demo", metadata=about("Directory to write."))
    real: bool = field(
        default=False,
        metadata=about("Two photographs and real models, which it downloads, instead of scenes."),
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)


SEED = 1
"""The embedded models were trained on other scenes: those of seed 0."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage that was run: its command, what it made, and the seconds it took."""

    command: str
    made: str
    seconds: float


def on_scenes(out: Path, options: DemoOptions, plain: bool) -> Iterator[Step]:
    """Run scenes, ingest, match and train with the embedded models."""
    again, quarter = options.overwrite, SCENES // 4
    drawn = ScenesOptions(SCENES, str(out / "scenes"), seed=SEED, shard_size=quarter, overwrite=again)
    test = ScenesOptions(HELD_OUT, str(out / "test"), seed=SEED, split="test", overwrite=again)
    yield _step("scenes", lambda: run_scenes(drawn, plain))
    yield _step("scenes --split test", lambda: run_scenes(test, plain))
    tars = tuple(str(path) for path in sorted((out / "scenes" / "shards").glob("[!.]*.tar")))
    read = IngestOptions(tars, str(out / "raw"), format="webdataset", shard_size=quarter, overwrite=again)
    yield _step("ingest", lambda: run_ingest(read, plain))
    match = MatchOptions(
        str(out / "raw"),
        str(out / "pairs"),
        workers=min(2, usable_cpus()),
        detector="demo",
        clip_model="demo",
        overwrite=again,
    )
    yield _step("match", lambda: run_match(match, plain))
    # Chosen on scenes of the split val. Nine steps are too few for everything: the text tower, whose positions were
    # just stretched, has most to learn, and the full weight of the token similarity would drown the other losses.
    train = TrainOptions(
        str(out / "pairs"),
        str(out / "run"),
        "demo",
        epochs=3,
        batch_size=32,
        lr=2e-4,
        tsl_weight=0.1,
        unlocked_image_groups=0,
        overwrite=again,
    )
    start = time.monotonic()
    trained = run_train(train, plain)
    made = f"{trained.steps} steps, {trained.epochs} epochs" + _before(trained.done_before)
    yield Step("train", made, time.monotonic() - start)


def on_photographs(out: Path, options: DemoOptions, plain: bool) -> Iterator[Step]:
    """Run ingest and match with real models."""
    again = options.overwrite
    listed = write_photos(out / "photos")
    read = IngestOptions((str(listed),), str(out / "raw"), overwrite=again)
    yield _step("ingest", lambda: run_ingest(read, plain))
    match = MatchOptions(
        str(out / "raw"),
        str(out / "pairs"),
        detector="yolov8n.pt",
        clip_model="ViT-B-32",
        clip_pretrained="openai",
        overwrite=again,
    )
    yield _step("match", lambda: run_match(match, plain))


def _step(command: str, run: Callable[[], Result]) -> Step:
    start = time.monotonic()
    result = run()
    seconds = time.monotonic() - start
    totals = result.manifest.totals
    made = f"{totals['samples']:,} images"
    if "pairs" in totals:
        made += f", {totals['regions']:,} regions, {totals['pairs']:,} region-sentence pairs"
    return Step(command, made + _before(result.done_before), seconds)


def _before(done: bool) -> str:
    return " (was there)" if done else ""
