"""The demo: every stage on drawn scenes, or on two photographs, with what it measured."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glitbuild.demo.stages import DemoOptions, Step, on_photographs, on_scenes
from glitbuild.records import Box
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview
from glitbuild.stages.publish.sheet import MOST, Example, contact_sheet
from glitbuild.stages.scenes.accuracy import Accuracy

SHEET = "contact-sheet.png"
PAGE = "preview.html"


@dataclass(frozen=True, slots=True)
class Gain:
    """A figure of the embedded model and of the one that was trained, on held-out scenes, in per cent."""

    figure: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo came to.

    Attributes:
        steps: the stages, in order.
        accuracy: of the pairs, against what is known of the scenes; None for photographs.
        gains: of the training; none for photographs.
        page: to look at.
        sheet: the contact sheet.
    """

    steps: tuple[Step, ...]
    accuracy: Accuracy | None
    gains: tuple[Gain, ...]
    page: Path
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
    """Return the first matched samples, with the boxes that are known."""
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
    """Print the stages, the accuracy against truth and where to look."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False)
    steps = Table("stage", "made", "seconds")
    for step in report.steps:
        steps.add_row(step.command, step.made, f"{step.seconds:.1f}")
    console.print(steps)
    if accuracy := report.accuracy:
        known = Table("against what is known of the scenes", "right", "of")
        known.add_row("sentences found in the caption", f"{accuracy.spans_right:.1%}", f"{accuracy.sentences:,}")
        known.add_row(
            "regions of sentences about one object", f"{accuracy.regions_right:.1%}", f"{accuracy.about_one:,}"
        )
        known.add_row("best pairs", f"{accuracy.best_pairs_right:.1%}", f"{accuracy.scenes:,}")
        console.print(known)
    if report.gains:
        gains = Table("on held-out scenes, in per cent", "before", "after training")
        for gain in report.gains:
            gains.add_row(gain.figure, f"{gain.before:.1f}", f"{gain.after:.1f}")
        console.print(gains)
    console.print(f"On one sheet: {report.sheet}", soft_wrap=True)
    console.print(f"Look at {report.page}", soft_wrap=True)
