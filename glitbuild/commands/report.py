"""What the commands that write something print at their end."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from glitbuild.engine.result import Result
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


def report(result: "Result", out: str) -> None:
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
