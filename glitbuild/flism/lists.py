"""Detection of list items in a caption: numbered, lettered or bulleted, one per line or all in one line.

A mark such as ``1.``, ``(b)`` or ``•`` counts as a list item's only if it is part of a sequence or at the start of
a line: "number 1. The" and "panel (a)" are not items. Every mark is examined once.
"""

# ruff: noqa: RUF001 (marks of other scripts are intended)

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from glitbuild.flism.vocabulary import DETERMINERS, LINE_ENDS

STRONG_BULLETS = frozenset("•▪▫●○◦‣■□▸►➢➤✓✔✗★☆·・⁃∙")
WEAK_BULLETS = frozenset("-–—*+")
"""Marks that are bullets only if followed by whitespace."""

OPENING = {"(": ")", "[": "]", "（": "）", "［": "］", "【": "】"}
DELIMITERS = frozenset(".):：、．।）]-")
ROMAN = re.compile(r"[ivx]{1,5}|[IVX]{1,5}")
ROMAN_VALUES = {"i": 1, "v": 5, "x": 10}
HAN = "一二三四五六七八九十"
KEYCAP = "\u20e3"
CONJUNCTIONS = frozenset(["and", "or", "&", "und", "y", "et"])
LONGEST_NUMBER = 3
"""Most digits of an item's number: "2019." is a year."""

LONGEST_LABEL = 6
"""Most characters of an item's number or letter."""

LINE, AFTER, WEAK = range(3)
"""Position of a mark: at the start of a line, after the end of a sentence or a colon, or elsewhere."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A candidate: words ``first`` to ``last`` mark an item with this style and number."""

    first: int
    last: int
    style: tuple[str, str]
    number: int
    place: int


@dataclass(frozen=True, slots=True)
class Items:
    """Positions of list items.

    Attributes:
        starts: index of the first word of each item.
        joined: indices of words after which no sentence ends, because they mark the item that follows.
    """

    starts: set[int] = field(default_factory=set)
    joined: set[int] = field(default_factory=set)


def labels(word: str) -> list[tuple[str, int]]:
    """Return the readings of a word as an item's number, as pairs of a kind and a number."""
    if word.isdecimal():
        return [("1", int(word))] if len(word) <= LONGEST_NUMBER else []
    if len(word) > LONGEST_LABEL:
        return []
    if word[0].isdecimal():  # "1.2": the kind is the number of the parent item
        above, _, number = word.rpartition(".")
        return [(above, int(number))] if above and number.isdecimal() else []
    if len(word) == 1 and "\u2160" <= word <= "\u217f":
        return [("Ⅰ", _value(word))]
    found = []
    if len(word) == 1 and word.lower() != word.upper():
        base = next(a for a in ("аАaA" if word > "\u0400" else "aA") if a.islower() == word.islower())
        if 0 <= ord(word) - ord(base) < 32:
            found.append((base, ord(word) - ord(base) + 1))
    if ROMAN.fullmatch(word):
        values = [ROMAN_VALUES[letter] for letter in word.lower()]
        pairs = zip(values, [*values[1:], 0], strict=True)
        found.append(("i" if word.islower() else "I", sum(-a if a < b else a for a, b in pairs)))
    if word in HAN:
        found.append(("一", HAN.index(word) + 1))
    return found


def parse(words: Sequence[str], gaps: Sequence[str], i: int, place: int) -> list[Marker]:
    """Return the marks that word i may start; several if a letter is also a Roman numeral."""
    word, count = words[i], len(words)
    if word in STRONG_BULLETS or word in WEAK_BULLETS:
        spaced = i + 1 < count and bool(gaps[i])
        return [Marker(i, i, ("•", word), 0, place)] if spaced or word in STRONG_BULLETS else []
    if len(word) == 1 and word.isdigit() and not word.isdecimal():
        return [Marker(i, i, ("①", ""), _value(word), place)]
    if word.endswith(KEYCAP) and word[0].isdecimal():
        return [Marker(i, i, ("①", KEYCAP), int(word[0]), place)]
    start = i
    if word == "#" and i + 1 < count and not gaps[i]:
        start = i + 1
    closing = OPENING.get(word)
    if closing and i + 2 < count and words[i + 2] == closing and not gaps[i] and not gaps[i + 1]:
        return [Marker(i, i + 2, (kind, "("), number, place) for kind, number in labels(words[i + 1])]
    if start + 1 >= count or gaps[start] or words[start + 1] not in DELIMITERS:
        return []
    mark = words[start + 1]
    last = start + 1
    if mark == "." and last + 1 < count and words[last + 1] in (")", "-") and not gaps[last]:
        last += 1
    spaced = last + 1 >= count or bool(gaps[last]) or place == LINE or mark not in ".:-" or _wide(words[last + 1])
    if not spaced:
        return []
    return [Marker(i, last, (kind, mark), number, place) for kind, number in labels(words[start])]


def _value(word: str) -> int:
    import unicodedata

    return int(unicodedata.numeric(word))


def _wide(word: str) -> bool:
    """Return whether a word belongs to a script that has no whitespace between words."""
    return word[0] >= "\u2e80"


def items(
    words: Sequence[str],
    gaps: Sequence[str],
    lines: Sequence[int],
    inside: Sequence[bool],
    places: Mapping[int, int],
) -> Items:
    """Find the items of a caption's lists.

    Args:
        words: the n words and marks of the caption.
        gaps: whitespace after each of them.
        lines: number of line breaks in each gap.
        inside: for each gap, whether it is inside quotes or brackets.
        places: positions (``LINE``, ``AFTER`` or ``WEAK``) of the words that may start a mark, by index.
    """
    found = Items()
    chains: dict[tuple[str, str], list[Marker]] = {}
    bullets: dict[str, list[Marker]] = {}
    for i, place in places.items():
        for marker in parse(words, gaps, i, place):
            if marker.style[0] == "•":
                bullets.setdefault(marker.style[1], []).append(marker)
                continue
            chain = chains.get(marker.style)
            if chain and marker.number == chain[-1].number + 1 and i > chain[-1].last + 1:
                chain.append(marker)
            elif place != WEAK or marker.number == 1:
                if chain:
                    _take(chain, words, gaps, lines, found)
                chains[marker.style] = [marker]
    for chain in chains.values():
        _take(chain, words, gaps, lines, found)
    for marks in bullets.values():
        _take_bullets(marks, words, found)
    _take_lines(words, lines, inside, found)
    return found


def _add(marker: Marker, words: Sequence[str], found: Items) -> None:
    first = marker.first
    if marker.place == WEAK and first > 1 and words[first - 1] in CONJUNCTIONS:
        first -= 1
    found.starts.add(first)
    found.joined.update(range(first, marker.last + 1))


def _take(
    chain: Sequence[Marker], words: Sequence[str], gaps: Sequence[str], lines: Sequence[int], found: Items
) -> None:
    """Add a chain of marks if it is a list, otherwise only those of its marks that start a line like an item."""
    if len(chain) > 1 and _is_list(chain, words):
        for marker in chain:
            _add(marker, words, found)
        return
    for marker in chain:
        i = marker.first
        if marker.place != LINE:
            continue
        if i == 0 or marker.number == 1 or lines[i - 1] > 1 or words[i - 1] in ".!?:":
            _add(marker, words, found)


def _is_list(chain: Sequence[Marker], words: Sequence[str]) -> bool:
    """Return whether consecutive marks of one style form a list."""
    first, later = chain[0], chain[1:]
    kind, form = chain[0].style
    if all(marker.place == LINE for marker in chain):
        return True
    if kind in "AАI" and form == ".":
        strong = all(marker.place != WEAK for marker in later)
        return first.place != WEAK and (strong or len(chain) > 2) and not _after_commas(later, words)
    if first.place != WEAK or kind == "①" or form == "、":
        return True
    if form in ":：":
        return False
    before = [words[marker.first - 1].lower() for marker in chain]
    if any(a == b for a, b in pairwise(before) if a != ","):
        return False
    if form == "(":
        return all(word in CONJUNCTIONS or not word[0].isalnum() for word in before[1:])
    if form == ".":
        follow = [words[marker.last + 1] for marker in chain if marker.last + 1 < len(words)]
        return len(chain) > 2 or not (words[0][0].islower() or any(word[0].isupper() for word in follow))
    return True


def _after_commas(chain: Sequence[Marker], words: Sequence[str]) -> bool:
    return any(words[marker.first - 1] in CONJUNCTIONS or words[marker.first - 1] == "," for marker in chain)


def _take_bullets(marks: Sequence[Marker], words: Sequence[str], found: Items) -> None:
    """Add bullets of one kind: those at the start of lines, or those within a line that starts a list itself."""
    lined = [marker for marker in marks if marker.place == LINE]
    if len(lined) > 1 or len(marks) < 2 or marks[0].place == WEAK:
        marks = lined
    for marker in marks:
        _add(marker, words, found)


def _take_lines(words: Sequence[str], lines: Sequence[int], inside: Sequence[bool], found: Items) -> None:
    """Add the lines of a list without marks: three or more that start with "a", "two" or similar."""
    breaks = [i for i in range(len(words) - 1) if lines[i]]
    if len(breaks) < 2:
        return
    run: list[int] = []
    for start, end in zip([0, *(i + 1 for i in breaks)], [*breaks, len(words) - 1], strict=True):
        listed = words[start] in DETERMINERS and (start == 0 or not inside[start - 1])
        if listed:
            run.append(start)
        if not listed or words[end] in LINE_ENDS or words[end] == "," or end == len(words) - 1:
            if len(run) > 2:
                found.starts.update(run)
            run = []
