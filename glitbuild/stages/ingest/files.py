"""Reading what a row points to: image files, texts and JSON objects, each with a reason where it can't."""

import json
import stat
from typing import Any

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
