"""From a text of an input to a value: missing ones, lengths, names."""

import hashlib
import math

from glitbuild.records import writable

PROGRAMS = frozenset(
    [
        *("nan", "NaN", "NAN", "-nan", "-NaN", "NaT", "<NA>", "NULL", "None", "\\N"),
        *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN"),
        *("inf", "-inf", "Infinity", "-Infinity"),
    ]
)
"""Texts that pandas, NumPy, SQL and spreadsheets write where there is no value, in these spellings alone."""

PEOPLE = frozenset(["NA", "N/A", "n/a", "null"])
"""Texts that mean the same and may as well be somebody's name for a row."""

WHOLE = 1 << 53
"""Below it, a float holds every whole number exactly."""


def is_missing(value: object) -> bool:
    """Return whether a value is none: None, NaN, an infinity, or pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, float):
        return not math.isfinite(value)
    try:  # decimals and the scalars of NumPy; whatever is not equal to itself is not a number
        return bool(value != value)
    except Exception:  # a comparison that fails says nothing
        return False


def stands_for_nothing(text: str, is_name: bool = False) -> bool:
    """Return whether a text, apart from white space around it, is only a program's way to write no value.

    Args:
        text: the whole cell.
        is_name: of a row's own name; words that may be one are then no such text.
    """
    word = text.strip()
    return word in PROGRAMS or (not is_name and word in PEOPLE)


def to_text(value: object) -> str:
    """Return a carried value as text, without white space around it: nothing is ``""``, bytes are UTF-8."""
    if value is None:
        return ""
    text = _written(value).strip()
    return "" if stands_for_nothing(text) else text


def to_name(value: object) -> str:
    """Return a row's own name as text: nothing is ``""``, bytes are UTF-8."""
    text = _written(value)
    return "" if stands_for_nothing(text, is_name=True) else text


def _written(value: object) -> str:
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and value.is_integer() and abs(value) < WHOLE:
        return str(int(value))  # whole numbers become floats in a pandas column that has missing values
    return str(value)


LONGEST = 1000
"""Characters of a text of ``source``, or of a detail, that a record holds; what is longer is cut."""
LONGEST_URL = 8000
"""Characters of an address."""


def cut_text(text: str, longest: int = LONGEST) -> str:
    """Return a text of ``source`` as it is stored; cut ones that begin alike differ in a hash."""
    text = writable(text)
    if len(text) <= longest:
        return text
    mark = f"…[{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}]"
    return text[: longest - len(mark)] + mark


def cut_detail(detail: str) -> str:
    """Return a detail as it is stored; of one that is cut, the beginning and the end, which tells the reason."""
    detail = writable(detail)
    if len(detail) <= LONGEST:
        return detail
    mark = f"…[{len(detail)} characters]…"
    head = LONGEST * 3 // 4
    return detail[:head] + mark + detail[len(detail) - (LONGEST - head - len(mark)) :]


def plain(name: str) -> str:
    """Return a relative path without what leads nowhere: ``./a.jpg`` and ``b//../a.jpg`` are ``a.jpg``.

    A tar's members have no absolute path: what unpacks it takes the slash in front away, and so does this.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def same_file(name: str) -> str:
    """Return what two names of a table have in common where they name one file; an address as it is."""
    if "://" in name:
        return name
    return ("/" if name.startswith("/") else "") + plain(name)
