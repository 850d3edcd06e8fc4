"""The summaries that commands print when they are done."""

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from glitbuild.errors import visible
from glitbuild.shards.manifest import Manifest

if TYPE_CHECKING:
    from glitbuild.engine.task import Result
    from glitbuild.inspection import Counted, StatsOptions
    from glitbuild.shards.manifest import Manifest
    from glitbuild.stages.blend.command import Blended
    from glitbuild.stages.export.command import Exported
    from glitbuild.stages.publish.page.preview import Preview
    from glitbuild.stages.train.command import Trained


def report_training(done: "Trained", out: str) -> None:
    """Print a summary of a training run."""
    what = f"{done.steps:,} steps, {done.epochs:,} epochs of {done.samples:,} samples"
    if done.done_before:
        click.echo(f"nothing to do: {out} is finished ({what})")
        return
    click.echo(f"{out}: {what}, {done.images_per_second:.1f} images/s")
    click.echo(f"  sentences beyond the last token: {done.sentences_beyond:,}")
    click.echo(f"  regions outside the model's crop: {done.boxes_outside:,}")
    if done.best_step is not None:
        click.echo(f"  best on --val: step {done.best_step:,}, recall@1 {done.best_recall:.2f} %, in {out}/best")


def report_export(done: "Exported", to: str) -> None:
    """Print a summary of an export."""
    what = f"{done.context_length} tokens, {done.bytes / 1e6:,.0f} MB"
    click.echo(f"{to}: {what}; its embeddings match the source model's (lowest cosine {done.cosine:.6f})")


def report_preview(made: "Preview") -> None:
    """Print how much of a dataset a preview shows, and where it is."""
    click.echo(f"{made.samples:,} of {made.of:,} samples, {made.bytes / 1e6:.1f} MB. Open {made.out}")


def report_counted(counted: "Counted", options: "StatsOptions") -> None:
    """Print the statistics of a dataset, as tables or as JSON."""
    manifest, found = counted.manifest, counted.stats.as_dict()
    quality = counted.quality
    if options.json:
        if quality:
            said = {"model": quality.model, "identity": quality.identity} | quality.reading
            said |= {"context_length": quality.context_length, "truncated_captions": quality.truncated}
            found |= {"alignment": said | quality.suites["alignment"].figures["captions"]}
        click.echo(json.dumps({"totals": manifest.totals, "skipped": manifest.skipped} | found, indent=1))
        return
    print_stats(manifest, found)
    if quality:
        figures = quality.suites["alignment"].figures["captions"]
        spread = f"{figures['cosine_p5']:.2f} to {figures['cosine_p95']:.2f} for 90 % of them"
        click.echo(f"cosine of captions with their images under {quality.model}, times 100:")
        click.echo(f"  mean {figures['cosine_mean']:.2f}, {spread}; {quality.context_length} tokens read")
    if options.html:
        click.echo(f"Open {options.html}")


def report_blend(done: "Blended") -> None:
    """Print the metrics of all blends, and which one was written."""
    for point in done.points:
        cells = [f"{name} {value:.2f}" for name, value in (point.gains | point.retained).items()]
        click.echo(f"alpha {point.alpha:g}: " + ", ".join(cells))
    said = f"alpha {done.alpha:g}"
    click.echo(f"nothing to do: {done.out} is finished ({said})" if done.done_before else f"{done.out}: {said}")


def report_valid(manifest: "Manifest", dir: str) -> None:
    """Print that a dataset has no problems."""
    click.echo(f"{dir} is valid: {manifest.totals['samples']:,} samples in {len(manifest.shards):,} shards")


def report_dataset(result: "Result", out: str) -> None:
    """Print how many samples a dataset has, and how many rows were skipped for which reasons."""
    totals, shards = result.manifest.totals, len(result.manifest.shards)
    what = f"{totals['samples']:,} samples in {shards:,} shards, {totals['skipped']:,} skipped"
    if result.done_before:
        click.echo(f"nothing to do: {out} is finished ({what})")
        return
    click.echo(f"{out}: {what}, {result.images_per_second:.1f} images/s")
    for reason, count in result.manifest.skipped.items():
        click.echo(f"  skipped {count:,}: {reason}")
    if left_out := totals.get("boxes_left_out"):
        click.echo(f"  boxes omitted because they are empty or outside their image: {left_out:,}")


def report(command: str, options: Any, result: Any) -> None:
    """Print the summary of a command.

    Args:
        command: name of the command.
        options: options of the command.
        result: return value of the command's function.
    """
    if command == "train":
        report_training(result, options.out)
    elif command == "eval":
        from glitbuild.stages.evaluate.report import print_report

        print_report(result)
    elif command == "compare":
        from glitbuild.stages.evaluate.compare_report import print_comparison

        print_comparison(result)
    elif command == "blend":
        report_blend(result)
    elif command == "export":
        report_export(result, options.to)
    elif command == "preview":
        report_preview(result)
    elif command == "push":
        from glitbuild.stages.publish.hub.command import print_plan, print_pushed

        print_plan(result, options) if options.dry_run else print_pushed(result)
    elif command == "stats":
        report_counted(result, options)
    elif command == "validate":
        report_valid(result, options.dir)
    elif command == "demo":
        from glitbuild.demo.command import print_report as print_demo

        print_demo(result)
    elif command != "run":  # the stages of a run have been reported already
        report_dataset(result, options.out)


BAR_WIDTH = 40
BAR = "\u2588"
PLAIN_BAR = "#"
"""Used if the terminal's encoding lacks ``BAR``."""


def print_stats(manifest: Manifest, stats: dict[str, Any]) -> None:
    """Print a dataset's totals and distributions to standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False)  # labels and names are printed as they are
    totals = Table("total", "number", title=None)
    for name, number in {"shards": len(manifest.shards), **manifest.totals}.items():
        totals.add_row(name, f"{number:,}")
    for reason, number in manifest.skipped.items():
        totals.add_row(f"skipped: {reason}", f"{number:,}")
    console.print(totals)
    figures = Table("per caption, image or pair", "count", "mean", "min", "max")
    for name, histogram in stats.items():
        if "edges" in histogram and histogram["count"]:
            figures.add_row(name, *(f"{histogram[key]:,}" for key in ("count", "mean", "min", "max")))
    console.print(figures)
    for name in ("similarity", "area"):
        if stats[name]["count"]:
            console.print(_bars(name, stats[name], _bar(console.encoding)))
    counts = {"chosen": "chosen regions by kind", "labels": "detected", "given_labels": "given"}
    for name, title in counts.items():
        if of := stats.get(name):
            console.print(_counts(title, "number", of))
    columns = stats.get("columns", {})
    numbers = Table("kept column", "count", "mean", "min", "max")
    for name, of in columns.items():
        if "mean" in of:
            numbers.add_row(
                visible(name), f"{of['count']:,}", *(f"{of[key]:,.6g}" for key in ("mean", "min", "max"))
            )
    if numbers.rows:
        console.print(numbers)
    for name, of in columns.items():
        if "mean" not in of:
            different = f"{of['different']:,}" if of["values"] else f"at least {of['different']:,}"
            what = "value" if different == "1" else "values"
            console.print(_counts(visible(f"{name}: {different} {what}"), "samples", of["values"]))


def _counts(title: str, what: str, counts: dict[str, int]) -> Any:
    from rich.table import Table

    table = Table(title, what)
    for key, number in list(counts.items())[:20]:
        table.add_row(visible(key) or "(nothing)", f"{number:,}")
    return table


def _bar(encoding: str) -> str:
    try:
        BAR.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return PLAIN_BAR
    return BAR


def _bars(name: str, histogram: dict[str, Any], bar: str) -> Any:
    from rich.table import Table

    table = Table(name, "pairs", "")
    most = max(histogram["counts"])
    for (low, high), count in zip(pairwise(histogram["edges"]), histogram["counts"], strict=True):
        if count:
            table.add_row(f"{low:.2f} to {high:.2f}", f"{count:,}", bar * max(1, round(BAR_WIDTH * count / most)))
    return table
