"""Duplicates, and samples of other datasets, are found after the fact: the lowest row wins."""

import hashlib
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self

from glitbuild.engine.task import ShardTask
from glitbuild.errors import DatasetError
from glitbuild.images.stored import open_rgb
from glitbuild.records import Rejected, Sample, SkipReason
from glitbuild.shards.layout import sidecar_path
from glitbuild.shards.manifest import Manifest, manifest_sha256, open_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store
from glitbuild.stages.ingest.near import NearHashes, perceptual_hash, temporary_database
from glitbuild.stages.ingest.source import Row
from glitbuild.stages.ingest.values import same_file

Mode = Literal["keep", "exact", "near"]
MODES: tuple[Mode, ...] = ("keep", "exact", "near")

REPEATS = (SkipReason.DUPLICATE_KEY, SkipReason.DUPLICATE_IMAGE, SkipReason.EXCLUDED_IMAGE)
"""Reasons that are told from other rows."""

_FACTS = struct.Struct(">16s16s8s8sQ")
_NONE = bytes(16)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sidecar keeps of a row, so that it can be told whether the row repeats another.

    Attributes:
        name: hash of the name that the input gives it, which must not come twice; zeros where it gives none.
        digest: the first 16 bytes of the stored JPEG's SHA-256; zeros where there is no picture to store.
        place: hash of the input and of how it names the picture's file. Rows of one input that name the same
            file, or that give the same bytes without a name, are captions of one picture: none repeats another.
        caption: hash of the caption.
        hash: the picture's perceptual hash; 0 where none is needed.
    """

    name: bytes = _NONE
    digest: bytes = _NONE
    place: bytes = bytes(8)
    caption: bytes = bytes(8)
    hash: int = 0

    @classmethod
    def of(cls, row: Row, source: int, sample: Sample | None = None, hash: int = 0) -> "Facts":
        """Return those of a row.

        Args:
            row: of the input.
            source: number of its input.
            sample: what became of it; None where it was skipped.
            hash: of its picture.
        """
        name = name_hash(row, source)
        if sample is None:
            return cls(name)
        place = _hash(8, str(source), same_file(row.picture))
        return cls(name, bytes.fromhex(sample.image.sha256)[:16], place, _hash(8, sample.caption), hash)

    @property
    def has_picture(self) -> bool:
        """Whether the row is a sample, unless it repeats another."""
        return self.digest != _NONE

    def to_bytes(self) -> bytes:
        """Return them for a sidecar."""
        return _FACTS.pack(self.name, self.digest, self.place, self.caption, self.hash)


def name_hash(row: Row, source: int) -> bytes:
    """Return the hash of a row's name; zeros where its input doesn't name its rows, or it can't be read."""
    return _hash(16, str(source), row.source.id) if row.named else _NONE


def describe_facts(facts: Iterable[Facts]) -> dict[str, str]:
    """Return what a sidecar's ``input`` keeps of its rows; nothing where there is nothing to keep."""
    packed = b"".join(map(Facts.to_bytes, facts))
    return {"facts": b64encode(packed).decode()} if any(packed) else {}


def read_facts(store: Store, sidecar: Sidecar) -> list[Facts]:
    """Return the facts of a shard's rows, in order.

    Raises:
        DatasetError: the sidecar has not as many as there are rows.
    """
    start, end = sidecar.input["rows"]
    if "facts" not in sidecar.input:
        return [Facts()] * (end - start)
    try:
        packed = b64decode(sidecar.input["facts"], validate=True)
        if len(packed) != (end - start) * _FACTS.size:
            raise ValueError(f"{len(packed)} bytes for {end - start} rows")
    except (TypeError, ValueError) as error:
        path, fix = store.path(sidecar_path(sidecar.shard)), "remove it and run the command again"
        raise DatasetError(path, f"its facts are not those of its rows: {error}", fix) from error
    return [Facts(*values) for values in _FACTS.iter_unpack(packed)]


class Sieve:
    """Finds the rows that repeat an earlier one, or a picture of a finished dataset. On disk; for one thread.

    Args:
        mode: ``keep`` finds no pictures in the dataset itself, ``exact`` those of the same bytes, ``near`` also
            those that look alike.
        distance: bits of the perceptual hash in which pictures that look alike may differ.
        excluded: names of finished datasets, and the hashes of their pictures under their keys.
    """

    def __init__(
        self, mode: Mode = "keep", distance: int = 0, excluded: Sequence[tuple[str, NearHashes]] = ()
    ) -> None:
        self.mode, self.distance, self._excluded = mode, distance, excluded

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._near = self._stack.enter_context(NearHashes(self.distance))
        self._connection = temporary_database(
            "CREATE TABLE names (name BLOB PRIMARY KEY, key INTEGER) WITHOUT ROWID",
            "CREATE TABLE pictures (digest BLOB PRIMARY KEY, place BLOB, key INTEGER) WITHOUT ROWID",
            "CREATE TABLE captions (caption BLOB PRIMARY KEY, key INTEGER) WITHOUT ROWID",
        )
        self._stack.callback(self._connection.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def pass_on(self, key: int, facts: Facts) -> None:
        """Pass the next row, and remember it; rows come in order.

        Args:
            key: the row's number.
            facts: of the row.

        Raises:
            Rejected: it repeats one that was passed.
        """
        if facts.name != _NONE:
            known = self._connection.execute("SELECT key FROM names WHERE name = ?", (facts.name,)).fetchone()
            if known is None:
                self._connection.execute("INSERT INTO names VALUES (?, ?)", (facts.name, key))
            elif facts.has_picture:
                raise Rejected(SkipReason.DUPLICATE_KEY, same_name(known[0]))
        if not facts.has_picture:
            return
        for name, hashes in self._excluded:
            if found := hashes.find(facts.hash):
                detail = f"repeats {found[0]:09d} of {name}: {_differ(found[1])}"
                raise Rejected(SkipReason.EXCLUDED_IMAGE, detail)
        if self.mode != "keep":
            self._pass_picture(key, facts)

    def _pass_picture(self, key: int, facts: Facts) -> None:
        run = self._connection.execute
        caption = facts.digest + facts.caption
        if same := run("SELECT place, key FROM pictures WHERE digest = ?", (facts.digest,)).fetchone():
            place, repeated = same
            if place == facts.place:
                repeated = (run("SELECT key FROM captions WHERE caption = ?", (caption,)).fetchone() or (None,))[0]
            if repeated is not None:
                raise Rejected(SkipReason.DUPLICATE_IMAGE, f"repeats {repeated:09d}: the same bytes")
        elif self.mode == "near" and (found := self._near.find(facts.hash)):
            raise Rejected(SkipReason.DUPLICATE_IMAGE, f"repeats {found[0]:09d}: {_differ(found[1])}")
        else:
            run("INSERT INTO pictures VALUES (?, ?, ?)", (facts.digest, facts.place, key))
            if self.mode == "near":
                self._near.add(facts.hash, key)
        run("INSERT INTO captions VALUES (?, ?)", (caption, key))


@dataclass(frozen=True, slots=True)
class Changes:
    """What repeats, or repeats no more, in a shard.

    Attributes:
        repeats: of each row that repeats another, why it is to be skipped.
        again: rows that were skipped so and must not be, now that the one they repeated is gone.
    """

    repeats: Mapping[int, Rejected]
    again: frozenset[int]


def find_changes(
    store: Store, sidecars: Iterable[Sidecar], sieve: Sieve, passed: Callable[[int], None] = lambda rows: None
) -> Iterator[tuple[Sidecar, Changes]]:
    """Yield the shards that must be written again, so that no row repeats one before it.

    Args:
        store: the dataset directory.
        sidecars: of all its shards, in order; one is in memory at a time.
        sieve: fresh.
        passed: called with the number of rows of each shard.

    Raises:
        DatasetError: a sidecar's facts are damaged, or the list of a shard's skipped rows is.
    """
    for sidecar in sidecars:
        start, end = sidecar.input["rows"]
        repeats: dict[int, Rejected] = {}
        pictures = set[int]()
        for row, facts in enumerate(read_facts(store, sidecar), start):
            if facts.has_picture:
                pictures.add(row)
            try:
                sieve.pass_on(row, facts)
            except Rejected as repeated:
                repeats[row] = repeated
        was: dict[int, tuple[str, str]] = {}
        if any(str(reason) in sidecar.skipped for reason in REPEATS):
            skipped = ((int(skip.key), skip) for skip in read_skipped(store, sidecar.shard))
            was = {row: (s.reason, s.detail) for row, s in skipped if row in pictures and s.reason in REPEATS}
        if was != {row: (repeated.reason, repeated.detail) for row, repeated in repeats.items()}:
            yield sidecar, Changes(repeats, frozenset(was.keys() - repeats.keys()))
        passed(end - start)


def same_name(row: int) -> str:
    """Return why a row is skipped whose name another one has."""
    return f"repeats {row:09d}: the same id in this input"


def _differ(bits: int) -> str:
    return f"{bits} of 64 bits of their perceptual hashes differ"


def _hash(size: int, *texts: Any) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=size).digest()


WINDOW = 32
"""Pictures in memory at a time."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A finished dataset to be kept apart."""

    store: Store
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.store.name

    @property
    def identity(self) -> dict[str, str]:
        """What the configuration says of it: its name, and its manifest's SHA-256, which stands for its shards'."""
        return {"dataset": self.name, "sha256": manifest_sha256(self.store)}

    def tasks(self) -> Iterator[ShardTask]:
        """Yield its shards, for ``HashWorker``."""
        return (ShardTask(entry.name, entry.sha256) for entry in self.manifest.shards)


def open_excluded(urls: Sequence[str]) -> list[Excluded]:
    """Open datasets to be kept apart.

    Raises:
        ConfigError: there is no finished dataset.
    """
    return [Excluded(*open_dataset(url)) for url in urls]


@dataclass(frozen=True, slots=True)
class ShardHashes:
    """The perceptual hashes of a shard's pictures, by the numbers of their keys."""

    shard: str
    hashes: dict[int, int]


class HashWorker:
    """Hashes the pictures of a shard.

    Args:
        url: of the dataset.
        threads: that decode.
    """

    def __init__(self, url: str, threads: int) -> None:
        self._store, self._pool = Store(url), ThreadPoolExecutor(threads)

    def run(self, task: ShardTask) -> ShardHashes:
        """Return the hashes of a shard.

        Raises:
            DatasetError: the shard is damaged, or a picture in it.
        """
        hashes: dict[int, int] = {}
        samples = ((sample.key, jpeg) for sample, jpeg in read_shard(self._store, task.shard, task.sha256))
        while window := list(islice(samples, WINDOW)):
            hashes.update(self._pool.map(self._hash, window))
        return ShardHashes(task.shard, hashes)

    def _hash(self, picture: tuple[str, bytes]) -> tuple[int, int]:
        key, jpeg = picture
        try:
            return int(key), perceptual_hash(open_rgb(jpeg))
        except OSError as error:
            why, fix = f"the image of {key} can't be decoded ({error})", "see what glitbuild validate says of it"
            raise DatasetError(self._store.url, why, fix) from error
