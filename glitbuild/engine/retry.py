"""``ingest --retry-skipped``: the rows that could not be downloaded, once more, into shards of their own."""

import logging
from collections.abc import Callable, Iterator

from glitbuild.engine.row_stream import RowStream
from glitbuild.engine.shard_pictures import pictures_by_row
from glitbuild.ingest.download.fetch import too_large
from glitbuild.ingest.download.options import DownloadOptions
from glitbuild.records import Skip, SkipReason
from glitbuild.shards.layout import shard_name
from glitbuild.shards.reader import read_skipped
from glitbuild.shards.retried import Retried, settle, sidecars
from glitbuild.shards.row_set import RowSet
from glitbuild.shards.sidecar import Config, Sidecar
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard

Count = Callable[[Iterator[Outcome]], Iterator[Outcome]]
"""Passes outcomes on and counts them."""

log = logging.getLogger(__name__)


def rows_to_retry(out: Store, options: DownloadOptions) -> RowSet:
    """Return the rows whose download failed, or was not allowed and is now."""
    rows = RowSet()
    for sidecar in sidecars(out):
        if any(reason.startswith("download_") for reason in sidecar.skipped):
            for skip in read_skipped(out, sidecar.shard):
                if may_succeed(skip, options):
                    rows.add(int(skip.key))
    return rows


def may_succeed(skip: Skip, options: DownloadOptions) -> bool:
    """Return whether it makes sense to try a skipped row again."""
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


def retry_rows(
    stream: RowStream, out: Store, config: Config, size: int, rows: RowSet, shards: int, count: Count
) -> int:
    """Write shards of the rows that are tried again, as long as that brings samples.

    Args:
        stream: at its end, so that it knows how many rows there are.
        out: the dataset directory, without a manifest.
        config: of the command.
        size: samples a shard.
        rows: those to try.
        shards: how many there are.
        count: counts the outcomes.

    Returns:
        How many shards there are now.
    """
    total = stream.position
    stream.learn(pictures_by_row(out, stream.sieve.picture_bytes))
    while stream.has_more():
        outcomes = _with_a_sample(count(stream.take_rows(size, rows)))
        shard = shard_name(shards)
        try:
            write_shard(out, shard, outcomes, config, lambda: {"of": total} | stream.describe_taken())
        except _NoSampleError:
            break  # the rows stay where they are
        log.info("ingest: shard %s holds rows that were skipped before", shard)
        shards += 1
    settle(out)
    return shards


def remake_lost(stream: RowStream, out: Store, config: Config, retried: Retried, shards: int, count: Count) -> int:
    """Make those shards of retried rows again that were lost, each of the same rows.

    One whose rows no other shard remembers was lost with those they came from, which have them again: it is made
    empty, as there are no gaps between shards.

    Args:
        stream: at its end, so that it knows how many rows there are.
        out: the dataset directory, without a manifest.
        config: of the command.
        retried: the shards of retried rows.
        shards: how many there are in front of these.
        count: counts the outcomes.

    Returns:
        How many shards there are now.
    """
    if not retried.rows:
        return shards
    total = stream.position
    last = max(map(int, retried.rows))
    lost = [shard for shard in map(shard_name, range(shards, last + 1)) if not Sidecar.read(out, shard)]
    if lost:
        stream.learn(pictures_by_row(out, stream.sieve.picture_bytes))
    for shard in lost:
        rows = retried.rows.get(shard, [])
        behind = retried.behind(shard)
        stream.restart()
        outcomes = stream.take_rows(len(rows), {row for row in rows if row not in behind})
        write_shard(out, shard, count(outcomes), config, lambda: {"of": total} | stream.describe_taken())
    settle(out)
    return last + 1


class _NoSampleError(Exception):
    """No row that was tried again became a sample."""


def _with_a_sample(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Pass outcomes on; what is written of them is given up where none is a sample.

    Raises:
        _NoSampleError: at the end.
    """
    found = False
    for outcome in outcomes:
        found = found or not isinstance(outcome, Skip)
        yield outcome
    if not found:
        raise _NoSampleError
