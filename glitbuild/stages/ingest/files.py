"""An image that a row names: a file beside the input, or bytes in the row itself."""

import base64
import binascii
import json
import re
import stat
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.remote import AnyPath, RemotePath

MAX_BYTES = 1 << 30
"""Of a picture's file: it is read as a whole, and a few bytes may name a device or a file of terabytes."""


def read_file(root: AnyPath, written: str) -> bytes:
    """Read the image file that a row names.

    Args:
        root: what relative paths are relative to.
        written: the path as the input wrote it.

    Raises:
        Rejected: there is no such file, or it can't be read.
    """
    if "://" in written:
        detail = f"{written}: an address, not a file; only those of http and https are downloaded"
        raise Rejected(SkipReason.IMAGE_MISSING, detail)
    try:
        if isinstance(root, RemotePath):
            return (root / written).read_bytes()
        path = root / written
        # A pipe or a device would block or never end.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Rejected(SkipReason.IMAGE_MISSING, f"{written}: not a file")
        if status.st_size > MAX_BYTES:
            detail = f"{written}: {status.st_size} bytes, at most {MAX_BYTES}"
            raise Rejected(SkipReason.IMAGE_TOO_LARGE, detail)
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL or half a surrogate pair in the path
        raise Rejected(SkipReason.IMAGE_MISSING, f"{written}: {why(error)}") from error


def why(error: Exception) -> str:
    """Return an error's reason in one line, without the path on this machine that OSError adds."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def decode(data: bytes) -> str:
    """Decode UTF-8 with or without a byte order mark; other bytes become lone surrogates.

    ``accept`` then finds the surrogates of a caption, while a path with them still opens its file.
    """
    return data.decode("utf-8-sig", "surrogateescape")


def parse_object(data: bytes | str, what: str) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        data: UTF-8 JSON, with or without a byte order mark, or JSON that is decoded.
        what: the file or line, for the reason.

    Raises:
        Rejected: it is not JSON, not an object, or an object has a key twice.
    """
    text = decode(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    try:
        value = json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        problem = f"invalid JSON: {error.msg}"
        if error.msg == "Extra data":  # Python's words for a whole value with something behind it
            problem = "something behind the JSON value,"
        detail = f"{what}: {problem} at character {error.pos}"
        raise Rejected(SkipReason.ROW_UNREADABLE, detail) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a deep nesting
        raise Rejected(SkipReason.ROW_UNREADABLE, f"{what}: JSON beyond limits: {why(error)}") from error
    if isinstance(value, Rejected):
        raise Rejected(value.reason, f"{what}: {value.detail}")
    if not isinstance(value, dict):
        raise Rejected(SkipReason.ROW_UNREADABLE, f"{what}: {_kind(value)}, not a JSON object")
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Rejected:
    """Make an object of its keys and values; where a key comes twice, what rejects the row that needs it."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    repeated = next(key for key in keys if keys.count(key) > 1)
    return Rejected(SkipReason.ROW_UNREADABLE, f'the key "{repeated}" is there twice')


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


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
