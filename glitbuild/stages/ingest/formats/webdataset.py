"""WebDataset tars: members of one key are a sample."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.columns import (
    CAPTION_COLUMNS,
    NAME_COLUMNS,
    boxes_of,
    check_fields,
    extra_of,
    is_own,
    to_caption,
    to_source,
)
from glitbuild.stages.ingest.files import decode, parse_object, why
from glitbuild.stages.ingest.formats.tar import Member, TarBrokenError, TarSample, gather, read_member, read_samples
from glitbuild.stages.ingest.remote import AnyPath, RemotePath
from glitbuild.stages.ingest.source import Cut, Row, RowSource, SourceOptions, cut_at, digest_text
from glitbuild.stages.ingest.values import to_name

IMAGE_EXTENSIONS = (
    *("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"),
    *("jpe", "jfif", "avif", "jp2", "heic"),
)
PEEK = 100
"""Samples that are looked at to check a named column."""


HEAD = 1 << 16
"""Bytes of a text that tell whether it is the same."""


@dataclass(frozen=True, slots=True)
class _TwiceThere:
    """A picture whose name a member of the sample has already."""

    sample: TarSample
    member: Member


_Entry = tuple[int, "TarSample | _TwiceThere | str"]
"""The number of a tar, and a sample in it, a picture that has no sample, or why it can't be read on."""


class WebDatasetSource(RowSource):
    """Uncompressed WebDataset tars, glitbuild's own among them, one after another in the order given.

    Args:
        paths: the tars.
        name: what their rows give as their dataset.
        options: ``image_column``: the extension of the image member; ``caption_column``: the extension of
            the caption member or, failing that, a field of the ``json`` member.

    Raises:
        SourceError: no sample has the named member or field.
        OSError: a tar can't be read.
    """

    def __init__(self, paths: Sequence[AnyPath], name: str, options: SourceOptions) -> None:
        self._paths, self._name, self._options = list(paths), name, options
        self._images = (options.image_column.lower(),) if options.image_column else IMAGE_EXTENSIONS
        for path in paths:
            path.open("rb").close()
        if options.image_column or options.caption_column or options.keep_columns or options.boxes_column:
            self._check_columns()

    @property
    def summary(self) -> str:
        """The members chosen; not how many tars, as more may come."""
        named = {"image": self._options.image_column, "caption": self._options.caption_column}
        chosen = "".join(f', {what} "{name}"' for what, name in named.items() if name is not None)
        return f"{self._name}: webdataset{chosen}"

    def cut(self, size: int) -> Iterator[Cut]:
        """Cut by samples, of which the headers are read: a range carries where their members are."""
        return cut_at(((self._digest(entry), entry) for entry in self._entries()), size)

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield a row per sample, and a rejected one where a tar is damaged or cut off."""
        for number, found in cut.place:
            path = self._paths[number]
            match found:
                case TarSample():
                    yield self._row(path, found)
                case _TwiceThere(sample, member):
                    yield Row.reject(self._row(path, sample).source, SkipReason.DUPLICATE_KEY, _came_twice(member))
                case _:
                    source = Source(self._name, path.name)
                    yield Row.reject(source, SkipReason.ROW_UNREADABLE, f"{path.name}: {found}")

    def _entries(self) -> Iterator[_Entry]:
        """Yield what a row is made of, after the number of its tar."""
        for number, path in enumerate(self._paths):
            for sample in self._samples(path):
                if isinstance(sample, TarBrokenError):
                    yield number, str(sample)
                    continue
                # What a sample lacks before a break is lost in the break, whose row stands for both.
                if not (sample.cut and self._lacks_something(path, sample)):
                    yield number, sample
                for member in sample.repeats:  # each picture has a row; texts have the sample's
                    if member.name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS:
                        yield number, _TwiceThere(sample, member)

    def _lacks_something(self, path: AnyPath, sample: TarSample) -> bool:
        row = self._row(path, sample)
        return row.rejected is not None or (row.caption is None and self._options.captions)

    def _digest(self, entry: _Entry) -> bytes:
        number, found = entry
        if not isinstance(found, TarSample):
            return digest_text(str(found))
        members = [f"{member.name}:{member.size}:{member.problem}" for member in found.members.values()]
        texts = [self._told(number, member) for name, member in found.members.items() if name in ("txt", "json")]
        return digest_text(found.key, *members, *texts, *(member.name for member in found.repeats))

    def _told(self, number: int, member: Member) -> str:
        """Return the content of a text, or of a remote tar's where it is: asking for each alone would take long."""
        path = self._paths[number]
        if isinstance(path, RemotePath):
            return str(member.offset)
        try:
            return _read(path, member)[:HEAD].decode("utf-8", "surrogateescape")
        except Rejected as rejected:
            return rejected.detail

    def _samples(self, path: AnyPath) -> Iterator[TarSample | TarBrokenError]:
        named = (self._options.image_column, self._options.caption_column)
        samples = read_samples(path)
        if any("." in name for name in named if name):  # the user says what a name with dots is
            return samples
        return gather(samples, self._images, self._is_whole)

    def _is_whole(self, sample: TarSample) -> bool:
        """Return whether a sample has all that a row is made of."""
        has_image = any(ext in sample.members for ext in self._images)
        if (self._options.keep_columns or self._options.boxes_column) and "json" not in sample.members:
            return False
        caption = "txt" if self._options.caption_column is None else self._options.caption_column.lower()
        return has_image and (not self._options.captions or bool({caption, "json"} & sample.members.keys()))

    def _row(self, path: AnyPath, sample: TarSample) -> Row:
        source = Source(self._name, sample.key)
        try:
            if sample.repeats:
                raise Rejected(SkipReason.DUPLICATE_KEY, _came_twice(sample.repeats[0]))
            record = self._record(path, sample)
            source, named = self._source(sample.key, record)
            image = next((sample.members[ext] for ext in self._images if ext in sample.members), None)
            if image is None:
                there = ", ".join(sample.members)
                raise Rejected(SkipReason.IMAGE_MISSING, f"{sample.key}: no image among its members: {there}")
            caption = self._caption(path, sample, record)
            extra, boxes = extra_of(record, self._options), boxes_of(record, self._options)
        except Rejected as rejected:
            return Row.reject(source, rejected.reason, rejected.detail)
        return Row(source, caption, partial(read_member, path, image), named=named, extra=extra, boxes=boxes)

    def _record(self, path: AnyPath, sample: TarSample) -> dict[str, Any]:
        member = sample.members.get("json")
        return {} if member is None else parse_object(_read(path, member), member.name)

    def _source(self, key: str, record: Mapping[str, Any]) -> tuple[Source, bool]:
        """Return where a sample came from, and whether its name is one that must not come twice."""
        if is_own(record):  # the rows of two inputs that it names may have the same name
            own = record["source"]
            return to_source(own, self._name, to_name(own["id"])), False
        named = (to_name(record.get(column)) for column in NAME_COLUMNS)
        return to_source(record, self._name, next(filter(None, named), key)), True

    def _caption(self, path: AnyPath, sample: TarSample, record: Mapping[str, Any]) -> str | None:
        if not self._options.captions:
            return None
        named = self._options.caption_column
        member = sample.members.get("txt" if named is None else named.lower())
        if member is not None and (named is None or named not in record):
            return decode(_read(path, member))
        columns = CAPTION_COLUMNS if named is None else (named,)
        column = next((column for column in columns if column in record), None)
        return None if column is None else to_caption(record[column], column)

    def _check_columns(self) -> None:
        members: dict[str, None] = {}
        fields: dict[str, None] = {}
        records: list[dict[str, Any]] = []
        samples = chain.from_iterable(((path, sample) for sample in read_samples(path)) for path in self._paths)
        for path, sample in islice(samples, PEEK):
            if isinstance(sample, TarSample):
                members |= dict.fromkeys(sample.members)
                try:
                    record = self._record(path, sample)
                except Rejected:  # rows() gives it its row
                    continue
                fields |= dict.fromkeys(record)
                records.append(record)
        image, caption = self._options.image_column, self._options.caption_column
        there = ", ".join(members) or "none"
        if image is not None and image.lower() not in members:
            problem = f'no member "{image}"; the members are: {there}'
            raise SourceError(self._name, problem, "name one with --image-column")
        if caption is not None and caption.lower() not in members and caption not in fields:
            problem = f'no member or field "{caption}"; members: {there}; fields: {", ".join(fields) or "none"}'
            raise SourceError(self._name, problem, "name one with --caption-column")
        check_fields(self._name, records, self._options)


def _came_twice(member: Member) -> str:
    return f"{member.name} is in the sample twice"


def _read(path: AnyPath, member: Member) -> bytes:
    try:
        return read_member(path, member)
    except OSError as error:
        raise Rejected(SkipReason.ROW_UNREADABLE, f"{member.name}: {why(error)}") from error
    except Rejected as rejected:  # a text without bytes is no missing image
        raise Rejected(SkipReason.ROW_UNREADABLE, rejected.detail) from rejected
