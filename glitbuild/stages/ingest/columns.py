"""From the columns, or JSON fields, of an input to a row."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.files import decode_base64, embedded_image
from glitbuild.stages.ingest.given_boxes import RowBoxes, read_boxes
from glitbuild.stages.ingest.kept_columns import ALL, Kept
from glitbuild.stages.ingest.source import Row, SourceOptions
from glitbuild.stages.ingest.values import is_missing, stands_for_nothing, to_name, to_text

IMAGE_COLUMNS = (
    *("image", "image_path", "path", "file", "file_name", "filename"),
    *("jpg", "jpeg", "png", "webp"),
    *("image_bytes", "image_base64", "image_base64_str", "base64"),
    *("image_url", "url"),
)
CAPTION_COLUMNS = ("caption", "long_caption", "text", "txt", "description")
NAME_COLUMNS = ("id", "key")
CARRIED_COLUMNS = ("url", "license", "dataset", "split", "origin")

ReadImage = Callable[[], bytes]

ReadPath = Callable[[str], bytes]
"""Reads the image at a path as the input wrote it; raises OSError or Rejected."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold the image, the caption, the row's own name and the boxes (None: there is none).

    ``kept`` says which others are kept, ``boxes_format`` how boxes are written, and ``classes`` which names the
    numbers in their labels stand for.
    """

    image: str
    caption: str | None
    name: str | None = None
    kept: Kept = field(default_factory=Kept)
    boxes: str | None = None
    boxes_format: str = "xyxy"
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        caption = f', caption column "{self.caption}"' if self.caption is not None else ""
        return f'image column "{self.image}"{caption}'

    def used(self, present: Iterable[str]) -> list[str]:
        """Return those of the columns present that a row is made of, each once."""
        wanted = {self.image, self.caption, self.name, self.boxes, *CARRIED_COLUMNS}
        kept = set(self.kept.among(present))
        return [column for column in dict.fromkeys(present) if column in wanted or column in kept]


def find_columns(
    what: str, present: Sequence[str], options: SourceOptions, nested: Collection[str] = ()
) -> Columns:
    """Choose the columns: those the options name, else the first known name that is there.

    Args:
        what: the input, for the error.
        present: its columns.
        options: all but ``format`` and ``split`` are used.
        nested: columns that are known to hold lists, objects or bytes, and so are not kept.

    Raises:
        SourceError: a column is missing, can't be kept, or is used and there twice.
    """
    name = next((column for column in NAME_COLUMNS if column in present), None)
    image = _find(what, present, "image", options.image_column, IMAGE_COLUMNS)
    caption = None
    if options.captions:
        caption = _find(what, present, "caption", options.caption_column, CAPTION_COLUMNS)
    boxes = options.boxes_column
    if boxes is not None:
        _find(what, present, "boxes", boxes, ())
    used = [column for column in (image, caption, name, boxes, *CARRIED_COLUMNS) if column is not None]
    kept = Kept.choose(what, present, options.keep_columns, used, nested) if options.keep_columns else Kept()
    columns = Columns(image, caption, name, kept, boxes, options.boxes_format)
    for column in columns.used(present):
        if list(present).count(column) > 1:
            raise SourceError(what, f'the column "{column}" is there twice', "rename one of them")
    return columns


def _find(what: str, present: Sequence[str], kind: str, named: str | None, known: Sequence[str]) -> str:
    column = named if named is not None else next((name for name in known if name in present), None)
    if column is None or column not in present:
        missing = f"no {kind} column" + (f' "{column}"' if column is not None else "")
        there = ", ".join(present) or "none"
        raise SourceError(what, f"{missing}; its columns are: {there}", f"name one with --{kind}-column")
    return column


def to_row(record: Mapping[str, Any], columns: Columns, dataset: str, number: int, read_path: ReadPath) -> Row:
    """Make a row of a record.

    Args:
        record: values by column; columns that nothing was chosen for are ignored.
        columns: what was chosen.
        dataset: the name of the input, for records that name no dataset themselves.
        number: of the record in its input, counted from 0.
        read_path: reads an image that the record gives as a path.
    """
    given = record.get(columns.image)
    name = to_name(record.get(columns.name)) if columns.name else ""
    place: object = None
    problem: Rejected | None = None
    try:
        place = _place(given, columns.image)
    except Rejected as rejected:
        problem = rejected
    written = place if isinstance(place, str) and isinstance(given, str) else ""
    url = place if isinstance(place, str) and is_url(place) else ""
    source = to_source(record, dataset, name or written or str(number))
    if url and url != source.url:
        source = replace(source, url=url)
    try:
        if problem is not None:
            raise problem
        caption = to_caption(record.get(columns.caption), columns.caption) if columns.caption is not None else None
        read_image = _image_reader(place, columns.image, read_path)
        boxes = None
        if columns.boxes is not None:
            found = record.get(columns.boxes)
            boxes = read_boxes(found, columns.boxes, columns.boxes_format, columns.classes)
    except Rejected as rejected:
        return Row.reject(source, rejected.reason, rejected.detail)
    extra, picture = columns.kept.of(record), url or written
    return Row(source, caption, read_image, named=bool(name), picture=picture, url=url, extra=extra, boxes=boxes)


def is_url(value: str) -> bool:
    """Return whether an image's place is an address that can be downloaded from, no path."""
    return value.lstrip()[:8].lower().startswith(("http://", "https://"))


def to_source(record: Mapping[str, Any], dataset: str, name: str) -> Source:
    """Return where a record came from, with the columns that are carried along."""
    url = to_text(record.get("url"))
    return Source(
        dataset=to_text(record.get("dataset")) or dataset,
        id=name,
        url="" if embedded_image(url) else url,  # the picture itself is no address
        license=to_text(record.get("license")),
        split=to_text(record.get("split")),
        origin=to_text(record.get("origin")),
    )


def to_caption(value: object, column: str) -> str | None:
    """Return a caption as the input has it; bytes are UTF-8.

    Raises:
        Rejected: it is neither text nor nothing.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        return value
    if is_missing(value):
        return None
    detail = f'the caption column "{column}" holds a {type(value).__name__}, not text'
    raise Rejected(SkipReason.ROW_UNREADABLE, detail)


def _place(value: Any, column: str) -> object:
    """Return where the image is: bytes, a path or an address, what decodes it, or None where there is none.

    Raises:
        Rejected: it is a list of several.
    """
    if isinstance(value, list | tuple):
        if len(value) > 1:
            detail = f'the image column "{column}" holds a list of {len(value)}, not one image'
            raise Rejected(SkipReason.ROW_UNREADABLE, detail)
        return _place(value[0], column) if value else None
    if isinstance(value, Mapping) and {"bytes", "path", "url"} & value.keys():
        return _place_of_struct(value, column)
    if isinstance(value, str):
        return None if stands_for_nothing(value) else embedded_image(value) or value
    return None if is_missing(value) else value


def _place_of_struct(value: Mapping[str, Any], column: str) -> object:
    """Return likewise of Hugging Face's {bytes, path}, or of {url}; in JSON the bytes are base64."""
    data = value.get("bytes")
    if isinstance(data, str) and data and not stands_for_nothing(data):
        return embedded_image(data) or partial(decode_base64, data)
    if isinstance(data, str) or is_missing(data):
        path = value.get("path")
        return _place(value.get("url") if is_missing(path) else path, column)
    return data


def _image_reader(value: object, column: str, read_path: ReadPath) -> ReadImage:
    """Return what reads the image: from a path or from bytes."""
    if isinstance(value, Rejected):
        raise value
    if isinstance(value, bytes):
        data = value
        return lambda: data
    if isinstance(value, str) and value:
        return partial(read_path, value)
    if value is None or value == "":
        raise Rejected(SkipReason.IMAGE_MISSING, f'nothing in the image column "{column}"')
    if isinstance(value, partial):
        return value
    detail = f'the image column "{column}" holds a {type(value).__name__}, neither a path nor bytes'
    raise Rejected(SkipReason.ROW_UNREADABLE, detail)


def is_own(record: Mapping[str, Any]) -> bool:
    """Return whether it is a record of a glitbuild dataset, which names the row of the input it came from."""
    own = record.get("source")
    return isinstance(own, dict) and bool(to_name(own.get("id")))


def extra_of(record: Mapping[str, Any], options: SourceOptions) -> dict[str, Any]:
    """Return the fields that are kept, as they are; of a glitbuild dataset's record those that it keeps itself."""
    return Kept(options.keep_columns).of(_others(record, options)) if options.keep_columns else {}


def boxes_of(record: Mapping[str, Any], options: SourceOptions) -> RowBoxes | None:
    """Return the boxes of the picture; None where no field of boxes was named.

    Raises:
        Rejected: the field holds something else.
    """
    column = options.boxes_column
    return None if column is None else read_boxes(record.get(column), column, options.boxes_format)


def check_fields(what: str, records: Collection[Mapping[str, Any]], options: SourceOptions) -> None:
    """See that the fields which are named are there.

    Args:
        what: the input, for the error.
        records: the first ones.
        options: ``keep_columns`` and ``boxes_column`` are used.

    Raises:
        SourceError: no record has a field, or it can't be kept.
    """
    others = dict.fromkeys(name for record in records for name in _others(record, options))
    Kept.choose(what, others, options.keep_columns, ())
    fields = dict.fromkeys(name for record in records for name in record)
    if options.boxes_column is not None and options.boxes_column not in fields:
        there = ", ".join(fields) or "none"
        raise SourceError(what, f'no field "{options.boxes_column}"; fields: {there}', "correct --boxes-column")


def _others(record: Mapping[str, Any], options: SourceOptions) -> Mapping[str, Any]:
    """Return the fields that may be kept: for all, those that the row is not made of."""
    if is_own(record):
        extra = record["source"].get("extra")
        return extra if isinstance(extra, dict) else {}
    if options.keep_columns != (ALL,):
        return record
    captions = [name for name in CAPTION_COLUMNS if name in record][:1] if options.captions else []
    names = [name for name in NAME_COLUMNS if name in record][:1]
    used = {options.boxes_column, options.caption_column, *names, *CARRIED_COLUMNS}
    used.update(captions if options.caption_column is None else ())
    return {name: value for name, value in record.items() if name not in used}
