"""Statistics as tables on the terminal."""

from itertools import pairwise
from typing import Any

from glitbuild.shards.manifest import Manifest

BAR_WIDTH = 40
BAR = "\u2588"
PLAIN_BAR = "#"
"""Where the terminal's encoding lacks the other."""


def print_stats(manifest: Manifest, stats: dict[str, Any]) -> None:
    """Print a dataset's totals and distributions on standard output."""
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
            numbers.add_row(name, f"{of['count']:,}", *(f"{of[key]:,.6g}" for key in ("mean", "min", "max")))
    if numbers.rows:
        console.print(numbers)
    for name, of in columns.items():
        if "mean" not in of:
            different = f"{of['different']:,}" if of["values"] else f"at least {of['different']:,}"
            what = "value" if different == "1" else "values"
            console.print(_counts(f"{name}: {different} {what}", "samples", of["values"]))


def _counts(title: str, what: str, counts: dict[str, int]) -> Any:
    from rich.table import Table

    table = Table(title, what)
    for key, number in list(counts.items())[:20]:
        table.add_row(key or "(nothing)", f"{number:,}")
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
