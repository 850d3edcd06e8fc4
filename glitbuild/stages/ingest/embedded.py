"""Images that a table holds as text: base64, and ``data:`` URIs."""

import base64
import binascii
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote_to_bytes

from glitbuild.records import Rejected, SkipReason

SHORTEST = 32
"""Characters of base64 that the smallest picture has more of."""
LONGEST_PATH = 4096
"""Characters that no path has more of."""

_HEAD = 96
_ALPHABET = re.compile(r"[A-Za-z0-9+/_\-\s]*=*\s*")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE = b" \t\r\n\v\f"
_BYTES_LITERAL = re.compile(r"\s*b(['\"])(.*)\1\s*", re.DOTALL)

_SIGNATURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|BM....\0\0\0\0"
    rb"|....ftyp(?:avif|avis|heic|heix|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    re.DOTALL,
)


def embedded_image(text: str) -> Callable[[], bytes] | None:
    """Return what decodes an image that is given as text; None for a path or an address.

    A text is base64 if it decodes to the first bytes of an image, in either alphabet, with or without line
    breaks and padding; or if it is longer than any path and has no other characters.
    """
    if text[:64].lstrip()[:5].lower() == "data:":
        return partial(_decode_data_uri, text)
    if literal := _bytes_literal(text):
        return partial(decode_base64, literal)
    return partial(decode_base64, text) if _is_base64(text) else None


def decode_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, whatever its line breaks and padding.

    Raises:
        Rejected: it has other characters, or is cut off.
    """
    try:
        data = text.encode("ascii").translate(_URL_SAFE, _WHITE).rstrip(b"=")
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except UnicodeEncodeError as error:
        character = f"U+{ord(text[error.start]):04X} at character {error.start}"
        raise Rejected(SkipReason.IMAGE_CORRUPT, f"base64 with {character}") from error
    except binascii.Error as error:
        detail = f"base64 of {len(text)} characters that can't be decoded: {error}"
        raise Rejected(SkipReason.IMAGE_CORRUPT, detail) from error


def _decode_data_uri(uri: str) -> bytes:
    header, comma, content = uri.partition(",")
    if not comma:
        raise Rejected(SkipReason.IMAGE_CORRUPT, f"a data: URI without a comma: {header[:100]}")
    data = unquote_to_bytes(content)
    if header.rstrip().lower().endswith(";base64"):
        return decode_base64(data.decode("latin-1"))
    return data


def _bytes_literal(text: str) -> str | None:
    """Return what is in ``b'...'``: so Python writes base64 that was not made a text."""
    if not text[:16].lstrip().startswith(("b'", 'b"')):
        return None
    found = _BYTES_LITERAL.fullmatch(text)
    return found[2] if found and _is_base64(found[2]) else None


def _is_base64(text: str) -> bool:
    if len(text) < SHORTEST:
        return False
    head = "".join(text[: 4 * _HEAD].split())[:_HEAD]
    if not _ALPHABET.fullmatch(head):
        return False
    if _SIGNATURES.match(_first_bytes(head)):
        # Of a text longer than a path, what is wrong further on is damage.
        return len(text) > LONGEST_PATH or _ALPHABET.fullmatch(text) is not None
    return len(text) > LONGEST_PATH and _ALPHABET.fullmatch(text) is not None


def _first_bytes(head: str) -> bytes:
    data = head.encode("ascii", "ignore").translate(_URL_SAFE).rstrip(b"=")
    return base64.b64decode(data[: len(data) // 4 * 4])
