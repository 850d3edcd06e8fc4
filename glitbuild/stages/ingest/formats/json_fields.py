"""Fields of the JSON object that lies beside a picture, in folders and in tars: what is kept, and the boxes."""

from collections.abc import Collection, Mapping
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.stages.ingest.columns import CAPTION_COLUMNS, CARRIED_COLUMNS, NAME_COLUMNS
from glitbuild.stages.ingest.given_boxes import RowBoxes, read_boxes
from glitbuild.stages.ingest.kept_columns import ALL, Kept
from glitbuild.stages.ingest.source import SourceOptions
from glitbuild.stages.ingest.values import to_name


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
