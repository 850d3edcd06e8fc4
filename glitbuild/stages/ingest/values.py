"""Which values of a table are none: NaN, null and the texts that programs write for them."""

import math

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
