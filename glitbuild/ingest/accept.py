"""From a row to what is stored: a checked caption and a checked image, or the reason there is none."""

import hashlib
import unicodedata
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

from glitbuild.ingest.files import why
from glitbuild.ingest.images import store_image
from glitbuild.ingest.source import Rejected, Row
from glitbuild.ingest.values import stands_for_nothing
from glitbuild.records import Sample, Skip, SkipReason, Source

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 1000
"""Characters of a text of ``source``, or of a detail, that a record holds; what is longer is cut."""
LONGEST_URL = 8000
"""Characters of an address."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sample may be like.

    Attributes:
        max_pixels: of the largest image, width times height.
        max_caption: characters of the longest caption.
        captions: false where samples have none, whatever the rows have: each caption is then empty.
        max_side: pixels of the longer side that larger images are made smaller to; None leaves them.
    """

    max_pixels: int = 100_000_000
    max_caption: int = 100_000
    captions: bool = True
    max_side: int | None = None


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
    source = Source(*map(cut_text, astuple(row.source)))
    source = replace(source, url=cut_text(row.source.url, LONGEST_URL))
    try:
        if row.rejected is not None:
            return Skip(key, source, row.rejected.reason, cut_detail(row.rejected.detail))
        caption = _caption(row, limits)
        data, image = store_image(row.read_image(), limits.max_pixels, limits.max_side, look)
    except Rejected as rejected:
        return Skip(key, source, rejected.reason, cut_detail(rejected.detail))
    except OSError as error:
        return Skip(key, source, SkipReason.IMAGE_MISSING, cut_detail(f"can't be read: {why(error)}"))
    return Sample(key, caption, image, source), data


def cut_text(text: str, longest: int = LONGEST) -> str:
    """Return a text of ``source`` as it is stored; cut ones that begin alike differ in a hash."""
    text = _writable(text)
    if len(text) <= longest:
        return text
    mark = f"…[{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}]"
    return text[: longest - len(mark)] + mark


def cut_detail(detail: str) -> str:
    """Return a detail as it is stored; of one that is cut, the beginning and the end, which tells the reason."""
    detail = _writable(detail)
    if len(detail) <= LONGEST:
        return detail
    mark = f"…[{len(detail)} characters]…"
    head = LONGEST * 3 // 4
    return detail[:head] + mark + detail[len(detail) - (LONGEST - head - len(mark)) :]


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


def _writable(text: str) -> str:
    """Return text that is valid UTF-8: a lone surrogate, as of an odd file name, is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
