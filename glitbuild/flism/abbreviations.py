"""What a full stop belongs to: an abbreviation, of which kind, or nothing."""

from collections.abc import Sequence
from enum import Enum, auto

from glitbuild.flism.vocabulary import (
    ABBREVIATIONS,
    ALWAYS_UNITS,
    DAYS,
    DIMENSIONS,
    DOTTED,
    LETTER_NOUNS,
    MONTHS,
    NUMBER_WORDS,
    REFERENCES,
    TITLES,
    UNITS,
)

LONGEST_DOTTED = 4
"""Letters with a full stop each that are looked back at."""


class Kind(Enum):
    """How a word's full stop tells on a sentence's end."""

    NONE = auto()
    """No abbreviation."""
    NEVER = auto()
    """It ends no sentence: "Dr.", "e.g."."""
    RARELY = auto()
    """It ends one only before a usual first word: "Inc.", "U.S."."""
    LETTER = auto()
    """A single letter: an initial, or the letter itself; else as RARELY."""
    CLOCK = auto()
    """"a.m." and "p.m."."""
    DATE = auto()
    """A month or a day of the week."""
    REFERENCE = auto()
    """A word as well, such as "no" or "fig": an abbreviation only before a number."""
    UNIT = auto()
    """A unit after a number: it ends one before every capital."""
    SIZE = auto()
    """A unit after an article and a number, "a 12 in. Samsung": as RARELY."""


def abbreviation(words: Sequence[str], gaps: Sequence[str], stop: int) -> Kind:
    """Return what kind of abbreviation the full stop ``words[stop]`` belongs to."""
    if stop == 0 or gaps[stop - 1]:
        return Kind.NONE
    word = words[stop - 1]
    if len(word) == 1:
        return _letter(words, gaps, stop)
    if word[0].isnumeric() and "-" in word and word.rpartition("-")[2].lower() in UNITS:
        return Kind.SIZE  # "a 12-in. pan"
    low = word.lower()
    if len(word) > 8 or not word[0].isalpha():
        return Kind.NONE
    if low in MONTHS or word in DAYS:
        return Kind.DATE
    if low in TITLES:
        return Kind.NEVER
    if low in UNITS:
        unit = _unit(words, gaps, stop)
        if unit is not Kind.NONE:
            return unit
    if low in ABBREVIATIONS or low in ALWAYS_UNITS:
        return Kind.RARELY
    if low in REFERENCES:
        return Kind.RARELY if word[0].isupper() and low in ("fig", "figs", "pt") else Kind.REFERENCE
    dotted = stop > 2 and words[stop - 2] == "." and not gaps[stop - 2] and not gaps[stop - 3]
    if (
        dotted
        and len(word) < 4
        and word.isalpha()
        and (len(words[stop - 3]) == 1 or words[stop - 3].lower() in TITLES)
    ):
        return Kind.RARELY  # "M.Sc."
    return Kind.NONE


def is_initial(words: Sequence[str], gaps: Sequence[str], i: int) -> bool:
    """Tell whether word i is a capital with a full stop, such as the A of "A. Smith"."""
    return len(words[i]) == 1 and words[i + 1 : i + 2] == ["."] and not gaps[i]


def _letter(words: Sequence[str], gaps: Sequence[str], stop: int) -> Kind:
    """Judge a single letter's full stop."""
    letter = words[stop - 1]
    if not letter.isalpha() or letter >= "\u2e80":
        return Kind.NONE
    parts = [letter.lower()]
    i = stop - 1
    while len(parts) < LONGEST_DOTTED and i > 1 and words[i - 1] == "." and not gaps[i - 1] and not gaps[i - 2]:
        if len(words[i - 2]) > 1:
            break
        i -= 2
        parts.append(words[i].lower())
    whole = ".".join(reversed(parts))
    if whole in DOTTED:
        return Kind.NEVER
    if whole in ("a.m", "p.m"):
        return Kind.CLOCK
    if len(parts) > 1:
        return Kind.RARELY
    if stop > 1 and words[stop - 2].lower() in LETTER_NOUNS:
        return Kind.NONE
    return Kind.LETTER


def _unit(words: Sequence[str], gaps: Sequence[str], stop: int) -> Kind:
    """Judge the full stop of a word that may be a unit."""
    i = stop - 2
    if i >= 0 and words[i] in ("-", ".") and i > 0:  # "a 10-in. pan", "sq. ft."
        i -= 1
    number = i >= 0 and (words[i][0].isnumeric() or words[i].lower() in NUMBER_WORDS)
    if not number and i >= 0 and words[i].lower() in ("sq", "cu", "fl"):
        number = True
    if not number:
        low = words[stop - 1].lower()
        wide = low == "in" and stop + 1 < len(words) and words[stop + 1] in DIMENSIONS
        return Kind.RARELY if wide else Kind.NONE
    return Kind.SIZE if i > 0 and words[i - 1] in ("a", "an", "A", "An", "the", "The") else Kind.UNIT
