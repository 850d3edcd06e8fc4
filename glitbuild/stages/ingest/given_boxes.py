"""Regions that people marked: from the ways in which datasets write them to boxes of the stored picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glitbuild.flism.regions import area, clamp
from glitbuild.records import Box, Given, Rejected, SkipReason
from glitbuild.stages.ingest.values import cut_text, is_missing, stands_for_nothing, to_text

XYXY, XYWH, NORMALIZED = "xyxy", "xywh", "xyxy-normalized"
FORMATS = (XYXY, XYWH, NORMALIZED)
"""Corners; a corner with width and height, as COCO has it; corners as shares of the picture's sides."""

FAR = 1e12
"""A coordinate is nearer; NaN and infinities are not."""

BOX_KEYS = ("box", "bbox")
LABEL_KEYS = ("label", "category")
SENTENCE_KEYS = ("sentence", "text", "phrase")


@dataclass(frozen=True, slots=True)
class RowBoxes:
    """The boxes of a row, as corners.

    Attributes:
        boxes: in pixels of the upright input picture, or where ``normalized`` as shares of its sides.
        normalized: which of the two.
    """

    boxes: tuple[Given, ...] = ()
    normalized: bool = False

    def __len__(self) -> int:
        return len(self.boxes)


def read_boxes(value: object, column: str, form: str, names: Sequence[str] = ()) -> RowBoxes:
    """Read what a column says of a picture's regions.

    That is a list of boxes, or of objects with ``box`` or ``bbox`` and, if they have them, a label (``label``,
    ``category``) and a sentence (``sentence``, ``text``, ``phrase``); an object that holds lists of these; a single
    box or object; or one of these as JSON.

    Args:
        value: as the input has it; nothing means that there are no boxes.
        column: its name, for the reason.
        form: one of ``FORMATS``.
        names: of the classes that labels are numbers of; a number without a name stays one.

    Raises:
        Rejected: it is nothing of the kind, or not in this format.
    """
    try:
        entries = _entries(_parsed(value))
        boxes = tuple(_given(entry, form, names) for entry in entries)
    except ValueError as error:
        raise Rejected(SkipReason.ROW_UNREADABLE, f'the column of boxes "{column}": {error}') from error
    return RowBoxes(boxes, form == NORMALIZED)


def place(given: RowBoxes, upright: tuple[int, int], stored: tuple[int, int]) -> tuple[Given, ...]:
    """Return boxes in pixels of the stored picture, clipped to it, without those that are empty there.

    Args:
        given: the boxes of a row.
        upright: width and height of the input's picture, turned upright.
        stored: width and height of the stored picture, which may be smaller.
    """
    width, height = stored
    x_scale, y_scale = stored if given.normalized else (width / upright[0], height / upright[1])
    placed = []
    for each in given.boxes:
        x1, y1, x2, y2 = each.box
        box = clamp((x1 * x_scale, y1 * y_scale, x2 * x_scale, y2 * y_scale), width, height)
        if area(box) > 0:
            placed.append(replace(each, box=box))
    return tuple(placed)


def _parsed(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if not isinstance(value, str):
        return value
    if not value.strip() or stands_for_nothing(value):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("its text is not JSON") from error


def _entries(value: Any) -> list[Any]:
    """Return what is said of each box."""
    if isinstance(value, Mapping):
        return _of_object(value)
    if isinstance(value, list | tuple):
        return [value] if _is_box(value) else list(value)
    if is_missing(value):
        return []
    raise ValueError(f"a {type(value).__name__}, neither a list nor an object")


def _of_object(value: Mapping[str, Any]) -> list[Any]:
    """Return the entries of an object of lists, or the object itself where it is about a single box."""
    boxes = _of(value, BOX_KEYS)
    if not isinstance(boxes, list | tuple):
        raise ValueError(f'an object without a list "{BOX_KEYS[0]}" or "{BOX_KEYS[1]}"')
    if _is_box(boxes):
        return [value]
    columns = {BOX_KEYS[0]: boxes}
    for keys in (LABEL_KEYS, SENTENCE_KEYS):
        if not is_missing(of := _of(value, keys)):
            columns[keys[0]] = of
    for name, of in columns.items():
        if not isinstance(of, list | tuple) or len(of) != len(boxes):
            found = f"{len(of)} entries" if isinstance(of, list | tuple) else f"a {type(of).__name__}"
            raise ValueError(f'{len(boxes)} boxes, but "{name}" has {found}')
    return [dict(zip(columns, entry, strict=True)) for entry in zip(*columns.values(), strict=True)]


def _given(entry: Any, form: str, names: Sequence[str]) -> Given:
    if not isinstance(entry, Mapping):
        return Given(_box(entry, form))
    label, sentence = _of(entry, LABEL_KEYS), _of(entry, SENTENCE_KEYS)
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(names):
        label = names[label]
    for text in (label, sentence):
        if isinstance(text, Mapping | list | tuple):
            raise ValueError(f"a label or sentence is a {type(text).__name__}, not a text")
    return Given(_box(_of(entry, BOX_KEYS), form), cut_text(to_text(label)), cut_text(to_text(sentence)))


def _box(value: Any, form: str) -> Box:
    """Return a box as corners."""
    if not _is_box(value):
        raise ValueError(f"{_shown(value)} is not a box: four numbers")
    a, b, c, d = map(float, value)
    if form == XYWH:
        if min(c, d) < 0:
            raise ValueError(f"{_shown(value)} has a negative width or height; is it {XYXY}?")
        c, d = a + c, b + d
    if c < a or d < b:
        raise ValueError(f"{_shown(value)} ends before it begins; is it {XYWH}?")
    if form != NORMALIZED and 0 < max(c, d) <= 1:
        raise ValueError(f"{_shown(value)} lies within one pixel; is it normalized?")
    if form == NORMALIZED and max(c, d) > 2:
        raise ValueError(f"{_shown(value)} goes far beyond the picture, from 0 to 1; is it {XYXY}?")
    return a, b, c, d


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 4 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAR


def _of(value: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if key in value), None)


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:80]}…"
