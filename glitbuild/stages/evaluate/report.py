"""Report of an evaluation as JSON, as Markdown tables, and on the terminal."""

import json
from dataclasses import dataclass, field
from typing import Any

from glitbuild.shards.output import write_file
from glitbuild.stages.evaluate.metrics import SuiteReport
from glitbuild.stages.evaluate.options import EvalOptions

SCHEMA = "glit-eval/1"


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics of a model on a dataset.

    Attributes:
        model: name or folder of the model.
        identity: tag of the model, or the SHA-256 of its weights.
        context_length: number of tokens read per text.
        dataset: dataset directory.
        manifest: SHA-256 of the dataset's manifest; of a benchmark, of everything read from it.
        samples: number of samples of the dataset, with one caption each; of a benchmark, number of distinct texts.
        images: number of distinct images.
        truncated: number of captions that the model can't read to the end.
        suites: results of the suites by name, in order.
        device: torch device.
        seed: seed of the false sentences and of the bootstrap.
        seconds: total time without loading the model.
        versions: versions of the packages that affect the metrics.
        reading: how the weights are read, by option, where the model's names don't say it.
        protocol: name, paper, number of samples and text handling of the protocol; empty without one.
        omitted: suites that the dataset supports but the model doesn't, with the reason.
    """

    model: str
    identity: str
    context_length: int
    dataset: str
    manifest: str
    samples: int
    images: int
    truncated: int
    suites: dict[str, SuiteReport]
    device: str
    seed: int
    seconds: float
    versions: dict[str, str]
    reading: dict[str, Any] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)


def write_files(report: Report, options: EvalOptions) -> None:
    """Write a report as JSON and as Markdown, if the options ask for it."""
    if options.out:
        write_file(options.out, as_json(report))
    if options.markdown:
        write_file(options.markdown, as_markdown(report).encode(errors="backslashreplace"))


def as_json(report: Report) -> bytes:
    """Return a report as JSON; metrics are in percent."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "model": {"name": report.model, "identity": report.identity}
        | report.reading
        | {"context_length": report.context_length},
        "dataset": {
            "name": report.dataset,
            "manifest": report.manifest,
            "samples": report.samples,
            "images": report.images,
            "truncated_captions": report.truncated,
        },
        **({"protocol": report.protocol} if report.protocol else {}),
        "suites": {name: {"figures": of.figures} | of.facts for name, of in report.suites.items()},
        **({"omitted": report.omitted} if report.omitted else {}),
        "device": report.device,
        "seed": report.seed,
        "seconds": report.seconds,
        "versions": report.versions,
    }
    return (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode(
        errors="backslashreplace"
    )


def as_markdown(report: Report) -> str:
    """Return a report as Markdown, one table per suite."""
    parts = [f"{_headline(report)}, tokens read: {report.context_length}."]
    for name, suite in report.suites.items():
        columns = _columns(suite)
        lines = [f"### {name}", "", _row(["", *map(_words, columns)]), _row(["---", *("---:" for _ in columns)])]
        lines += [_row(_cells(row, of, columns)) for row, of in suite.figures.items()]
        parts.append("\n".join(lines + ([f"\n{_facts(suite)}"] if suite.facts else [])))
    parts += [f"{name} is omitted: {why}." for name, why in report.omitted.items()]
    return "\n\n".join(parts) + "\n"


def print_report(report: Report) -> None:
    """Print a report's tables to standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False)
    console.print(_headline(report), soft_wrap=True, highlight=False, markup=False)
    for name, suite in report.suites.items():
        columns = _columns(suite)
        table = Table(name)
        for column in columns:
            table.add_column(_words(column), justify="right")
        for row, of in suite.figures.items():
            table.add_row(*_cells(row, of, columns))
        console.print(table)
        if suite.facts:
            console.print(_facts(suite), soft_wrap=True, highlight=False, markup=False)
    for name, why in report.omitted.items():
        console.print(f"{name} is omitted: {why}", soft_wrap=True, highlight=False, markup=False)


def _headline(report: Report) -> str:
    protocol = f", protocol {report.protocol['name']}" if report.protocol else ""
    what = f"{report.model} on {report.dataset}{protocol}: {report.samples:,} captions, {report.images:,} images"
    cut = f", {report.truncated:,} captions truncated at {report.context_length} tokens" if report.truncated else ""
    return f"{what}{cut}; {report.seconds:.1f} s; metrics in percent"


def _facts(suite: SuiteReport) -> str:
    return ", ".join(f"{_words(name)}: {value}" for name, value in suite.facts.items())


def _columns(suite: SuiteReport) -> list[str]:
    return list(dict.fromkeys(column for row in suite.figures.values() for column in row))


def _cells(name: str, row: dict[str, float], columns: list[str]) -> list[str]:
    return [_words(name), *(f"{row[column]:.2f}" if column in row else "" for column in columns)]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
