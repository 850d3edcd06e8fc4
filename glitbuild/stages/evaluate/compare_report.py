"""A comparison of models as JSON, Markdown and LaTeX, and on the terminal."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from glitbuild.shards.output import write_file
from glitbuild.stages.evaluate.metrics import CONFIDENCE, Interval
from glitbuild.stages.evaluate.options import CompareOptions

if TYPE_CHECKING:
    from glitbuild.stages.evaluate.compare import Comparison, Metric

SCHEMA = "glit-compare/1"

SHORT = {"text_to_image": r"T$\to$I", "image_to_text": r"I$\to$T"}
"""Rows as papers abbreviate them."""

LATEX = str.maketrans(
    {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)


def write_comparison(comparison: "Comparison", options: CompareOptions) -> None:
    """Write a comparison as JSON, Markdown and LaTeX, as the options ask."""
    for path, make in ((options.out, as_json), (options.markdown, as_markdown), (options.latex, as_latex)):
        if path:
            write_file(path, make(comparison).encode(errors="backslashreplace"))


def as_json(comparison: "Comparison") -> str:
    """Return a comparison as JSON; metrics are in percent."""
    labels = [model.label for model in comparison.models]
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "models": [
            {"label": model.label, "name": report.model, "identity": report.identity} | report.reading
            for model, report in zip(comparison.models, next(iter(comparison.reports.values())), strict=True)
        ],
        "data": [_data(name, reports) for name, reports in comparison.reports.items()],
        "baseline": labels[0],
        "confidence": CONFIDENCE,
        "seed": comparison.seed,
        "metrics": [_metric(metric, labels) for metric in comparison.metrics],
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _data(name: str, reports: Any) -> dict[str, Any]:
    first = reports[0]
    found: dict[str, Any] = {"name": name, "manifest": first.manifest, "samples": first.samples}
    found |= {"images": first.images, "context_lengths": [report.context_length for report in reports]}
    found |= {"truncated_captions": [report.truncated for report in reports]}
    return found | ({"protocol": first.protocol} if first.protocol else {})


def _metric(metric: "Metric", labels: list[str]) -> dict[str, Any]:
    return {
        "data": metric.data,
        "suite": metric.suite,
        "row": metric.row,
        "column": metric.column,
        "values": dict(zip(labels, metric.values, strict=True)),
        "differences": {
            label: {"difference": found.difference, "low": found.low, "high": found.high} if found else None
            for label, found in zip(labels[1:], metric.differences, strict=True)
        },
    }


def as_markdown(comparison: "Comparison") -> str:
    """Return a comparison as a Markdown table: a row per metric, a column per model, with the differences."""
    labels = [model.label.replace("|", r"\|") for model in comparison.models]
    lines = [
        "| data | metric | " + " | ".join(labels) + " |",
        "| --- | --- | " + " | ".join("---:" for _ in labels) + " |",
    ]
    lines += [f"| {' | '.join(row)} |" for row in _rows(comparison)]
    said = f"In percent; in brackets the {100 * CONFIDENCE:g} % interval (paired bootstrap) of the difference to"
    notes = [f"{said} {labels[0]}, with * where it excludes 0."]
    for name, reports in comparison.reports.items():
        for label, report in zip(labels, reports, strict=True):
            notes += [f"{label} on {name}: {suite} is omitted, {why}." for suite, why in report.omitted.items()]
            if report.truncated:
                cut = f"{report.truncated:,} captions truncated at {report.context_length} tokens"
                notes.append(f"{label} on {name}: {cut}.")
    return "\n".join(lines) + "\n\n" + "\n".join(f"* {note}" for note in notes) + "\n"


def as_latex(comparison: "Comparison") -> str:
    """Return a comparison as a LaTeX table for booktabs: a row per model, a column per metric, the best in bold.

    It has the metrics that are means of scores; chance levels, drops and gains are in the other formats.
    """
    metrics = [metric for metric in comparison.metrics if metric.scored]
    groups: list[tuple[str, int]] = []
    for metric in metrics:
        name = f"{metric.data}, {SHORT.get(metric.row, _escaped(metric.row.replace('_', ' ')))}"
        name = name.replace(metric.data, _escaped(metric.data), 1)
        if groups and groups[-1][0] == name:
            groups[-1] = (name, groups[-1][1] + 1)
        else:
            groups.append((name, 1))
    heads, rules, start = [], [], 2
    for name, width in groups:
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{name}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    lines = [
        r"% \usepackage{booktabs}; \dagger: the 95 % interval of the difference to the first model excludes 0",
        rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}",
        r"\toprule",
        " & " + " & ".join(heads) + r" \\",
        "".join(rules),
        "model & " + " & ".join(_escaped(metric.column.replace("_", " ")) for metric in metrics) + r" \\",
        r"\midrule",
    ]
    for number, model in enumerate(comparison.models):
        cells = [_escaped(model.label), *(_latex_cell(metric, number) for metric in metrics)]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_cell(metric: "Metric", number: int) -> str:
    value = metric.values[number]
    if value is None:
        return "--"
    shown = f"{value:.2f}"
    best = max(other for other in metric.values if other is not None)
    if len(metric.values) > 1 and shown == f"{best:.2f}":
        shown = rf"\textbf{{{shown}}}"
    difference = metric.differences[number - 1] if number else None
    return shown + (r"$^\dagger$" if difference and _excludes_zero(difference) else "")


def print_comparison(comparison: "Comparison") -> None:
    """Print a comparison as a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table("data", "metric")
    for model in comparison.models:
        table.add_column(model.label, justify="right")
    for row in _rows(comparison):
        table.add_row(*row)
    console = Console(markup=False, emoji=False)
    console.print(table)
    for name, reports in comparison.reports.items():
        for model, report in zip(comparison.models, reports, strict=True):
            for suite, why in report.omitted.items():
                console.print(
                    f"{model.label} on {name}: {suite} is omitted: {why}", soft_wrap=True, highlight=False
                )


def _rows(comparison: "Comparison") -> Iterator[tuple[str, ...]]:
    """Yield the cells of a table; the bounds of a suite's own differences are in the JSON only."""
    for metric in comparison.metrics:
        if metric.column.endswith(("_low", "_high")):
            continue
        cells = [_value(metric.values[0])]
        for value, difference in zip(metric.values[1:], metric.differences, strict=True):
            cells.append(f"{_value(value)} {_said(difference)}".strip())
        yield metric.data, f"{metric.suite} {metric.row} {metric.column}".replace("_", " "), *cells


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _said(found: Interval | None) -> str:
    """Return the interval of a difference, with a star where it excludes 0."""
    if found is None:
        return ""
    return f"[{found.low:+.2f}, {found.high:+.2f}]{'*' if _excludes_zero(found) else ''}"


def _excludes_zero(found: Interval) -> bool:
    return found.low > 0 or found.high < 0


def _escaped(text: str) -> str:
    return text.translate(LATEX)
