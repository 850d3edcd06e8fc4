"""The phrases of ``phrases.toml``, and how a text is compared with them."""

import re
import tomllib
from functools import cache
from importlib.resources import files

LOOKED_AT = 1000
"""Characters at the beginning of a text that are compared."""

APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u00b4`", "'''''")
"""Of the same length, so that positions stay."""


@cache
def phrases() -> dict[str, re.Pattern[str]]:
    """Return each list of phrases as one pattern; those of a table are called ``table.name``."""
    content = tomllib.loads(files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8"))
    lists = {name: value for name, value in content.items() if not isinstance(value, dict)}
    for name, table in content.items():
        if isinstance(table, dict):
            lists |= {f"{name}.{key}": value for key, value in table.items()}
    return {
        name: re.compile("|".join([value] if isinstance(value, str) else value), re.IGNORECASE)
        for name, value in lists.items()
    }


def plain(text: str) -> str:
    """Return a text as the phrases are written: lower case, straight apostrophes, single spaces."""
    return " ".join(text.translate(APOSTROPHES).lower().split())


def quoted(text: str, start: int, end: int) -> bool:
    """Return whether a part of a text stands between quotation marks: it is what the picture shows."""
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return (
        before != ""
        and before in "\"'`\u2018\u201c\u00ab\u300c"
        and after != ""
        and after in "\"'`\u2019\u201d\u00bb\u300d.,"
    )
