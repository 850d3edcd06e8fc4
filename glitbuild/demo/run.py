"""The command ``demo``: every stage in turn, then what came of it."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glitbuild.demo.options import SCENES, DemoOptions
from glitbuild.demo.photos import write_photos
from glitbuild.demo.sheet import MOST, Example, contact_sheet
from glitbuild.engine.ingest import run_ingest
from glitbuild.engine.match import run_match
from glitbuild.engine.options import IngestOptions, MatchOptions
from glitbuild.engine.result import Result
from glitbuild.records import Box
from glitbuild.scenes.accuracy import Accuracy
from glitbuild.scenes.options import ScenesOptions
from glitbuild.scenes.write import run_scenes
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard

SHEET = "contact-sheet.png"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One stage that was run: its command, what it made, and the seconds it took."""

    command: str
    made: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo came to.

    Attributes:
        steps: the stages, in order.
        accuracy: against what is known of the scenes; None for photographs.
        sheet: the contact sheet.
    """

    steps: tuple[Step, ...]
    accuracy: Accuracy | None
    sheet: Path


def run_demo(options: DemoOptions, plain: bool = False) -> Report:
    """Run the demo; what an earlier run finished is passed over.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        GlitbuildError: a stage failed; with ``real`` a model can't be had.
    """
    out = Path(options.out)
    steps = list(_photographs(out, options, plain) if options.real else _scenes(out, options, plain))
    accuracy = None if options.real else _accuracy(out)
    return Report(tuple(steps), accuracy, contact_sheet(out / SHEET, _examples(out, truth=not options.real)))


def _scenes(out: Path, options: DemoOptions, plain: bool) -> Iterator[Step]:
    again = options.overwrite
    # Of the split `test`: ways to say things, and combinations of kind and colour, that the models never saw.
    drawn = ScenesOptions(SCENES, str(out / "scenes"), split="test", shard_size=SCENES // 4, overwrite=again)
    yield _step("scenes", lambda: run_scenes(drawn, plain))
    tars = tuple(str(path) for path in sorted((out / "scenes" / "shards").glob("*.tar")))
    read = IngestOptions(tars, str(out / "raw"), format="webdataset", shard_size=SCENES // 4, overwrite=again)
    yield _step("ingest", lambda: run_ingest(read, plain))
    workers = min(2, len(os.sched_getaffinity(0)))
    match = MatchOptions(
        str(out / "raw"),
        str(out / "pairs"),
        workers=workers,
        detector="demo",
        clip_model="demo",
        overwrite=again,
    )
    yield _step("match", lambda: run_match(match, plain))


def _photographs(out: Path, options: DemoOptions, plain: bool) -> Iterator[Step]:
    again = options.overwrite
    listed = write_photos(out / "photos")
    yield _step(
        "ingest", lambda: run_ingest(IngestOptions((str(listed),), str(out / "raw"), overwrite=again), plain)
    )
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
    return Step(command, made + (" (were there)" if result.done_before else ""), seconds)


def _examples(out: Path, truth: bool) -> list[Example]:
    """Return the first matched samples, with the boxes that are known."""
    rows = _truth(out) if truth else {}
    store, manifest = open_dataset(str(out / "pairs"))
    samples = (found for entry in manifest.shards for found in read_shard(store, entry.name))
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
        for sample, _ in read_shard(store, entry.name):
            assert sample.matched
            accuracy.add(sample.matched, rows[sample.key])
    return accuracy


def _truth(out: Path) -> dict[str, dict[str, Any]]:
    lines = [line for path in sorted((out / "scenes" / "truth").iterdir()) for line in path.open("rb")]
    return {row["key"]: row for row in map(json.loads, lines)}
