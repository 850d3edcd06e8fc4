"""The sidecar of a shard, written last: it says that the shard is whole, and where its samples are from."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from glitbuild.errors import DatasetError, OptionsChangedError
from glitbuild.records import SCHEMA, Source, to_json
from glitbuild.shards.layout import sidecar_path
from glitbuild.shards.members import Members
from glitbuild.shards.schemas import parse
from glitbuild.shards.store import Store, StoredFile

FIELDS = ("dataset", "license", "split", "origin")

MOST = 100
"""Values of a field that the manifest names; an origin may be another one for every sample."""

OTHERS = "(others)"

SourceCounts = dict[str, dict[str, int]]
"""Samples by the values of each field; the empty value counts those whose input did not say."""


def count_sources(sources: Iterable[Source]) -> SourceCounts:
    """Return the counts over samples, by value in the order of the values."""
    counters = {name: Counter[str]() for name in FIELDS}
    for source in sources:
        for name, counter in counters.items():
            counter[getattr(source, name)] += 1
    return {name: dict(sorted(counter.items())) for name, counter in counters.items()}


def add_sources(into: SourceCounts, more: Mapping[str, Mapping[str, int]]) -> SourceCounts:
    """Return two counts added."""
    added: SourceCounts = {}
    for name in (*into, *(name for name in more if name not in into)):
        total = Counter(into.get(name, {}))
        total.update(more.get(name, {}))
        added[name] = dict(total)
    return added


def most_frequent(counts: SourceCounts) -> SourceCounts:
    """Return the counts with the most frequent values first; those beyond ``MOST`` are ``OTHERS`` together."""
    kept: SourceCounts = {}
    for name, of in counts.items():
        ordered = sorted(of.items(), key=lambda item: (-item[1], item[0]))
        kept[name] = dict(ordered[:MOST])
        if len(ordered) > MOST:
            kept[name][OTHERS] = sum(number for _, number in ordered[MOST:])
    return kept


Config = dict[str, Any]
"""The options that decide a dataset's content, by name; equal options are equal JSON."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is known of a finished shard.

    Attributes:
        shard: its name, such as ``00042``.
        samples: how many it holds.
        skipped: how many inputs were left out, by reason.
        totals: counts that ``match`` adds (sentences, regions, ...).
        files: the shard's other files, by their path in the dataset directory.
        config: the options it was made with.
        input: what it was made from: the rows of the sources, or the input's shard and its SHA-256.
        sources: its samples by dataset, licence, split and origin; None where an older version wrote it.
        members: where each sample lies in the tar, in the tar's order; None in ``glit/1``.
        schema: version of the format, of the shard as of the sidecar.
    """

    shard: str
    samples: int
    skipped: dict[str, int]
    files: dict[str, StoredFile]
    config: Config
    input: dict[str, Any]
    totals: dict[str, int] = field(default_factory=dict)
    sources: SourceCounts | None = None
    members: tuple[Members, ...] | None = None
    schema: str = SCHEMA

    def write(self, store: Store) -> None:
        """Write it to its place: from now on the shard is done."""
        store.write(sidecar_path(self.shard), self.to_json())

    def to_json(self) -> bytes:
        """Return the content of its file; equal sidecars are equal bytes."""
        content = asdict(replace(self, members=None))
        if self.sources is None:
            del content["sources"]
        del content["members"]
        if self.members is not None:
            content["members"] = [members.to_list() for members in self.members]
        return to_json({"schema": content.pop("schema")} | content)

    @classmethod
    def read(cls, store: Store, shard: str) -> "Sidecar | None":
        """Return a shard's sidecar, or None where the shard isn't done.

        Raises:
            DatasetError: the file is there but is no sidecar.
        """
        path = sidecar_path(shard)
        if not store.exists(path):
            return None
        try:
            content = parse("sidecar", store.read(path))
        except ValueError as error:
            raise DatasetError(store.path(path), str(error), "remove it and run the command again") from error
        if "members" in content:
            content["members"] = tuple(Members(*members) for members in content["members"])
        content["files"] = {name: StoredFile(**file) for name, file in content["files"].items()}
        return cls(**content)

    def check_config(self, store: Store, config: Config) -> None:
        """Refuse to go on with a directory that was begun with other options.

        Raises:
            OptionsChangedError: names each option that differs.
        """
        refuse_changes(store.url, self.config, config)


def refuse_changes(where: str, old: Config, new: Config) -> None:
    """Refuse to go on with what was begun with other options.

    Raises:
        OptionsChangedError: names each option that differs.
    """
    changed = [
        f"{name} was {old.get(name)!r} and is now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if changed:
        fix = "give the same ones, another --out, or --overwrite"
        raise OptionsChangedError(where, "begun with other options: " + ", ".join(changed), fix)


def has_captions(config: Config) -> bool:
    """Return whether the samples of a dataset have captions: all have one, or none has."""
    return config.get("captions") is not False


def finished_sidecars(store: Store, shards: Iterable[str]) -> Iterator[Sidecar]:
    """Yield the sidecars of shards that have all been made, in this order.

    Raises:
        DatasetError: one has disappeared; a dataset without it must not be called whole.
    """
    for shard in shards:
        sidecar = Sidecar.read(store, shard)
        if sidecar is None:
            raise DatasetError(store.path(sidecar_path(shard)), "it disappeared", "run the same command again")
        yield sidecar


def add_counts(into: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    """Return the two counts added, by name, in the order of the names."""
    total = Counter(into)
    total.update(more)
    return dict(sorted(total.items()))
