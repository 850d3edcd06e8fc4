"""What the commands print at their end."""

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from glitbuild.engine.result import Result
    from glitbuild.inspection import Counted, StatsOptions
    from glitbuild.shards.manifest import Manifest
    from glitbuild.stages.export.command import Exported
    from glitbuild.stages.publish.page.preview import Preview
    from glitbuild.stages.train.command import Trained


def report_training(done: "Trained", out: str) -> None:
    """Say what a training came to."""
    what = f"{done.steps:,} steps, {done.epochs:,} epochs of {done.samples:,} samples"
    if done.done_before:
        click.echo(f"nothing to do: {out} is finished ({what})")
        return
    click.echo(f"{out}: {what}, {done.images_per_second:.1f} images/s")
    click.echo(f"  sentences beyond the last token: {done.sentences_beyond:,}")
    click.echo(f"  regions outside of what the model sees: {done.boxes_outside:,}")


def report_export(done: "Exported", to: str) -> None:
    """Say what was exported."""
    what = f"{done.context_length} tokens, {done.bytes / 1e6:,.0f} MB"
    click.echo(f"{to}: {what}; its embeddings are the source's (least cosine {done.cosine:.6f})")


def report_preview(made: "Preview") -> None:
    """Say what a preview shows."""
    click.echo(f"{made.samples:,} of {made.of:,} samples, {made.bytes / 1e6:.1f} MB. Look at {made.out}")


def report_counted(counted: "Counted", options: "StatsOptions") -> None:
    """Print what a dataset has, as tables or as JSON."""
    from glitbuild.tables import print_stats

    manifest, found = counted.manifest, counted.stats.as_dict()
    if options.json:
        click.echo(json.dumps({"totals": manifest.totals, "skipped": manifest.skipped} | found, indent=1))
        return
    print_stats(manifest, found)
    if options.html:
        click.echo(f"Look at {options.html}")


def report_valid(manifest: "Manifest", dir: str) -> None:
    """Say that a dataset has no problems."""
    click.echo(f"{dir} is valid: {manifest.totals['samples']:,} samples in {len(manifest.shards):,} shards")


def report_dataset(result: "Result", out: str) -> None:
    """Say how many samples a dataset has, and what was skipped."""
    totals, shards = result.manifest.totals, len(result.manifest.shards)
    what = f"{totals['samples']:,} samples in {shards:,} shards, {totals['skipped']:,} skipped"
    if result.done_before:
        click.echo(f"nothing to do: {out} is finished ({what})")
        return
    click.echo(f"{out}: {what}, {result.images_per_second:.1f} images/s")
    for reason, count in result.manifest.skipped.items():
        click.echo(f"  skipped {count:,}: {reason}")
    if left_out := totals.get("boxes_left_out"):
        click.echo(f"  boxes left out, empty or outside of their pictures: {left_out:,}")


def report(command: str, options: Any, result: Any) -> None:
    """Print what a command came to.

    Args:
        command: its name.
        options: of the command.
        result: what running it returned.
    """
    if command == "train":
        report_training(result, options.out)
    elif command == "eval":
        from glitbuild.stages.evaluate.report import print_report

        print_report(result)
    elif command == "export":
        report_export(result, options.to)
    elif command == "preview":
        report_preview(result)
    elif command == "push":
        from glitbuild.stages.publish.hub.report import print_plan, print_pushed

        print_plan(result, options) if options.dry_run else print_pushed(result)
    elif command == "stats":
        report_counted(result, options)
    elif command == "validate":
        report_valid(result, options.dir)
    elif command == "demo":
        from glitbuild.demo.run import print_report as print_demo

        print_demo(result)
    elif command != "run":  # whose stages have said it
        report_dataset(result, options.out)
