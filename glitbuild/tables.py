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
    for name in ("chosen", "labels"):
        if stats[name]:
            table = Table("chosen regions by kind" if name == "chosen" else "detected", "number")
            for key, number in list(stats[name].items())[:20]:
                table.add_row(key, f"{number:,}")
            console.print(table)


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
