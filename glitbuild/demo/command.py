"""The command ``glitbuild demo``: runs every stage on drawn scenes or two photographs, and reports the results."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from glitbuild.demo.options import DemoOptions
from glitbuild.engine.task import Result, usable_cpus
from glitbuild.errors import SourceError
from glitbuild.records import Box
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview
from glitbuild.stages.publish.sheet import MOST, Example, contact_sheet
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.truth import Accuracy
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.options import TrainOptions


def write_photos(folder: Path) -> Path:
    """Copy the photographs to a folder, with a list of their captions.

    Args:
        folder: folder to write, created if it is missing.

    Returns:
        The list, a .jsonl file that ``glitbuild ingest`` reads.

    Raises:
        SourceError: the installed ultralytics doesn't contain a photograph.
    """
    from ultralytics.utils import ASSETS

    listed = files("glitbuild.demo").joinpath("captions.jsonl").read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (json.loads(line)["image"] for line in listed.splitlines()):
        if not (ASSETS / name).is_file():
            fix = "install the version of ultralytics in requirements.lock"
            raise SourceError(str(ASSETS / name), "the installed ultralytics has no such photograph", fix)
        shutil.copyfile(ASSETS / name, folder / name)
    (folder / "captions.jsonl").write_text(listed, encoding="utf-8")
    return folder / "captions.jsonl"


SCENES = 96
"""Number of scenes that are matched and trained on."""

HELD_OUT = 200
"""Number of scenes of the split ``test`` on which the model is evaluated before and after training."""


SEED = 1
"""Seed of the scenes; the embedded models were trained on other ones, with seed 0."""


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that was run: its command, its output, and its duration in seconds."""

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
    # Chosen on scenes of the split val. Nine steps are too few to train everything: the text tower, whose positions
    # were just stretched, has most to learn, and a full token similarity loss would dominate the others.
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
    return " (already done)" if done else ""


SHEET = "contact-sheet.png"
PAGE = "preview.html"


@dataclass(frozen=True, slots=True)
class Gain:
    """A metric of the embedded model and of the trained one on held-out scenes, in percent."""

    figure: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Report:
    """Result of the demo.

    Attributes:
        steps: stages in order.
        accuracy: accuracy of the pairs against the ground truth of the scenes; None for photographs.
        gains: metrics before and after training; empty for photographs.
        page: path of the preview page.
        sheet: path of the contact sheet.
    """

    steps: tuple[Step, ...]
    accuracy: Accuracy | None
    gains: tuple[Gain, ...]
    page: Path
    sheet: Path


def run_demo(options: DemoOptions, plain: bool = False) -> Report:
    """Run the demo; stages that an earlier run finished are skipped.

    Args:
        options: options of the command.
        plain: whether to write progress as log lines even on a terminal.

    Raises:
        GlitbuildError: a stage failed, or, with ``real``, a model is unavailable.
    """
    out = Path(options.out)
    if options.real:
        steps = tuple(on_photographs(out, options, plain))
        steps += (_preview(out, plain),)
        return Report(steps, None, (), out / PAGE, contact_sheet(out / SHEET, _examples(out, truth=False)))
    steps = tuple(on_scenes(out, options, plain))
    start = time.monotonic()
    gains = _gains(out, plain)
    steps += (Step("eval", "the embedded model and the trained one, on the test scenes", time.monotonic() - start),)
    steps += (_preview(out, plain),)
    sheet = contact_sheet(out / SHEET, _examples(out, truth=True))
    return Report(steps, _accuracy(out), gains, out / PAGE, sheet)


def _preview(out: Path, plain: bool) -> Step:
    start = time.monotonic()
    made = run_preview(PreviewOptions(str(out / "pairs"), str(out / PAGE)), plain)
    return Step(
        "preview", f"{made.samples:,} images on a page of {made.bytes / 1e6:.1f} MB", time.monotonic() - start
    )


def _gains(out: Path, plain: bool) -> tuple[Gain, ...]:
    found = [
        run_eval(EvalOptions(model, str(out / "test"), suite="retrieval,localization"), plain).suites
        for model in ("demo", str(out / "run"))
    ]
    return tuple(
        Gain(name, *(suites[suite].figures[row][column] for suites in found))
        for name, suite, row, column in (
            ("text to image, R@1", "retrieval", "text_to_image", "R@1"),
            ("image to text, R@1", "retrieval", "image_to_text", "R@1"),
            ("sentence to patch, hit@5", "localization", "sentences", "hit@5"),
        )
    )


def _examples(out: Path, truth: bool) -> list[Example]:
    """Return the first matched samples, with their known boxes."""
    rows = _truth(out) if truth else {}
    store, manifest = open_dataset(str(out / "pairs"))
    samples = (found for entry in manifest.shards for found in read_shard(store, entry.name, entry.sha256))
    examples = []
    for sample, jpeg in samples:
        boxes: list[Box] = [tuple(thing["box"]) for thing in rows[sample.key]["objects"]] if truth else []
        examples.append(Example(sample, jpeg, boxes))
        if len(examples) == MOST:
            break
    return examples


def _accuracy(out: Path) -> Accuracy:
    rows = _truth(out)
    accuracy = Accuracy()
    store, manifest = open_dataset(str(out / "pairs"))
    for entry in manifest.shards:
        for sample, _ in read_shard(store, entry.name, entry.sha256):
            assert sample.matched
            accuracy.add(sample.matched, rows[sample.key])
    return accuracy


def _truth(out: Path) -> dict[str, dict[str, Any]]:
    lines = [line for path in sorted((out / "scenes" / "truth").glob("[!.]*.jsonl")) for line in path.open("rb")]
    return {row["key"]: row for row in map(json.loads, lines)}


def print_report(report: Report) -> None:
    """Print the stages, the accuracy against the ground truth, and the paths of the results."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False)
    steps = Table("stage", "output", "seconds")
    for step in report.steps:
        steps.add_row(step.command, step.made, f"{step.seconds:.1f}")
    console.print(steps)
    if accuracy := report.accuracy:
        known = Table("compared with the ground truth", "correct", "of")
        known.add_row("sentences found in the caption", f"{accuracy.spans_right:.1%}", f"{accuracy.sentences:,}")
        known.add_row(
            "regions of sentences about one object", f"{accuracy.regions_right:.1%}", f"{accuracy.about_one:,}"
        )
        known.add_row("best pairs", f"{accuracy.best_pairs_right:.1%}", f"{accuracy.scenes:,}")
        console.print(known)
    if report.gains:
        gains = Table("on held-out scenes, in percent", "before", "after training")
        for gain in report.gains:
            gains.add_row(gain.figure, f"{gain.before:.1f}", f"{gain.after:.1f}")
        console.print(gains)
    console.print(f"Contact sheet: {report.sheet}", soft_wrap=True)
    console.print(f"Open {report.page}", soft_wrap=True)
