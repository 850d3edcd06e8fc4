"""Validation of a single shard: its files, its records, its ground truth, and their consistency."""

import hashlib
import io
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from glitbuild.errors import DatasetError
from glitbuild.records import Box, Matched, Sample, Source, Span
from glitbuild.shards.layout import MANIFEST, pairs_path, parse, sidecar_path, skipped_path, tar_path, truth_path
from glitbuild.shards.manifest import Manifest, ShardEntry
from glitbuild.shards.reader import read_members
from glitbuild.shards.rows import ShardRows, runs_of
from glitbuild.shards.sidecar import Members, RawSample, Sidecar, add_counts, count_sources
from glitbuild.shards.store import Store, StoredFile
from glitbuild.shards.writer import pair_rows, read_pairs, sample_counts


@dataclass(frozen=True, slots=True)
class Described:
    """What a ground-truth row must agree with: key, caption length in characters, and image size of its sample."""

    key: str
    length: int
    width: int
    height: int

    @classmethod
    def of(cls, sample: Sample) -> "Described":
        """Return the description of a sample."""
        return cls(sample.key, len(sample.caption), sample.image.width, sample.image.height)


def truth_problems(data: bytes, samples: Sequence[Described]) -> Iterator[str]:
    """Yield the problems of a file in ``truth/``."""
    lines = data.splitlines()
    if len(lines) != len(samples):
        yield f"{len(lines)} rows, but {len(samples)} samples"
        return
    for number, (line, sample) in enumerate(zip(lines, samples, strict=True), 1):
        try:
            row = parse("truth", line)
        except ValueError as error:
            yield f"line {number}: {error}"
            continue
        if row["key"] != sample.key:
            yield f"line {number}: its key is {row['key']}, but the sample's is {sample.key}"
        end = -1
        for start, stop in (sentence["span"] for sentence in row["sentences"]):
            if not end < start < stop <= sample.length:
                yield f"line {number}: span {start}-{stop} is empty, out of order or outside the caption"
            end = stop
        boxes = [box for part in (*row["sentences"], row) for box in part.get("boxes", [])]
        for x1, y1, x2, y2 in [*boxes, *(thing["box"] for thing in row["objects"])]:
            if not (0 <= x1 < x2 <= sample.width and 0 <= y1 < y2 <= sample.height):
                yield f"line {number}: box {[x1, y1, x2, y2]} is empty or outside the image"
        named = (i for sentence in row["sentences"] for i in sentence["objects"] + sentence["mentions"])
        if any(i >= len(row["objects"]) for i in (*named, row["focus"])):
            yield f"line {number}: it refers to an object that it doesn't have"


def inconsistencies(sample: Sample) -> Iterator[str]:
    """Yield the inconsistencies of a record that conforms to its schema."""
    matched, width, height = sample.matched, sample.image.width, sample.image.height
    for index, given in enumerate(sample.boxes or ()):
        if not _is_within(given.box, width, height):
            yield f"given box {index} {list(given.box)} is empty or outside the image ({width} x {height})"
    if matched is None:
        return
    yield from _span_problems(sample.caption, matched.sentences)
    yield from _region_problems(matched, width, height)
    regions = [(each.box, each.label, each.sentence) for each in matched.regions if each.kind == "given"]
    if regions != [(each.box, each.label, each.sentence) for each in sample.boxes or ()]:
        yield "its given regions differ from its boxes"
    if any((region.sentence is None) != (sample.boxes is None) for region in matched.regions):
        yield "regions must all have a sentence if there are boxes, and none otherwise"
    yield from _pair_problems(matched)


def _span_problems(caption: str, spans: Sequence[Span]) -> Iterator[str]:
    previous_end = 0
    for index, (start, end) in enumerate(spans):
        if not previous_end <= start < end <= len(caption):
            yield f"sentence {index} [{start}, {end}] is empty, out of order or outside the caption"
        elif caption[start:end] != caption[start:end].strip():
            yield f"sentence {index} [{start}, {end}] begins or ends with whitespace"
        elif caption[previous_end:start].strip():
            yield f"the text between sentences {index - 1} and {index} belongs to no sentence"
        previous_end = max(previous_end, end)
    if caption[previous_end:].strip():
        yield "the text after the last sentence belongs to no sentence"


def _region_problems(matched: Matched, width: int, height: int) -> Iterator[str]:
    for index, region in enumerate(matched.regions):
        if not _is_within(region.box, width, height):
            yield f"region {index} {list(region.box)} is empty or outside the image ({width} x {height})"
        if region.kind in ("quadrant", "center") and (region.label or region.score):
            yield f"region {index} is a default region with a label or a score"
        if region.kind == "given" and region.score != 1:
            yield f"region {index} is given, but its score is {region.score} instead of 1"
        if region.kind != "given" and region.sentence:
            yield f"region {index} has a sentence, but isn't a given region"
    kinds = [region.kind for region in matched.regions]
    defaults = (kinds.count("quadrant"), kinds.count("center"))
    if defaults != (4, 1) and not (kinds and defaults == (0, 0)):  # omitted with --no-default-regions
        yield "each of the five default regions must be there exactly once"


def _is_within(box: Box, width: int, height: int) -> bool:
    x1, y1, x2, y2 = box
    return 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


def _pair_problems(matched: Matched) -> Iterator[str]:
    if [pair.sentence for pair in matched.pairs] != list(range(len(matched.sentences))):
        yield "pairs are not one per sentence, in order"
    for index, pair in enumerate(matched.pairs):
        if pair.region >= len(matched.regions):
            yield f"pair {index} refers to region {pair.region} of {len(matched.regions)}"
    similarities = [pair.similarity for pair in matched.pairs]
    if matched.best_pair >= len(similarities):
        yield f"best_pair refers to pair {matched.best_pair} of {len(similarities)}"
    elif similarities.index(max(similarities)) != matched.best_pair:
        yield f"best_pair {matched.best_pair} is not the first pair with the highest similarity"


LARGEST_KEY = 2**62


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a dataset: the file it is in, and a description."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


@dataclass(slots=True)
class _Content:
    """Contents of a shard's tar; None for parts that could not be read."""

    samples: int | None = 0
    members: list[Members] = field(default_factory=list)
    totals: dict[str, int] | None = field(default_factory=dict)
    pairs: list[dict[str, Any]] | None = field(default_factory=list)
    described: list[Described] | None = field(default_factory=list)
    sources: list[Source] | None = field(default_factory=list)


class ShardCheck:
    """Checks one shard against its sidecar and the manifest, or against the manifest alone if it has no sidecar.

    Attributes:
        rows: rows of the shard, set once ``problems`` is exhausted; None if the shard can't be read.
    """

    def __init__(self, store: Store, manifest: Manifest, entry: ShardEntry, sidecar: Sidecar | None) -> None:
        self._store, self._entry, self._sidecar = store, entry, sidecar
        self._stage, self._has_captions = manifest.config["stage"], manifest.has_captions
        self._schema, self._has_text = manifest.schema, manifest.has_text
        self._keys: list[int] = []  # of samples, followed by those of skipped rows
        self._last_key = ""
        self._keys_are_right = True
        self.rows: ShardRows | None = None

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the shard's files; each file is read once, the tar as a stream."""
        entry, sidecar = self._entry, self._sidecar
        content = yield from self._check_tar()
        if content.samples is not None:
            stated = sidecar.samples if sidecar else None
            yield from self._compare("samples", content.samples, stated, entry.samples, tar_path(entry.name))
            if sidecar and sidecar.members not in (None, tuple(content.members)):
                yield self._of_sidecar("lists positions of the samples that differ from those in the tar")
        skipped = yield from self._check_skipped()
        if skipped is not None:
            count = sum(skipped.values())
            stated = sum(sidecar.skipped.values()) if sidecar else None
            yield from self._compare("rows skipped", count, stated, entry.skipped, skipped_path(entry.name))
            if sidecar and stated == count and sidecar.skipped != skipped:
                yield self._of_sidecar(f"says {sidecar.skipped} were skipped, but the list has {skipped}")
        if self._stage == "match":
            yield from self._check_pairs(content.pairs)
        if self._stage == "scenes":
            data = yield from self._read_listed(truth_path(entry.name))
            if data is not None and content.described is not None:
                for what in truth_problems(data, content.described):
                    yield Problem(truth_path(entry.name), what)
        if sidecar and content.totals is not None and sidecar.totals != content.totals:
            yield self._of_sidecar(f"says {sidecar.totals}, but the records have {content.totals}")
        if sidecar and sidecar.sources is not None and content.sources is not None:
            counted = count_sources(content.sources)
            if sidecar.sources != counted:
                yield self._of_sidecar(
                    f"says the samples are from {sidecar.sources}, but the records say {counted}"
                )
        if sidecar and self._stage in ("match", "caption") and sidecar.input.get("shard") != entry.name:
            yield self._of_sidecar(f"was made from shard {sidecar.input.get('shard')}")
        if sidecar and content.samples is not None and skipped is not None:
            runs = runs_of(self._keys) if self._keys_are_right else None
            self.rows = ShardRows(entry.name, sidecar.input, content.samples + sum(skipped.values()), runs)

    def _of_sidecar(self, what: str) -> Problem:
        return Problem(sidecar_path(self._entry.name), what)

    def _compare(self, what: str, found: Any, sidecar: Any, manifest: Any, file: str) -> Iterator[Problem]:
        """Compare the file, the sidecar and the manifest; the one that differs from the other two is wrong."""
        if sidecar in (None, manifest):
            if found != manifest:
                yield Problem(file, f"{found} {what}, but {manifest} in the manifest")
            return
        if found != sidecar:
            yield self._of_sidecar(f"says {sidecar} {what}, but there are {found}")
        if found != manifest:
            yield Problem(MANIFEST, f"shard {self._entry.name}: it says {manifest} {what}, but there are {found}")

    def _check_tar(self) -> Generator[Problem, None, _Content]:
        entry, path = self._entry, tar_path(self._entry.name)
        stated = StoredFile(entry.bytes, entry.sha256)
        content = _Content()
        try:
            if self._sidecar and self._sidecar.files[path] != stated:
                actual = self._store.stored(path)
                yield from self._compare("as size and SHA-256", actual, self._sidecar.files[path], stated, path)
                stated = actual
            for number, raw in enumerate(read_members(self._store, entry.name, stated.sha256), 1):
                for what in self._sample_problems(raw, content):
                    yield Problem(path, f"sample {number} ({raw.members.key}): {what}")
                content.samples = number
                content.members.append(raw.members)
            if (size := self._store.size(path)) != stated.bytes:
                yield Problem(path, f"{size} bytes, but {stated.bytes} in the manifest")
        except (DatasetError, FileNotFoundError) as error:
            yield Problem(path, error.why if isinstance(error, DatasetError) else "missing")
            return _Content(None, totals=None, pairs=None, described=None, sources=None)
        return content

    def _sample_problems(self, raw: RawSample, content: _Content) -> Iterator[str]:
        """Yield the problems of one sample, and add the sample to the content."""
        try:
            schema = parse("sample", raw.record)["schema"]
            sample = Sample.from_json(raw.record)
            wrong = list(inconsistencies(sample))
        except (TypeError, ValueError) as error:  # TypeError: the schema accepts 1.0 as an index
            content.totals = content.pairs = content.described = content.sources = None
            self._keys_are_right = False
            yield str(error)
            return
        wrong_key = f"its record has the key {sample.key}" if sample.key != raw.members.key else ""
        problems = [wrong_key, self._key_problem(sample.key)]
        self._keys.append(int(sample.key))
        self._keys_are_right = self._keys_are_right and not any(problems)
        problems += [_image_problem(sample, raw.jpeg), *wrong]
        if schema != self._schema:
            problems.append(f"its schema is {schema}, but the manifest's is {self._schema}")
        text = sample.caption.encode() if self._has_text else None
        if raw.text != text:
            problems.append(
                "it has no KEY.txt" if raw.text is None else "its KEY.txt differs from the caption in its record"
            )
        if (self._stage == "match") != (sample.matched is not None):
            problems.append("matched, but the dataset is not" if sample.matched else "not matched")
        if self._has_captions != bool(sample.caption):
            problems.append("a caption in a dataset without captions" if sample.caption else "no caption")
        if self._stage == "caption" and sample.captioned is None:
            problems.append("its record doesn't say which model wrote the caption")
        yield from filter(None, problems)
        if self._stage == "scenes" and content.described is not None:
            content.described.append(Described.of(sample))
        if content.sources is not None:
            content.sources.append(sample.source)
        if content.totals is not None:
            content.totals = add_counts(content.totals, sample_counts(sample))
        if content.pairs is not None:
            try:
                content.pairs.extend(pair_rows(sample))
            except IndexError:  # reported among the inconsistencies
                content.pairs = None

    def _key_problem(self, key: str) -> str:
        last, self._last_key = self._last_key, key
        if (len(last), last) >= (len(key), key):
            return f"key {key} after {last}: keys must ascend"
        return f"key {key} is too large" if int(key) > LARGEST_KEY else ""

    def _read_listed(self, name: str) -> Generator[Problem, None, bytes | None]:
        """Return the content of a file that the sidecar lists, or None after yielding what is wrong with it."""
        if not self._store.exists(name):
            yield Problem(name, "missing")
            return None
        data = self._store.read(name)
        stated = self._sidecar.files[name] if self._sidecar else None
        if stated and hashlib.sha256(data).hexdigest() != stated.sha256:
            yield Problem(name, "its SHA-256 is not the one in the sidecar")
            return None
        if stated and len(data) != stated.bytes:
            yield self._of_sidecar(f"says {name} has {stated.bytes} bytes, but it has {len(data)}")
        return data

    def _check_skipped(self) -> Generator[Problem, None, dict[str, int] | None]:
        """Return the number of skipped rows by reason."""
        name = skipped_path(self._entry.name)
        data = yield from self._read_listed(name)
        if data is None:
            return None
        found: Counter[str] = Counter()
        readable = True
        for number, line in enumerate(data.splitlines(), 1):
            try:
                skip = parse("skipped", line)
                found[skip["reason"]] += 1
                self._keys.append(int(skip["key"]))
                self._keys_are_right = self._keys_are_right and self._keys[-1] <= LARGEST_KEY
            except ValueError as error:
                yield Problem(name, f"line {number}: {error}")
                readable = False
        return dict(found) if readable else None

    def _check_pairs(self, expected: list[dict[str, Any]] | None) -> Iterator[Problem]:
        name = pairs_path(self._entry.name)
        data = yield from self._read_listed(name)
        if data is None:
            return
        try:
            rows = read_pairs(io.BytesIO(data))
        except Exception as error:  # a damaged file can make a reader raise almost anything
            yield Problem(name, f"can't be read ({type(error).__name__}: {error})")
            return
        if expected is not None and rows != expected:
            yield Problem(name, "its rows differ from the pairs in the records")


def _image_problem(sample: Sample, jpeg: bytes) -> str:
    # Not Image.open, which refuses images above a size limit of its own that ingest may have been told to exceed.
    from glitbuild.images.jpeg import Jpeg

    if hashlib.sha256(jpeg).hexdigest() != sample.image.sha256:
        return "the image's SHA-256 is not the one in the record"
    try:
        picture = Jpeg(jpeg)
        size = picture.open().size
    except Exception as error:  # a hostile file can make a decoder raise almost anything
        return f"the image can't be opened as a JPEG ({type(error).__name__})"
    stated = (sample.image.width, sample.image.height)
    if size != stated:
        return f"the image is {size}, but the record says {stated}"
    if picture.orientation != 1:
        return f"the image has the EXIF orientation {picture.orientation}: viewers would turn it, but not its boxes"
    return ""
