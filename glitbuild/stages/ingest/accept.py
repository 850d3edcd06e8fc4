"""From a row to what is stored: a checked caption and a checked image, or the reason there is none."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glitbuild.images.stored import store_image, upright_size
from glitbuild.records import Rejected, Sample, Skip, SkipReason, Source
from glitbuild.stages.ingest.files import why
from glitbuild.stages.ingest.given_boxes import place
from glitbuild.stages.ingest.kept_columns import to_extra
from glitbuild.stages.ingest.source import Row
from glitbuild.stages.ingest.values import LONGEST_URL, cut_detail, cut_text, stands_for_nothing

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sample may be like.

    Attributes:
        max_pixels: of the largest image, width times height.
        max_caption: characters of the longest caption.
        captions: false where samples have none, whatever the rows have: each caption is then empty.
        max_side: pixels of the longer side that larger images are made smaller to; None leaves them.
        columns: the types of the columns that are kept, by name.
    """

    max_pixels: int = 100_000_000
    max_caption: int = 100_000
    captions: bool = True
    max_side: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


def accept(
    row: Row, key: str, limits: Limits, look: "Callable[[Image], None] | None" = None
) -> tuple[Sample, bytes] | Skip:
    """Read and check a row. May be called from several threads at a time.

    The caption loses the white space around it and is otherwise kept as it is.

    Args:
        row: of any source.
        key: the sample's key in the shards.
        limits: of image and caption.
        look: called with the decoded picture; see ``store_image``.

    Returns:
        The sample and its JPEG, or the skipped row; either can be written as UTF-8 JSON.
    """
    own = row.source
    dataset, id, license, split, origin = map(cut_text, (own.dataset, own.id, own.license, own.split, own.origin))
    source = Source(dataset, id, cut_text(own.url, LONGEST_URL), license, split, origin)
    try:
        if row.rejected is not None:
            return Skip(key, source, row.rejected.reason, cut_detail(row.rejected.detail))
        caption = _caption(row, limits)
        kept = replace(source, extra=to_extra(row.extra, limits.columns))
        read = row.read_image()
        data, image = store_image(read, limits.max_pixels, limits.max_side, look)
    except Rejected as rejected:
        return Skip(key, source, rejected.reason, cut_detail(rejected.detail))
    except OSError as error:
        return Skip(key, source, SkipReason.IMAGE_MISSING, cut_detail(f"can't be read: {why(error)}"))
    if row.boxes is None:
        return Sample(key, caption, image, kept), data
    stored = (image.width, image.height)
    boxes = place(row.boxes, stored if limits.max_side is None else upright_size(read), stored)
    return Sample(key, caption, image, kept, boxes=boxes, boxes_left_out=len(row.boxes) - len(boxes)), data


def _caption(row: Row, limits: Limits) -> str:
    if not limits.captions:
        return ""
    if row.caption is not None and stands_for_nothing(row.caption):
        raise Rejected(SkipReason.CAPTION_MISSING, f'the caption is "{row.caption.strip()}", which stands for none')
    return check_caption(row.caption, limits.max_caption)


def check_caption(caption: str | None, max_caption: int) -> str:
    """Return a caption without the white space around it.

    Args:
        caption: as the input has it.
        max_caption: the most characters it may have.

    Raises:
        Rejected: it is missing, empty, too long, or can't be written as UTF-8 text.
    """
    if caption is None:
        raise Rejected(SkipReason.CAPTION_MISSING, "the row has no caption")
    if "\0" in caption:
        raise Rejected(SkipReason.CAPTION_NUL, f"a NUL at character {caption.index(chr(0))}")
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise Rejected(SkipReason.CAPTION_ENCODING, _bad_character(caption, error.start)) from error
    stripped = caption.strip()
    if not any(_shows(character) for character in stripped):
        raise Rejected(SkipReason.CAPTION_EMPTY, "nothing but white space or characters of no width")
    if len(stripped) > max_caption:
        raise Rejected(SkipReason.CAPTION_TOO_LONG, f"{len(stripped)} characters, at most {max_caption}")
    return stripped


def _bad_character(caption: str, index: int) -> str:
    code = ord(caption[index])
    if 0xDC80 <= code <= 0xDCFF:  # what ``surrogateescape`` makes of a byte
        return f"not UTF-8: the byte 0x{code - 0xDC00:02x} at character {index}"
    return f"half of a surrogate pair, U+{code:04X}, at character {index}"


def _shows(character: str) -> bool:
    """Return whether a character shows: format characters, such as a zero-width space, do not."""
    return not character.isspace() and unicodedata.category(character) not in {"Cc", "Cf"}
