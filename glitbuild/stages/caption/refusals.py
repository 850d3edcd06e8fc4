"""Recognises refusals in some thirty languages."""

import re
import tomllib
from functools import cache
from importlib.resources import files

LOOKED_AT = 1000
"""Number of characters at the beginning of a text that are compared."""

APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u00b4`", "'''''")
"""Replacements of equal length, so that positions don't change."""


@cache
def phrases() -> dict[str, re.Pattern[str]]:
    """Return each list of phrases as one pattern; lists within a table are named ``table.name``."""
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
    """Return a text in the form of the phrases: lower case, straight apostrophes, single spaces."""
    return " ".join(text.translate(APOSTROPHES).lower().split())


def quoted(text: str, start: int, end: int) -> bool:
    """Return whether a part of a text is between quotation marks, and thus quotes what the image shows."""
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return (
        before != ""
        and before in "\"'`\u2018\u201c\u00ab\u300c"
        and after != ""
        and after in "\"'`\u2019\u201d\u00bb\u300d.,"
    )


CLAUSES = 8
"""Number of clauses at the beginning of an answer that may be courtesies before the refusal."""

REACH = 160
"""Number of characters after an apology in which a "not" makes it a refusal, in languages other than English."""

_QUOTED = re.compile(
    '"[^"]*"|\u201c[^\u201d]*\u201d|\u00ab[^\u00bb]*\u00bb|\u201e[^\u201c\u201d]*[\u201c\u201d]|\u300c[^\u300d]*\u300d|\u300e[^\u300f]*\u300f'
)
_BREAKS = re.compile(
    r"[.!?;:,\u2026\u3002\uff01\uff1f\uff0c\u3001\uff1b\uff1a\u060c\u061b\u061f\u0964\n()\u2013\u2014]+|(?<=\s)-(?=\s)"
)
_MARKS = " \t*_#>\"'\u201c\u201d\u00ab\u00bb\u300c\u300d[](){}\u00bf\u00a1-\u2022"


def is_refusal(text: str) -> bool:
    """Return whether a text begins like a refusal.

    A caption never mentions its writer or addresses its reader at its beginning. Text in quotation marks doesn't
    count: it may be on a sign.
    """
    known = phrases()
    head = _QUOTED.sub(" \u25a1 ", text[:LOOKED_AT])
    if _apologizes_elsewhere(plain(head.strip(_MARKS))):
        return True
    clauses = [clause for part in _BREAKS.split(head) if (clause := plain(part.strip(_MARKS)))]
    sorry = False
    for clause in clauses[:CLAUSES]:
        if sorry and len(clause.split()) == 1:
            continue  # followed by a name: "I'm sorry, Dave."
        rest = clause
        apology = known["apologies"].match(clause) or known["apologies_elsewhere"].match(clause)
        if apology:
            rest = clause[apology.end() :].strip().removeprefix("that ").removeprefix("but ")
        rest, courtesy = _without_courtesy(rest)
        if known["refusals"].match(rest) or known["refusals"].match(clause):
            return True
        sorry = bool(apology) and not rest
        if rest and not courtesy and not apology:
            return False
        if apology and rest and not courtesy and not rest.startswith(("for ", "about ", "if ", "that ", "to ")):
            return False
    return False


def _without_courtesy(clause: str) -> tuple[str, bool]:
    """Return a clause without courtesies and "it seems that" before it, and whether there were any."""
    known, found = phrases(), False
    if seems := known["seems"].match(clause):
        return clause[seems.end() :].lstrip(" ,"), True
    if courtesy := known["courtesy"].match(clause):
        found = True
        rest = clause[courtesy.end() :].lstrip(" ,")
        if seems := known["seems"].match(rest):
            rest = rest[seems.end() :].lstrip(" ,")
        return rest, found
    return clause, found


def _apologizes_elsewhere(head: str) -> bool:
    apology = phrases()["apologies_elsewhere"].match(head)
    if not apology:
        return False
    return bool(phrases()["negations"].search(head[apology.end() : apology.end() + REACH]))
