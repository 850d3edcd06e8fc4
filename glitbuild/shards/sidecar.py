"""The sidecar of a shard: written last, it marks the shard as complete and records its origin and its index."""

import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import IO, Any, NamedTuple

from glitbuild.errors import DatasetError, OptionsChangedError
from glitbuild.records import SCHEMA, Sample, Source, to_json
from glitbuild.shards.layout import parse, shard_of, sidecar_path
from glitbuild.shards.store import Store, StoredFile


class Members(NamedTuple):
    """Positions of a sample's members in its tar: offset and size of the data of each, in bytes.

    The last two are 0 if there is no KEY.txt.
    """

    key: str
    jpg_offset: int
    jpg_size: int
    json_offset: int
    json_size: int
    txt_offset: int = 0
    txt_size: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """Range of bytes ``[start, end)`` of the tar that holds all members."""
        return self.jpg_offset, max(self.json_offset + self.json_size, self.txt_offset + self.txt_size)

    def to_list(self) -> list[str | int]:
        """Return the positions as a sidecar stores them: five values, or seven with a KEY.txt."""
        return list(self if self.txt_offset else self[:5])

    def unpack(self, data: bytes) -> tuple[Sample, bytes]:
        """Return the sample and its JPEG.

        Args:
            data: bytes of the tar in the range ``span``.

        Raises:
            KeyError, TypeError, ValueError: the bytes are not this sample.
        """
        if len(data) != self.span[1] - self.span[0]:
            raise ValueError(f"{self.key} is truncated")
        sample, jpeg = Sample.from_json(self._cut(data, self.json_offset, self.json_size)), data[: self.jpg_size]
        if sample.key != self.key:
            raise ValueError(f"the record of {sample.key} is where that of {self.key} should be")
        if hashlib.sha256(jpeg).hexdigest() != sample.image.sha256:
            raise ValueError(f"the SHA-256 of the image of {self.key} doesn't match its record")
        if self.txt_offset and self._cut(data, self.txt_offset, self.txt_size) != sample.caption.encode():
            raise ValueError(f"{self.key}.txt differs from the caption in its record")
        return sample, jpeg

    def _cut(self, data: bytes, offset: int, size: int) -> bytes:
        return data[offset - self.jpg_offset :][:size]


@dataclass(frozen=True, slots=True)
class RawSample:
    """Raw contents of a sample's members; ``text`` is None if there is no KEY.txt."""

    members: Members
    jpeg: bytes
    record: bytes
    text: bytes | None


def group(contents: Iterable[tuple[tarfile.TarInfo, bytes]]) -> Iterator[RawSample]:
    """Group the members of a tar into samples: KEY.jpg, KEY.json and, in most datasets, KEY.txt.

    Raises:
        tarfile.ReadError: the members are in a different order.
    """
    rest = iter(contents)
    image = next(rest, None)
    while image:
        (info, jpeg), record = image, next(rest, None)
        key = info.name.removesuffix(".jpg")
        if info.name == key or record is None or record[0].name != f"{key}.json":
            raise tarfile.ReadError(f"{info.name} is not a KEY.jpg followed by its KEY.json")
        places = [info.offset_data, info.size, record[0].offset_data, record[0].size]
        following, text = next(rest, None), None
        if following and following[0].name == f"{key}.txt":
            places += [following[0].offset_data, following[0].size]
            text, following = following[1], next(rest, None)
        yield RawSample(Members(key, *places), jpeg, record[1], text)
        image = following


def scan(file: IO[bytes]) -> list[Members]:
    """Return the positions of the samples in a tar; only its headers are read.

    Raises:
        tarfile.TarError: the file is not a tar of samples.
    """
    with tarfile.open(fileobj=file, mode="r:") as tar:
        return [raw.members for raw in group((info, b"") for info in tar)]


FIELDS = ("dataset", "license", "split", "origin")

MOST = 100
"""Most values of a field that the manifest lists; origins may differ for every sample."""

OTHERS = "(others)"

SourceCounts = dict[str, dict[str, int]]
"""Number of samples per value of each field; the empty value counts samples whose input has none."""


def count_sources(sources: Iterable[Source]) -> SourceCounts:
    """Count samples by the values of each field, sorted by value."""
    counters = {name: Counter[str]() for name in FIELDS}
    for source in sources:
        for name, counter in counters.items():
            counter[getattr(source, name)] += 1
    return {name: dict(sorted(counter.items())) for name, counter in counters.items()}


def add_sources(into: SourceCounts, more: Mapping[str, Mapping[str, int]]) -> SourceCounts:
    """Return the sum of two counts."""
    added: SourceCounts = {}
    for name in (*into, *(name for name in more if name not in into)):
        total = Counter(into.get(name, {}))
        total.update(more.get(name, {}))
        added[name] = dict(total)
    return added


def most_frequent(counts: SourceCounts) -> SourceCounts:
    """Return the counts with the most frequent values first; values beyond ``MOST`` are combined as ``OTHERS``."""
    kept: SourceCounts = {}
    for name, of in counts.items():
        ordered = sorted(of.items(), key=lambda item: (-item[1], item[0]))
        kept[name] = dict(ordered[:MOST])
        if len(ordered) > MOST:
            kept[name][OTHERS] = sum(number for _, number in ordered[MOST:])
    return kept


Config = dict[str, Any]
"""Options that determine a dataset's content, by name; equal options are equal JSON."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Description of a finished shard.

    Attributes:
        shard: name of the shard, such as ``00042``.
        samples: number of samples.
        skipped: number of skipped rows by reason.
        totals: counts that ``match`` adds (sentences, regions, ...).
        files: the shard's other files, by path in the dataset directory.
        config: options that the shard was made with.
        input: what the shard was made from: the rows of the sources, or the input's shard and its SHA-256.
        sources: number of samples by dataset, license, split and origin; None if an older version wrote it.
        members: position of each sample in the tar, in the order of the tar; None in ``glit/1``.
        schema: version of the format, for shard and sidecar alike.
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
        """Write the sidecar, which marks the shard as finished."""
        store.write(sidecar_path(self.shard), self.to_json())

    def to_json(self) -> bytes:
        """Return the content of the sidecar's file; equal sidecars are equal bytes."""
        content = asdict(replace(self, members=None))
        if self.sources is None:
            del content["sources"]
        del content["members"]
        if self.members is not None:
            content["members"] = [members.to_list() for members in self.members]
        return to_json({"schema": content.pop("schema")} | content)

    @classmethod
    def read(cls, store: Store, shard: str) -> "Sidecar | None":
        """Return a shard's sidecar, or None if the shard isn't finished.

        Raises:
            DatasetError: the file exists but is not a valid sidecar.
        """
        path = sidecar_path(shard)
        if not store.exists(path):
            return None
        try:
            content = parse("sidecar", store.read(path))
        except ValueError as error:
            raise DatasetError(store.path(path), str(error), "remove it and rerun the command") from error
        if "members" in content:
            content["members"] = tuple(Members(*members) for members in content["members"])
        content["files"] = {name: StoredFile(**file) for name, file in content["files"].items()}
        return cls(**content)

    def check_config(self, store: Store, config: Config) -> None:
        """Refuse to resume a directory that was started with other options.

        Raises:
            OptionsChangedError: options differ; the message names each of them.
        """
        refuse_changes(store.url, self.config, config)


def refuse_changes(where: str, old: Config, new: Config) -> None:
    """Refuse to resume what was started with other options.

    Raises:
        OptionsChangedError: options differ; the message names each of them.
    """
    changed = [
        f"{name} was {old.get(name)!r} and is now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if changed:
        fix = "give the same options, another --out, or --overwrite"
        raise OptionsChangedError(where, "started with other options: " + ", ".join(changed), fix)


def has_captions(config: Config) -> bool:
    """Return whether the samples of a dataset have captions; either all of them do, or none does."""
    return config.get("captions") is not False


def written_sidecars(store: Store) -> Iterator[Sidecar]:
    """Yield the sidecars of the shards that are done so far, in order."""
    names = (shard_of(name) for name in store.names("shards") if name.endswith(".json"))
    for shard in sorted(filter(None, names), key=int):
        if sidecar := Sidecar.read(store, shard):
            yield sidecar


def finished_sidecars(store: Store, shards: Iterable[str]) -> Iterator[Sidecar]:
    """Yield the sidecars of shards that have all been finished, in this order.

    Raises:
        DatasetError: a sidecar has disappeared, so the dataset is not complete.
    """
    for shard in shards:
        sidecar = Sidecar.read(store, shard)
        if sidecar is None:
            raise DatasetError(store.path(sidecar_path(shard)), "it has disappeared", "run the same command again")
        yield sidecar


def add_counts(into: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    """Return the sum of two counts by name, sorted by name."""
    total = Counter(into)
    total.update(more)
    return dict(sorted(total.items()))
