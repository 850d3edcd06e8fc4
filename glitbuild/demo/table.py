"""What the demo came to, on the terminal."""

from glitbuild.demo.run import Report


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
