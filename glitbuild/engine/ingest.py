"""The command ``ingest``: rows of the sources in, shards of checked samples out."""

import logging
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from glitbuild.engine.exclude import Excluded, open_excluded
from glitbuild.engine.options import IngestOptions
from glitbuild.engine.progress import Progress
from glitbuild.engine.replay import input_changed, replay, replay_all
from glitbuild.engine.result import Result
from glitbuild.engine.retry import Count, remake_lost, retry_rows, rows_to_retry
from glitbuild.engine.row_stream import RowStream
from glitbuild.engine.shard_pictures import pictures_by_row
from glitbuild.engine.versions import versions_of
from glitbuild.errors import SourceError
from glitbuild.ingest.accept import Limits
from glitbuild.ingest.kept_columns import find_types
from glitbuild.ingest.registry import SourceOptions, open_sources
from glitbuild.ingest.source import RowSource
from glitbuild.ingest.webdataset import WebDatasetSource
from glitbuild.records import Skip, writable
from glitbuild.shards.layout import shard_name, shard_of
from glitbuild.shards.lock import writing
from glitbuild.shards.manifest import files_beyond, open_dataset, prepare_directory, read_manifest, write_manifest
from glitbuild.shards.overlap import refuse_overlap
from glitbuild.shards.reader import check_shards
from glitbuild.shards.retried import Retried, first_row, first_rows
from glitbuild.shards.sidecar import Config, Sidecar, finished_sidecars
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard

log = logging.getLogger(__name__)


def run_ingest(options: IngestOptions, plain: bool = False) -> Result:
    """Read the sources and write a dataset directory.

    A shard holds ``shard_size`` samples and the rows skipped among and right after them, so only the
    last one is smaller, and none is empty as long as there is a sample. A run that was stopped goes on
    after its finished shards: their rows are read again, without the images, and must be the same. With
    ``retry_skipped``, rows whose download failed are then tried again, and those that come are in new shards.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        ConfigError: the options are wrong; nothing has been written.
    """
    out = Store(options.out)
    refuse_overlap((*options.source, *options.exclude), options.out)
    given = SourceOptions(
        options.format,
        options.image_column,
        options.caption_column,
        options.split,
        options.captions,
        options.keep_columns,
        options.boxes_column,
        options.boxes_format,
    )
    sources = open_sources(options.source, given)
    for source in sources:
        log.info("ingest: %s", source.summary)
    excluded = open_excluded(options.exclude)
    config = _config(options, sources, excluded)
    if options.keep_columns:
        log.info("ingest: reading the columns of all rows")
        config["keep_columns"] = find_types(sources, given)
    with writing(out):
        return _run(options, sources, excluded, out, config, plain)


def _run(
    options: IngestOptions,
    sources: list[RowSource],
    excluded: list[Excluded],
    out: Store,
    config: Config,
    plain: bool,
) -> Result:
    """Go on where the directory is, and write the manifest."""
    finished = None if options.overwrite else read_manifest(out)
    if not options.overwrite:
        _check_options(out, config)
    threads = min(os.cpu_count() or 1, 32)
    limits = Limits(
        max_pixels=options.max_pixels,
        captions=options.captions,
        max_side=options.max_side,
        columns=config.get("keep_columns", {}),
    )
    with RowStream(sources, limits, threads, options.duplicates, options.near_distance, options) as stream:
        whole = finished and replay_all(stream, out, len(finished.shards))
        if finished and whole and not (options.retry_skipped and rows_to_retry(out, options)):
            return Result(finished, done_before=True)
        if not stream.position and not stream.has_more():
            raise SourceError(
                " ".join(options.source), "there are no rows", "give an input with images and captions"
            )
        _check_datasets(options.source, sources)
        for dataset in excluded:
            dataset.add_to(stream.sieve, threads)
        prepare_directory(out, options.overwrite)
        with Progress("ingest", None, plain) as progress:
            counted = partial(_counted, progress=progress)
            if finished and whole:
                count = len(finished.shards)
            else:
                count = _write_shards(stream, out, config, options.shard_size, counted)
            if options.retry_skipped and (rows := rows_to_retry(out, options)):
                count = retry_rows(stream, out, config, options.shard_size, rows, count, counted)
            rate = progress.rate
    done = finished_sidecars(out, map(shard_name, range(count)))
    manifest = write_manifest(out, done, config, versions_of("ingest"))
    if not manifest.totals["samples"]:
        log.warning("ingest: no row became a sample; see %s", out.path("skipped"))
    return Result(manifest, False, rate)


def _check_datasets(specs: Sequence[str], sources: Sequence[RowSource]) -> None:
    """See that inputs which are dataset directories are finished, and their shards those of their manifests."""
    for spec, source in zip(specs, sources, strict=True):
        if not isinstance(source, WebDatasetSource):
            continue
        if any(name.endswith(".json") and shard_of(name) for name in Store(spec).names("shards")):
            store, manifest = open_dataset(spec)
            check_shards(store, manifest.shards)


def _write_shards(stream: RowStream, out: Store, config: Config, size: int, count: Count) -> int:
    """Write the shards that are missing, and return how many there are now."""
    retried, starts = Retried(out), first_rows(out)
    if [shard for shard, _ in starts] != list(range(len(starts))):
        # What can be downloaded only now must not repeat a picture of a finished shard behind the lost one.
        stream.learn(pictures_by_row(out, stream.sieve.picture_bytes))
    shards = 0
    while stream.has_more():
        shard = shard_name(shards)
        if shard in retried.rows:
            raise input_changed(out, "it has more rows now")
        sidecar = Sidecar.read(out, shard)
        shards += 1
        if sidecar:
            sidecar.check_config(out, config)
            replay(stream, out, sidecar)
            log.info("ingest: shard %s is there already", shard)
            continue
        elsewhere = retried.behind(shard)
        following, end = next(iter(starts[bisect_left(starts, (shards, 0)) :]), (None, None))
        outcomes = stream.take_shard(size, elsewhere, end, following == shards)
        write_shard(out, shard, count(outcomes), config, partial(_describe, stream, out, shards, retried))
    _clear_behind(out, shards, stream.position, retried)
    return remake_lost(stream, out, config, retried, shards, count)


def _describe(stream: RowStream, out: Store, following: int, retried: Retried) -> dict[str, Any]:
    """Return what a sidecar says of the shard just read, unless the finished shards behind it don't go on from it.

    The sidecar isn't there yet: with the old input again, the run can still go on.
    """
    described = stream.describe_shard()
    if not stream.has_more():
        _clear_behind(out, following, stream.position, retried)
    elif sidecar := Sidecar.read(out, shard_name(following)):
        start = first_row(out, sidecar)
        if start != stream.position:
            raise input_changed(out, f"shard {sidecar.shard} begins with row {start}, not {stream.position}")
    return described


def _check_options(out: Store, config: Config) -> None:
    """Refuse other options than those of the finished shards, of which the first, or any, may be missing."""
    shards = (shard_of(name) for name in out.names("shards") if name.endswith(".json"))
    sidecars = (sidecar for shard in shards if shard and (sidecar := Sidecar.read(out, shard)))
    # One speaks for all: none is ever written beside one of other options.
    for sidecar in islice(sidecars, 1):
        sidecar.check_config(out, config)


def _clear_behind(out: Store, count: int, rows: int, retried: Retried) -> None:
    """Remove what a stopped run left of shards that this input, of so many rows, no longer reaches.

    Raises:
        OptionsChangedError: one of these is finished.
    """
    behind = files_beyond(out, {shard_name(index) for index in range(count)} | retried.rows.keys())
    if retried.total not in (None, rows) or any(name.endswith(".json") for name in behind):
        raise input_changed(out, "it has fewer rows now")
    for name in behind:
        out.remove(name)


def _counted(outcomes: Iterator[Outcome], progress: Progress) -> Iterator[Outcome]:
    for outcome in outcomes:
        if isinstance(outcome, Skip):
            log.debug("skipped %s: %s (%s)", outcome.source.id, outcome.reason, outcome.detail)
        progress.advance(1)
        yield outcome


def _config(options: IngestOptions, sources: list[RowSource], excluded: list[Excluded]) -> Config:
    more: Config = {} if options.duplicates == "keep" else {"duplicates": options.duplicates}
    if excluded:
        more["exclude"] = [dataset.identity for dataset in excluded]
    if excluded or options.duplicates == "near":
        more["near_distance"] = options.near_distance
    if options.max_side is not None:
        more["max_side"] = options.max_side
    if options.boxes_column is not None:
        more |= {"boxes_column": options.boxes_column, "boxes_format": options.boxes_format}
    return (
        more
        | {
            "stage": "ingest",
            "sources": [writable(source.summary) for source in sources],
            "shard_size": options.shard_size,
            "max_pixels": options.max_pixels,
        }
        | ({} if options.captions else {"captions": False})
    )
