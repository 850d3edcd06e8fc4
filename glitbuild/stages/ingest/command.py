"""The command ``ingest``: rows of the inputs in, shards of checked samples out."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from glitbuild.engine.cluster import choose_cluster
from glitbuild.engine.progress import Progress
from glitbuild.engine.runners import running
from glitbuild.engine.task import Result, done, versions_of
from glitbuild.errors import ConfigError, SourceError
from glitbuild.options import content_of
from glitbuild.records import Skip, SkipReason, writable
from glitbuild.shards.layout import FOLDERS, shard_of
from glitbuild.shards.manifest import (
    Manifest,
    files_beyond,
    open_dataset,
    prepare_directory,
    read_manifest,
    write_manifest,
)
from glitbuild.shards.output import refuse_overlap, writing
from glitbuild.shards.reader import check_shards, read_skipped
from glitbuild.shards.sidecar import Config, Sidecar, finished_sidecars, refuse_changes, written_sidecars
from glitbuild.shards.store import Store
from glitbuild.stages.ingest.accept import Limits
from glitbuild.stages.ingest.download.fetch import DownloadOptions, too_large
from glitbuild.stages.ingest.duplicates import Changes, Excluded, HashWorker, Sieve, find_changes, open_excluded
from glitbuild.stages.ingest.formats.webdataset import WebDatasetSource
from glitbuild.stages.ingest.kept_columns import find_types
from glitbuild.stages.ingest.near import NearHashes
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.ingest.plan import Finished, IngestTask, Range, Start, cut_sources
from glitbuild.stages.ingest.registry import SourceOptions, open_sources
from glitbuild.stages.ingest.source import RowSource
from glitbuild.stages.ingest.worker import IngestPlan, IngestWorker

MAX_THREADS = 32
SLOTS = 4
"""Ranges that a worker makes at a time: a slow download at the end of one must not keep the others waiting."""

log = logging.getLogger(__name__)


def run_ingest(options: IngestOptions, plain: bool = False) -> Result:
    """Read the inputs and write a dataset directory.

    The inputs are cut into ranges of ``shard_size`` rows before any picture is opened. A range is a shard, and
    the numbers of its rows are the keys, so that ranges can be made in any order, anywhere; what is missing is
    made, and what is there must be of the same rows. Which rows repeat another is told when all shards are there.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        ConfigError: the options are wrong; nothing has been written.
        OptionsChangedError: the directory was begun with others, or with other rows; nothing has been written.
        ShardFailedError: some shards were given up; the others are done, and a new run tries again.
    """
    out = Store(options.out)
    refuse_overlap((*options.sources, *options.exclude), options.out)
    given = SourceOptions(
        options.format,
        options.image_column,
        options.caption_column,
        options.split,
        options.captions,
        tuple(options.keep_columns),
        options.boxes_column,
        options.boxes_format,
    )
    sources = open_sources(options.sources, given)
    for source in sources:
        log.info("ingest: %s", source.summary)
    _check_datasets(options.sources, sources)
    excluded = open_excluded(options.exclude)
    with writing(out):
        config = _config(options, excluded)
        if options.keep_columns:
            log.info("ingest: reading the columns of all rows")
            config["keep_columns"] = find_types(sources, given)
        return _Ingest(options, out, sources, excluded, config, plain).run()


class _Ingest:
    """One run."""

    def __init__(
        self,
        options: IngestOptions,
        out: Store,
        sources: Sequence[RowSource],
        excluded: Sequence[Excluded],
        config: Config,
        plain: bool,
    ) -> None:
        self._options, self._out, self._sources, self._excluded = options, out, tuple(sources), excluded
        self._plain, self._config = plain, config
        self._cluster = choose_cluster(options.workers, ray_address=options.ray_address)
        self._start = Start()

    def run(self) -> Result:
        """Make what is missing, then what may come now, then skip what repeats another; write the manifest."""
        options, out, config = self._options, self._out, self._config
        finished = None
        if not options.overwrite:
            manifest, finished = read_manifest(out), Finished(out, config)
            if finished.shards and not self._has_work(manifest, finished) and manifest:
                return Result(manifest, done_before=True)
        for spec, source in zip(options.sources, self._sources, strict=True):
            if next(source.cut(1), None) is None:
                raise SourceError(spec, "there are no rows", "give an input with images and captions")
        prepare_directory(out, options.overwrite)
        finished = finished or Finished(out, config)
        with ExitStack() as stack:
            progress = stack.enter_context(Progress("ingest", None, self._plain))
            hashes = [(dataset.name, stack.enter_context(self._hashes(dataset))) for dataset in self._excluded]
            make = stack.enter_context(self._runner(progress))
            make(finished.todo(self._plan(), options.extend))
            if options.retry_skipped:
                make(self._retried())
            while make(self._rewritten(hashes)) + make(self._revived()):
                pass
            rate = progress.rate
        return Result(self._write_manifest(), False, rate)

    def _has_work(self, manifest: Manifest | None, finished: Finished) -> bool:
        """Compare what is done with the inputs, before anything is written; return whether something is left."""
        options, names = self._options, [writable(source.summary) for source in self._sources]
        if options.extend:
            self._start = finished.start_of(names)
        elif manifest:
            refuse_changes(self._out.url, manifest.config, self._config | {"sources": names})
        whole = {entry.name: entry.samples + entry.skipped for entry in manifest.shards} if manifest else None
        left = sum(1 for _ in finished.todo(self._plan(), options.extend, whole))
        return bool(left) or (options.retry_skipped and any(True for _ in self._retried()))

    def _plan(self) -> Iterator[Range]:
        return cut_sources(self._sources, self._options.shard_size, self._start)

    def _retried(self) -> Iterator[IngestTask]:
        """Yield the shards with rows that may succeed now."""
        for found in self._plan():
            sidecar = Sidecar.read(self._out, found.shard)
            if sidecar and any(reason.startswith("download_") for reason in sidecar.skipped):
                skipped = read_skipped(self._out, found.shard)
                again = frozenset(int(skip.key) for skip in skipped if may_succeed(skip, self._options))
                if again:
                    yield IngestTask(found.shard, found.described, found.cut, again)

    def _rewritten(self, excluded: Sequence[tuple[str, NearHashes]]) -> Iterator[IngestTask]:
        """Yield the shards with rows that repeat an earlier one and are not skipped yet."""
        self._lost: dict[str, Changes] = {}
        with Sieve(self._options.duplicates, self._options.near_distance, excluded) as sieve:
            for sidecar, changes in find_changes(self._out, written_sidecars(self._out), sieve):
                if changes.again:
                    self._lost[sidecar.shard] = changes
                else:
                    described = {name: value for name, value in sidecar.input.items() if name != "facts"}
                    yield IngestTask(sidecar.shard, described, None, frozenset(), changes.repeats)

    def _revived(self) -> Iterator[IngestTask]:
        """Yield the shards with rows that are read again, as what they repeated is gone."""
        if not self._lost:
            return
        for found in self._plan():
            if changes := self._lost.pop(found.shard, None):
                yield IngestTask(found.shard, found.described, found.cut, changes.again, changes.repeats)
        if self._lost:
            fix = "give all inputs of the dataset, in their order"
            raise ConfigError(
                self._out.url, f"rows of other inputs must be read again (shard {min(self._lost)})", fix
            )

    def _write_manifest(self) -> Manifest:
        done = Finished(self._out, self._config)
        for name in files_beyond(self._out, done.shards):
            self._out.remove(name)
        self._out.sweep(FOLDERS)  # what workers that died left half-written
        shards = sorted(done.shards, key=int)
        config = self._config | {"sources": [done.sources[number][0] for number in sorted(done.sources)]}
        manifest = write_manifest(self._out, finished_sidecars(self._out, shards), config, versions_of("ingest"))
        if not manifest.totals["samples"]:
            log.warning("ingest: no row became a sample; see %s", self._out.path("skipped"))
        return manifest

    @contextmanager
    def _runner(self, progress: Progress) -> Iterator[Callable[[Iterator[IngestTask]], int]]:
        """Yield what makes shards and returns how many.

        Raises:
            ShardFailedError: some were given up; the others are done.
        """
        options, out, cluster = self._options, self._out, self._cluster
        plan = IngestPlan(
            out=out.root if out.is_local else out.url,
            sources=self._sources,
            first_source=self._start.source,
            limits=Limits(
                max_pixels=options.max_pixels,
                captions=options.captions,
                max_side=options.max_side,
                columns=self._config.get("keep_columns", {}),
            ),
            config=self._config,
            download=options,
            keeps_pictures=options.duplicates != "keep" or bool(self._excluded),
            needs_hash=options.duplicates == "near" or bool(self._excluded),
            threads=1 if cluster else self._threads,
        )

        def make(tasks: Iterator[IngestTask]) -> int:
            made = 0
            for report in done(runner.run(tasks)):
                made += 1
                if cluster:
                    progress.advance(report.samples + report.skipped)
            return made

        build = partial(IngestWorker, plan) if cluster else partial(IngestWorker, plan, progress.advance)
        with running(build, cluster, SLOTS) as runner:
            yield make

    @contextmanager
    def _hashes(self, dataset: Excluded) -> Iterator[NearHashes]:
        """Hash the pictures of a dataset that is kept apart."""
        log.info("ingest: reading %d pictures of %s", dataset.manifest.totals["samples"], dataset.name)
        store = dataset.store
        threads = 1 if self._cluster else self._threads
        build = partial(HashWorker, store.root if store.is_local else store.url, threads)
        with NearHashes(self._options.near_distance) as hashes:
            with running(build, self._cluster) as runner:
                for report in done(runner.run(dataset.tasks()), at_once=True):
                    for key, hash in report.hashes.items():
                        hashes.add(hash, key)
            yield hashes

    @property
    def _threads(self) -> int:
        return min(os.cpu_count() or 1, MAX_THREADS)


def may_succeed(skip: Skip, options: DownloadOptions) -> bool:
    """Return whether it makes sense to download a skipped row's picture again."""
    match skip.reason:
        case SkipReason.DOWNLOAD_FAILED | SkipReason.DOWNLOAD_TIMEOUT:
            return True
        case SkipReason.DOWNLOAD_TOO_LARGE:
            return skip.detail != too_large(options.max_download_bytes).detail
        case SkipReason.DOWNLOAD_REFUSED:
            return options.allow_private_hosts
        case SkipReason.DOWNLOAD_OPT_OUT:
            return options.ignore_opt_out
    return False


def _check_datasets(specs: Sequence[str], sources: Sequence[RowSource]) -> None:
    """See that inputs which are dataset directories are finished, and their shards those of their manifests."""
    for spec, source in zip(specs, sources, strict=True):
        if not isinstance(source, WebDatasetSource):
            continue
        if any(name.endswith(".json") and shard_of(name) for name in Store(spec).names("shards")):
            store, manifest = open_dataset(spec)
            check_shards(store, manifest.shards)


def _config(options: IngestOptions, excluded: Sequence[Excluded]) -> Config:
    """Return the options that decide what becomes of a row; the inputs are said by each shard's sidecar."""
    more: Config = {} if options.duplicates == "keep" else {"duplicates": options.duplicates}
    if excluded:
        more["exclude"] = [dataset.identity for dataset in excluded]
    if excluded or options.duplicates == "near":
        more["near_distance"] = options.near_distance
    if options.boxes_column is not None:
        more["boxes_format"] = options.boxes_format
    return {"stage": "ingest"} | content_of(options) | more
