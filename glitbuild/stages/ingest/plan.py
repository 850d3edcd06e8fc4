"""The plan of an ingest: its inputs cut into ranges of rows, a shard each, and which of them are to be made."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glitbuild.errors import ConfigError, DatasetError, OptionsChangedError
from glitbuild.records import Rejected, writable
from glitbuild.shards.layout import FOLDERS, shard_name, sidecar_path
from glitbuild.shards.manifest import refuse_earlier_schema
from glitbuild.shards.sidecar import Config, Sidecar, written_sidecars
from glitbuild.shards.store import Store
from glitbuild.stages.ingest.source import DIGEST, Cut, RowSource

SAME = "give the same input, another --out, or --overwrite"
EXTEND = "add --extend to take them in, or give the same input, another --out, or --overwrite"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Range:
    """Rows of one input that become a shard.

    Attributes:
        shard: its name.
        source: number of the input.
        name: what the input says of itself.
        offset: number of the first row in its input.
        first: number of the first row over all inputs, which is its key.
        cut: the rows.
    """

    shard: str
    source: int
    name: str
    offset: int
    first: int
    cut: Cut

    @property
    def rows(self) -> range:
        """The numbers of the rows over all inputs."""
        return range(self.first, self.first + len(self.cut))

    def hash(self, rows: int | None = None) -> str:
        """Return the SHA-256 of what the input says of the rows, or of the first so many of them."""
        return hashlib.sha256(self.cut.digests[: None if rows is None else rows * DIGEST]).hexdigest()

    @property
    def described(self) -> dict[str, Any]:
        """What the shard's sidecar says of its input."""
        numbers = {"source": self.source, "offset": self.offset, "rows": [self.rows.start, self.rows.stop]}
        return {"name": self.name} | numbers | {"sha256": self.hash()}


@dataclass(frozen=True, slots=True)
class IngestTask:
    """A shard to make, or to write again with other outcomes for some of its rows.

    Attributes:
        shard: its name.
        described: what its sidecar is to say of the input.
        offset: number of the first row in its input.
        cut: the rows; None where none is read.
        again: rows to read, by their numbers over all inputs; the outcomes of others are copied from the shard that
            is there. None reads all.
        repeats: rows that repeat another one, and are therefore skipped.
    """

    shard: str
    described: dict[str, Any]
    cut: Cut | None = None
    again: frozenset[int] | None = None
    repeats: Mapping[int, Rejected] = field(default_factory=dict)

    @property
    def rows(self) -> range:
        """The numbers of its rows over all inputs."""
        return range(*self.described["rows"])


@dataclass(frozen=True, slots=True)
class Start:
    """Where the inputs that are given stand among all of a dataset."""

    source: int = 0
    shard: int = 0
    row: int = 0


def cut_sources(sources: Sequence[RowSource], size: int, start: Start) -> Iterator[Range]:
    """Yield the ranges of all inputs, in order; each input begins a new one."""
    shard, first = start.shard, start.row
    for number, source in enumerate(sources, start.source):
        offset, name = 0, writable(source.summary)
        for cut in source.cut(size):
            yield Range(shard_name(shard), number, name, offset, first, cut)
            shard, first, offset = shard + 1, first + len(cut), offset + len(cut)


class Finished:
    """The shards of a dataset directory that are done.

    Args:
        store: the directory.
        config: the options that all of them must have been made with.

    Raises:
        OptionsChangedError: they were not.
        DatasetError: a sidecar is damaged.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._known: dict[tuple[int, int], tuple[int, str]] = {}
        self.sources: dict[int, tuple[str, Start]] = {}
        self.end = Start()
        self.shards = set[str]()
        refuse_earlier_schema(store)
        for sidecar in written_sidecars(store):
            sidecar.check_config(store, config)
            described = sidecar.input
            try:
                source, offset, (first, end) = described["source"], described["offset"], map(int, described["rows"])
                self._known[source, offset] = end - first, described["sha256"]
                if offset == 0:
                    self.sources[source] = described["name"], Start(source, int(sidecar.shard), first)
            except (KeyError, TypeError, ValueError) as error:
                path, fix = store.path(sidecar_path(sidecar.shard)), "remove it and run the command again"
                raise DatasetError(path, "it doesn't say which rows the shard is made from", fix) from error
            self.shards.add(sidecar.shard)
            self.end = max(self.end, Start(source + 1, int(sidecar.shard) + 1, end), key=lambda at: at.shard)
        self._sizes = {name: size for folder in FOLDERS for name, size in store.sizes(folder).items()}

    def start_of(self, given: Sequence[str]) -> Start:
        """Return where inputs that extend a dataset stand among its own.

        Either all are given again, in order, with new ones behind; or only the last of them and new ones; or new
        ones alone.

        Args:
            given: what the inputs say of themselves.

        Raises:
            ConfigError: it can't be told.
        """
        own = [self.sources[number][0] for number in sorted(self.sources)]
        for first in range(len(own)):
            same = len(own) - first
            # Where not all are given, none of the new ones may be one of those that are not.
            if own[first:] == list(given[:same]) and not (first and set(given[same:]) & set(own)):
                return self.sources[sorted(self.sources)[first]][1]
        fix = "give all inputs of the dataset in their order and the new ones behind, or the new ones alone"
        if repeated := next((name for name in given if name in own), None):
            raise ConfigError(self._store.url, f"it has this input among others: {repeated}", fix)
        if len(self.shards) != self.end.shard or sorted(self.sources) != list(range(self.end.source)):
            raise ConfigError(self._store.url, "shards of its other inputs are missing", fix)
        return self.end

    def todo(
        self, plan: Iterable[Range], extend: bool, whole: Mapping[str, int] | None = None
    ) -> Iterator[IngestTask]:
        """Yield the ranges that have no shard yet, or that have more rows than theirs.

        Args:
            plan: all ranges from the beginning, or from that of the last inputs.
            extend: whether there may be more rows than there were.
            whole: of a finished dataset, the rows of each shard, also of those that were lost.

        Raises:
            OptionsChangedError: a shard that is done was made from other rows, or the input has more or fewer.
        """
        behind = 0
        for found in plan:
            behind = int(found.shard) + 1
            if whole is not None and not extend and whole.get(found.shard, -1) < len(found.cut):
                raise self._changed("it has more rows now", EXTEND)
            count, sha256 = self._known.get((found.source, found.offset), (0, ""))
            if count and (count > len(found.cut) or sha256 != found.hash(count)):
                rows = f"rows {found.offset} to {found.offset + count - 1} of {found.name}"
                raise self._changed(f"{rows} are not what they were, or there are fewer")
            sidecar = Sidecar.read(self._store, found.shard) if found.shard in self.shards else None
            task = IngestTask(found.shard, found.described, found.cut)
            if sidecar is None:
                yield task
                continue
            if sidecar.input.items() >= found.described.items():
                if not self._has_all_files(sidecar):
                    log.warning(
                        "ingest: files of shard %s are missing or have another size: it is made again", found.shard
                    )
                    yield task
                continue
            if not extend:
                raise self._changed("it has more rows now", EXTEND)
            start, end = sidecar.input["rows"]
            begins = sidecar.input["source"], sidecar.input["offset"], start
            if begins == (found.source, found.offset, found.first) and self._has_all_files(sidecar):
                yield IngestTask(found.shard, found.described, found.cut, frozenset(range(end, found.rows.stop)))
            else:
                yield task
        if any(int(shard) >= behind for shard in self.shards | (whole or {}).keys()):
            raise self._changed("it has fewer rows now")

    def _has_all_files(self, sidecar: Sidecar) -> bool:
        return all(self._sizes.get(name) == file.bytes for name, file in sidecar.files.items())

    def _changed(self, why: str, fix: str = SAME) -> OptionsChangedError:
        return OptionsChangedError(self._store.url, f"begun with another input: {why}", fix)
