"""The commands that only read a dataset, ``stats`` and ``validate``."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from glitbuild.engine.cluster import check_workers, choose_cluster
from glitbuild.engine.progress import Progress
from glitbuild.errors import ConfigError, DatasetError, visible
from glitbuild.options import RAY_ADDRESS, Options, about
from glitbuild.shards.manifest import Manifest, open_dataset
from glitbuild.shards.stats import Stats, collect
from glitbuild.shards.validate import validate

if TYPE_CHECKING:
    from glitbuild.stages.evaluate.report import Report


@dataclass(frozen=True, slots=True)
class ValidateOptions(Options):
    """Check a dataset against its manifest: files, hashes, records, spans and boxes."""

    dir: str = field(metadata=about("Dataset directory.", argument=True))
    workers: int | None = field(
        default=None, metadata=about("Number of worker processes.", absent="this process", least=0)
    )
    ray_address: str | None = field(default=None, metadata=RAY_ADDRESS)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        check_workers(self.workers, None, self.ray_address)


@dataclass(frozen=True, slots=True)
class StatsOptions(Options):
    """Print statistics of a dataset: totals, distributions, and skipped rows by reason."""

    dir: str = field(metadata=about("Dataset directory.", argument=True))
    json: bool = field(default=False, metadata=about("Print JSON instead of tables."))
    html: str | None = field(
        default=None,
        metadata=about("HTML page to write, with charts and the worst and best pairs; a local path or fsspec URL."),
    )
    clip_model: str | None = field(
        default=None,
        metadata=about(
            "Model with which the cosine of captions and images is measured: architecture, folder, or demo.",
            absent="not measured",
        ),
    )
    clip_pretrained: str | None = field(
        default=None, metadata=about("Tag of open_clip for that model, or checkpoint file.", absent="openai")
    )
    workers: int | None = field(
        default=None, metadata=about("Number of worker processes.", absent="this process", least=0)
    )
    ray_address: str | None = field(default=None, metadata=RAY_ADDRESS)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        check_workers(self.workers, None, self.ray_address)
        if self.clip_pretrained and not self.clip_model:
            raise ConfigError(f"--clip-pretrained {self.clip_pretrained}", "there is no --clip-model", "give both")


@dataclass(frozen=True, slots=True)
class Counted:
    """Result of ``stats``: a manifest, the statistics of its dataset, and how well captions and images agree.

    ``quality`` is the report of eval's suite alignment; None without ``--clip-model``.
    """

    manifest: Manifest
    stats: Stats
    quality: "Report | None" = None


def run_stats(options: StatsOptions, plain: bool = False) -> Counted:
    """Compute the statistics of a dataset, and write them as an HTML page if the options ask for one.

    Raises:
        ConfigError: there is no such dataset.
        DatasetError: the dataset is damaged.
    """
    cluster = choose_cluster(options.workers, ray_address=options.ray_address)
    store, manifest = open_dataset(options.dir)
    quality = _quality(options, plain) if options.clip_model else None
    if options.html:
        from glitbuild.stages.publish.page.statistics import write_statistics

        return Counted(manifest, write_statistics(store, manifest, options.html, plain, cluster), quality)
    with Progress("stats", manifest.totals["samples"], plain) as progress:
        return Counted(manifest, collect(store, manifest, progress.advance, cluster), quality)


def _quality(options: StatsOptions, plain: bool) -> "Report":
    """Return how well captions and images agree under the model that the options name."""
    from glitbuild.stages.evaluate.command import run_eval
    from glitbuild.stages.evaluate.options import ALIGNMENT, EvalOptions

    given: dict[str, Any] = {"workers": options.workers, "ray_address": options.ray_address}
    return run_eval(
        EvalOptions(
            str(options.clip_model), options.dir, pretrained=options.clip_pretrained, suite=ALIGNMENT, **given
        ),
        plain,
    )


def run_validate(options: ValidateOptions, plain: bool = False) -> Manifest:
    """Check a dataset, and print each problem as soon as it is found.

    Returns:
        The manifest of a dataset without problems.

    Raises:
        ConfigError: there is no such dataset.
        DatasetError: the dataset has problems.
    """
    cluster = choose_cluster(options.workers, ray_address=options.ray_address)
    store, manifest = open_dataset(options.dir)
    count = 0
    with Progress("validate", manifest.totals["samples"], plain) as progress:
        for problem in validate(store, manifest, progress.advance, cluster):
            count += 1
            click.echo(visible(str(problem)))
    if count:
        fix = "remove the sidecars of these shards and run the stage again to remake them"
        raise DatasetError(options.dir, f"{count} problems", fix)
    return manifest
