"""Is a dataset directory what its manifest says: every file, hash, record, span and box."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from glitbuild.errors import DatasetError
from glitbuild.records import Sample, Skip
from glitbuild.shards.consistency import inconsistencies
from glitbuild.shards.layout import FOLDERS, SIZES, sidecar_path, tar_path
from glitbuild.shards.manifest import Manifest, ShardEntry
from glitbuild.shards.pairs import pair_rows, read_pairs
from glitbuild.shards.reader import read_members
from glitbuild.shards.schemas import misfit
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store, StoredFile


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be: in which file, at which sample, and what."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def validate(
    store: Store, manifest: Manifest, progress: Callable[[int], None] = lambda samples: None
) -> Iterator[Problem]:
    """Yield every problem of a dataset, reading each file once; one shard is in memory at a time.

    Args:
        store: the dataset directory.
        manifest: as ``open_dataset`` returned it.
        progress: called with the number of samples checked, a shard at a time.
    """
    expected = {f"{entry.name}.tar": entry.samples for entry in manifest.shards}
    try:
        sizes = json.loads(store.read(SIZES))
    except (FileNotFoundError, ValueError):
        sizes = None
    if sizes != expected:
        yield Problem(SIZES, "missing, or not the numbers of samples in the manifest")
    listed: set[str] = set()
    keys = _Keys()
    for entry in manifest.shards:
        listed |= {tar_path(entry.name), sidecar_path(entry.name)}
        try:
            sidecar = Sidecar.read(store, entry.name)
        except DatasetError as error:
            yield Problem(sidecar_path(entry.name), error.why)
            continue
        if sidecar is None:
            yield Problem(sidecar_path(entry.name), "missing")
            continue
        listed |= sidecar.files.keys()
        yield from _shard_problems(store, manifest, entry, sidecar, keys)
        progress(entry.samples)
    for name in (name for folder in FOLDERS for name in store.names(folder)):
        if name not in listed:
            yield Problem(name, "not in the manifest")


@dataclass(slots=True)
class _Keys:
    """Keys rise from sample to sample and shard to shard; so none can come twice."""

    last: str = ""

    def problem(self, key: str) -> str:
        last, self.last = self.last, key
        rising = (len(last), last) < (len(key), key)
        return "" if rising else f"key {key} after {last}: keys must rise"


def _shard_problems(
    store: Store, manifest: Manifest, entry: ShardEntry, sidecar: Sidecar, keys: _Keys
) -> Iterator[Problem]:
    tar = sidecar.files.get(tar_path(entry.name))
    listed = (entry.samples, entry.skipped, StoredFile(entry.bytes, entry.sha256))
    if (sidecar.samples, sum(sidecar.skipped.values()), tar) != listed:
        yield Problem(sidecar_path(entry.name), "does not say what the manifest says")
    if sidecar.config != manifest.config:
        yield Problem(sidecar_path(entry.name), "was made with other options than the manifest says")
    rows = sidecar.input.get("rows")
    if rows and rows[1] - rows[0] != entry.samples + entry.skipped:
        yield Problem(
            sidecar_path(entry.name),
            f"{rows[1] - rows[0]} rows read, but {entry.samples} + {entry.skipped} kept",
        )
    contents: dict[str, bytes] = {}
    for name, file in sidecar.files.items():
        if name == tar_path(entry.name):
            continue
        try:
            contents[name] = store.read(name)
        except FileNotFoundError:
            yield Problem(name, "missing")
            continue
        if hashlib.sha256(contents[name]).hexdigest() != file.sha256:
            yield Problem(name, "its SHA-256 is not the one in the sidecar")
    pairs: list[dict[str, object]] = []
    yield from _tar_problems(store, entry, keys, pairs, manifest.config["stage"] == "match")
    yield from _table_problems(sidecar, contents, pairs)


def _tar_problems(
    store: Store, entry: ShardEntry, keys: _Keys, pairs: list[dict[str, object]], matched: bool
) -> Iterator[Problem]:
    path, count = tar_path(entry.name), 0
    try:
        for jpeg, record in read_members(store, entry.name, entry.sha256):
            count += 1
            try:
                content = json.loads(record)
                if problem := misfit("sample", content):
                    yield Problem(path, f"sample {count}: {problem}")
                    continue
                sample = Sample.from_json(record)
            except ValueError as error:
                yield Problem(path, f"sample {count}: not JSON ({error})")
                continue
            problems = [keys.problem(sample.key), _image_problem(sample, jpeg), *inconsistencies(sample)]
            if matched != (sample.matched is not None):
                problems.append("matched, but the dataset is not" if sample.matched else "not matched")
            for what in filter(None, problems):
                yield Problem(path, f"{sample.key}: {what}")
            pairs.extend(pair_rows(sample))
    except DatasetError as error:
        yield Problem(path, error.why)
    if count != entry.samples:
        yield Problem(path, f"{count} samples, but {entry.samples} in the manifest")


def _image_problem(sample: Sample, jpeg: bytes) -> str:
    from PIL import Image

    if hashlib.sha256(jpeg).hexdigest() != sample.image.sha256:
        return "the image's SHA-256 is not the one in the record"
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            size = image.size
    except (OSError, ValueError) as error:
        return f"the image can't be opened ({type(error).__name__})"
    stated = (sample.image.width, sample.image.height)
    return "" if size == stated else f"the image is {size}, the record says {stated}"


def _table_problems(
    sidecar: Sidecar, contents: dict[str, bytes], pairs: list[dict[str, object]]
) -> Iterator[Problem]:
    for name, content in contents.items():
        try:
            if name.endswith(".parquet"):
                if read_pairs(io.BytesIO(content)) != pairs:
                    yield Problem(name, "its rows are not the pairs of the records")
                continue
            lines = content.splitlines()
            for number, line in enumerate(lines, 1):
                if problem := misfit("skipped", json.loads(line)):
                    yield Problem(name, f"line {number}: {problem}")
            found: dict[str, int] = {}
            for line in lines:
                reason = str(Skip.from_json(line).reason)
                found[reason] = found.get(reason, 0) + 1
            if found != sidecar.skipped:
                yield Problem(name, f"it lists {found}, the sidecar {sidecar.skipped}")
        except (ValueError, KeyError, TypeError, OSError) as error:
            yield Problem(name, f"can't be read ({error})")
