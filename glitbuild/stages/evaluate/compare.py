"""The ``compare`` command: models side by side on the same data, with paired bootstrap intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import ConfigError
from glitbuild.shards.output import check_writable
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.compare_report import write_comparison
from glitbuild.stages.evaluate.metrics import Interval, SuiteReport, paired_bootstrap
from glitbuild.stages.evaluate.options import CompareOptions, EvalOptions
from glitbuild.stages.evaluate.protocols import PROTOCOLS
from glitbuild.stages.evaluate.report import Report


@dataclass(frozen=True, slots=True)
class Model:
    """A model to compare, as the command names it: ``[LABEL=]MODEL[@PRETRAINED]``.

    Attributes:
        label: name in the tables.
        model: folder, architecture of open_clip, or demo.
        pretrained: tag or checkpoint file; None for a model with its own weights.
    """

    label: str
    model: str
    pretrained: str | None

    @classmethod
    def parse(cls, text: str) -> "Model":
        """Read a model; a text that is the path of a folder is taken as it is."""
        if Path(text).expanduser().is_dir():
            return cls(Path(text).name, text, None)
        label, equals, rest = text.partition("=")
        rest = rest if equals else text
        model, _, pretrained = rest.partition("@")
        if Path(rest).expanduser().is_dir():
            model, pretrained = rest, ""
        return cls(label if equals else Path(text).name, model, pretrained or None)


@dataclass(frozen=True, slots=True)
class Data:
    """Data to compare on, as the command names it: ``DIR`` or ``PROTOCOL=DIR``.

    Attributes:
        name: name in the tables: that of the protocol, else that of the folder.
        dir: dataset directory, or folder of a benchmark.
        protocol: name of the protocol; None without one.
    """

    name: str
    dir: str
    protocol: str | None

    @classmethod
    def parse(cls, text: str) -> "Data":
        """Read a directory, and the protocol before it."""
        protocol, equals, dir = text.partition("=")
        if equals and protocol in PROTOCOLS:
            return cls(protocol, dir, protocol)
        return cls(Store(text).name, text, None)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of all models on the same data.

    Attributes:
        data: name of the data.
        suite: suite.
        row: row of the suite's table, such as ``text_to_image``.
        column: its column, such as ``R@1``.
        values: value of each model, in percent; None for a model that doesn't have it.
        differences: of each model but the first, its value minus the first model's, with the bounds of the paired
            bootstrap, in percent; None where the metric is no mean over queries, or a model lacks it.
        scored: whether the metric is a mean of the queries' scores, of which more is better.
    """

    data: str
    suite: str
    row: str
    column: str
    values: tuple[float | None, ...]
    differences: tuple[Interval | None, ...]
    scored: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models side by side.

    Attributes:
        models: the models, the first of which is the baseline.
        reports: reports by data and model.
        metrics: metrics in the order of data and suites.
        seed: seed of the bootstrap.
    """

    models: tuple[Model, ...]
    reports: dict[str, tuple[Report, ...]]
    metrics: tuple[Metric, ...]
    seed: int


def run_compare(options: CompareOptions, plain: bool = False) -> Comparison:
    """Evaluate all models on all data, and compare them with the first; errors in the options are found first.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.

    Raises:
        ConfigError: two models or two data have the same name, or ``eval`` would refuse an option.
        ModelError: a model is unavailable, or its kind is not supported.
        DatasetError: a dataset is damaged.
        EvaluationError: a model's embeddings are not finite.
    """
    models = tuple(map(Model.parse, _several(options.models)))
    data = tuple(map(Data.parse, _several(options.data)))
    _check_distinct("MODEL", [model.label for model in models], "name them: LABEL=MODEL")
    _check_distinct("--data", [each.name for each in data], "give each once")
    inputs = [each.dir for each in data]
    for option, path in (("--out", options.out), ("--markdown", options.markdown), ("--latex", options.latex)):
        if path:
            check_writable(path, inputs, [model.pretrained or model.model for model in models], option)
    plans = {each.name: [_eval_options(options, model, each) for model in models] for each in data}
    reports = {name: tuple(run_eval(each, plain) for each in evals) for name, evals in plans.items()}
    metrics = tuple(metric for name, found in reports.items() for metric in _metrics(name, found, options.seed))
    comparison = Comparison(models, reports, metrics, options.seed)
    write_comparison(comparison, options)
    return comparison


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _eval_options(options: CompareOptions, model: Model, data: Data) -> EvalOptions:
    return EvalOptions(
        model.model,
        data.dir,
        pretrained=model.pretrained,
        suite="" if data.protocol else options.suite,
        protocol=data.protocol,
        context_length=options.context_length,
        batch_size=options.batch_size,
        device=options.device,
        seed=options.seed,
        gpus=options.gpus,
        workers=options.workers,
        ray_address=options.ray_address,
        cache=options.cache,
        cache_size=options.cache_size,
    )


def _check_distinct(what: str, names: Sequence[str], fix: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{what} {name}", "two of them have this name", fix)


def _metrics(data: str, reports: Sequence[Report], seed: int) -> Iterator[Metric]:
    """Yield the metrics of all models on the same data; a suite may be missing for some of them."""
    suites = list(dict.fromkeys(name for report in reports for name in report.suites))
    for suite in suites:
        found = [report.suites.get(suite) for report in reports]
        places = dict.fromkeys(
            (row, column) for each in found if each for row, of in each.figures.items() for column in of
        )
        for row, column in places:
            values = tuple(each.figures.get(row, {}).get(column) if each else None for each in found)
            differences = tuple(_difference(found[0], other, row, column, seed) for other in found[1:])
            scored = any(each and column in each.scores.get(row, {}) for each in found)
            yield Metric(data, suite, row, column, values, differences, scored)


def _difference(
    base: SuiteReport | None, other: SuiteReport | None, row: str, column: str, seed: int
) -> Interval | None:
    """Return the difference of a metric with its interval, in percent."""
    if base is None or other is None:
        return None
    before, after = (each.scores.get(row, {}).get(column) for each in (base, other))
    if before is None or after is None or not len(before):
        return None
    groups = base.groups.get(row)
    found = paired_bootstrap(by_group(before, groups), by_group(after, groups), seed)
    return replace(found, difference=100 * found.difference, low=100 * found.low, high=100 * found.high)


def by_group(scores: NDArray[Any], groups: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Return one score per group of dependent queries, such as the captions of one image.

    A group's score is the sum of its queries' scores, scaled so that the mean over groups is the mean over queries,
    however many queries each group has.

    Args:
        scores: Q, score of each query.
        groups: Q, number of each query's group; None if the queries are independent.

    Returns:
        G.
    """
    if groups is None:
        return scores.astype(np.float64)
    _, of = np.unique(groups, return_inverse=True)
    sums = np.bincount(of, weights=scores.astype(np.float64)).astype(np.float64)
    return sums * np.float64(len(sums) / len(scores))
