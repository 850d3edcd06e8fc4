"""Rules that find the sentence boundaries of a caption.

A caption is given as ``words`` (a word or one punctuation mark each, without whitespace) and ``gaps``: ``gaps[i]``
is the whitespace between ``words[i]`` and ``words[i + 1]``, often empty. Every rule looks at a bounded
neighbourhood, or at runs of marks that it passes once, so the time is linear in the length of the caption.
"""

# ruff: noqa: RUF001 (marks of other scripts are intended)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glitbuild.flism import lists
from glitbuild.flism.vocabulary import (
    APOSTROPHES,
    BRACKETS,
    CLAUSE_STARTERS,
    CLOSERS,
    COMPANIES,
    CONTINUES,
    DASHES,
    DAYS,
    ELISIONS,
    EXTENSIONS,
    FULL_DATES,
    HARD_STOPS,
    LABEL_NOUNS,
    MONTHS,
    NO_PARTICLES,
    NO_STARTS,
    OPEN_ENDS,
    ORDINAL_MONTHS,
    PARTICLES,
    QUOTES,
    STARTERS,
    STOPS,
    ZONES,
    Kind,
    abbreviation,
    is_initial,
)

LONGEST_PAIR = 60
"""Most words within a pair of quotes or brackets; marks further apart are considered unrelated."""

LABEL_MARKS = frozenset([*lists.OPENING, *QUOTES, *APOSTROPHES, "#", "*", "_", "\u2018"])
"""Marks that may surround the number of a list item."""

LONGEST_LABEL = 8
"""Most words of a list item's label, such as "Step 1 . )"."""


def breaks(words: Sequence[str], gaps: Sequence[str]) -> list[int]:
    """Return, in ascending order, each ``i`` such that a sentence ends with ``words[i]``, except for the last word.

    Args:
        words: the n words and marks of the caption.
        gaps: whitespace after each of them; the last is ignored.
    """
    lines = [_line_breaks(gap) for gap in gaps]
    caption = _Caption(words, gaps, lines, *_pairs(words, gaps, lines), _addresses(words, gaps), _is_plain(words))
    items = lists.items(words, gaps, lines, caption.inside, caption.places())
    found: list[int] = []
    first = 0  # index of the first word of word i's sentence
    stop = -1  # index of the last stop, if only closing marks have followed since
    for i in range(len(words) - 1):
        if caption.stops(i):
            stop = i
        elif not caption.closes(i):
            stop = -1
        if i in items.joined:
            continue
        if (i + 1 in items.starts or caption.ends(i, stop)) and not _is_label(words, first, i):
            found.append(i)
            first = i + 1
    if found and _is_label(words, first, len(words) - 1):
        found.pop()
    return found


@dataclass(frozen=True, slots=True)
class _Caption:
    """A caption's words, with their properties computed before the rules run.

    Attributes:
        words: words and marks.
        gaps: whitespace after each word.
        lines: number of line breaks in each gap.
        roles: +1 for each opening quote or bracket, -1 for each closing one, 0 for other words.
        inside: for each gap, whether it is inside a pair of quotes or brackets.
        openings: for each bracket that closes a pair, the index of the one that opens it.
        address: for each word, whether it is part of a URL or an e-mail address.
        plain: whether no sentence of the caption starts with a capital.
    """

    words: Sequence[str]
    gaps: Sequence[str]
    lines: Sequence[int]
    roles: Sequence[int]
    inside: Sequence[bool]
    openings: Mapping[int, int]
    address: Sequence[bool]
    plain: bool

    def places(self) -> dict[int, int]:
        """Return the words that may start the label of a list item, with the kind of position of each."""
        found: dict[int, int] = {}
        stop = False
        for i, word in enumerate(self.words):
            last = i + 1 == len(self.words)
            if i == 0 or self.lines[i - 1]:
                place = lists.LINE
            else:
                place = lists.AFTER if stop or self.words[i - 1] in ":：;；" else lists.WEAK
            marked = not word[0].isalpha() or (not last and self.words[i + 1] in lists.DELIMITERS)
            free = i == 0 or self.gaps[i - 1] or word in lists.OPENING or self.words[i - 1] in ",;，；:：、"
            free = free or not (word[0].isascii() or self.words[i - 1].isascii())
            if marked and free and not (i and self.inside[i - 1]):
                found[i] = place
            if self.stops(i):
                stop = not (word == "." and abbreviation(self.words, self.gaps, i) is not Kind.NONE)
            elif not self.closes(i):
                stop = False
        return found

    def stops(self, i: int) -> bool:
        """Return whether word i is a stop; in Greek, a semicolon is one, because it is the question mark."""
        word = self.words[i]
        return word[0] in STOPS or (word == ";" and i > 0 and "\u0370" <= self.words[i - 1][-1] <= "\u03ff")

    def closes(self, i: int) -> bool:
        """Return whether word i is a mark that closes what precedes it."""
        return self.roles[i] < 0 or (i > 0 and self.words[i] in APOSTROPHES and not self.gaps[i - 1])

    def ends(self, i: int, stop: int) -> bool:
        """Return whether a sentence ends after word i; ``stop`` is the index of its stop, or -1."""
        gap, follower = self.gaps[i], self.words[i + 1]
        if self.lines[i] > 1:
            return True
        if self.inside[i]:
            return False
        if self.lines[i]:
            return self._ends_with_line(i, stop)
        if stop < 0:
            return bool(gap) and self._comma_for_stop(i)
        if follower[0] in STOPS or follower in NO_STARTS or self.roles[i + 1] < 0:
            return False
        if i > stop and follower in DASHES:
            return False
        if follower in APOSTROPHES and not (gap and not self.gaps[i + 1]):
            return False  # a closing one; an opening one has whitespace only before it
        head = i + 1
        while head < len(self.words) - 1 and self.roles[head] > 0:
            head += 1
        if i > stop and not self._ends_after_bracket(i, head):
            return False
        if self.words[stop] in HARD_STOPS:
            return self._ends_hard(i, stop, head)
        return self._ends_before_space(i, stop, head) if gap else self._ends_without_space(i, stop, head)

    def _ends_with_line(self, i: int, stop: int) -> bool:
        """Decide at a line break; text that continues in lower case on the next line was only wrapped."""
        word, follower = self.words[i], self.words[i + 1]
        if stop >= 0:
            wrapped = follower[0].islower() or follower[0].isdigit()
            return not (wrapped and i == stop and word == "." and self._is_abbreviated(stop, follower))
        if word.lower() in OPEN_ENDS:
            return False
        return word in ":：" or not follower[0].islower()

    def _ends_after_bracket(self, i: int, head: int) -> bool:
        """Decide at a closing mark after a stop; an inner bracket ends a sentence only before a usual word."""
        opening = self.openings.get(i, 0)
        if self.words[i] not in BRACKETS or opening == 0:
            return True
        before = opening - 1
        while before > 0 and self.closes(before):
            before -= 1
        aside = not self.stops(before) and not self.lines[opening - 1]
        return not aside or self.words[head] in STARTERS

    def _ends_hard(self, i: int, stop: int, head: int) -> bool:
        """Decide at a stop of a script that needs no whitespace after it."""
        word, mark = self.words[head], self.words[stop]
        before = self.words[stop - 1] if stop else ""
        if mark == "\uff0e" and not self.gaps[i]:
            letter = len(before) == 1 and before.isalpha() and before.lower() != before.upper()
            return not (word[0].isdigit() or (letter and word[0].isalpha()))
        if i > stop or mark in "？！":
            if word[0].islower() and i > stop:
                return False
            spoken = PARTICLES if i > stop else PARTICLES[:2]
            if not self.gaps[i] and head == i + 1 and word.startswith(spoken):
                return word.startswith(NO_PARTICLES)
        return True

    def _ends_before_space(self, i: int, stop: int, head: int) -> bool:
        """Decide at a stop followed by whitespace; ``head`` is the next word after any opening marks."""
        word, mark = self.words[head], self.words[stop]
        before = self.words[stop - 1] if stop else ""
        closed = i > stop
        ellipsis = mark in "…‥" or (mark == "." and before in (".", "…"))
        if closed and self.words[i] in BRACKETS and mark == "." and self._is_abbreviated(stop, word):
            return not word[0].islower() and word in STARTERS
        if head == i + 1 and word[0].islower():
            if mark != ".":
                return self.plain and not ellipsis and not closed
            return not (ellipsis or closed or self._is_abbreviated(stop, word))
        if mark == "!" and not closed and word in COMPANIES:
            return False
        if closed or ellipsis or mark != ".":
            return True
        if before.isdigit() and word[0].isdigit() and len(before) < 4:
            return False  # "28. 60" with a stray space
        if before.isdigit() and len(before) < 3 and word in ORDINAL_MONTHS:
            return False
        return not self._is_abbreviated(stop, word) or self._ends_abbreviated(stop, head)

    def _is_abbreviated(self, stop: int, word: str) -> bool:
        """Return whether the full stop belongs to an abbreviation, given the word after it."""
        kind = abbreviation(self.words, self.gaps, stop)
        if kind is Kind.REFERENCE:
            return word[0].isdigit()
        return kind is not Kind.NONE and not (kind in (Kind.UNIT, Kind.SIZE) and word in CONTINUES)

    def _ends_abbreviated(self, stop: int, head: int) -> bool:
        """Decide at an abbreviation's full stop before a word that is not in lower case."""
        word = self.words[head]
        kind = abbreviation(self.words, self.gaps, stop)
        if kind is Kind.NEVER or word[0].isdigit():
            return False
        if kind is Kind.CLOCK:
            return word[0].isalpha() and word not in ZONES and word not in FULL_DATES and word not in DAYS
        if kind is Kind.UNIT:
            return True
        if kind is Kind.DATE and (word in DAYS or word in FULL_DATES or word.lower() in MONTHS):
            return False
        return word in STARTERS and not is_initial(self.words, self.gaps, head)

    def _ends_without_space(self, i: int, stop: int, head: int) -> bool:
        """Decide at a stop that the next word follows directly, as in "dog.The", but not in "U.S." or "a.jpg"."""
        before, word = self.words[stop - 1] if stop else "", self.words[head]
        if self.address[i]:
            return False
        kind = abbreviation(self.words, self.gaps, stop) if self.words[stop] == "." else Kind.NONE
        if head > i + 1:
            return bool(before) and (kind is Kind.NONE or kind is Kind.LETTER)
        if before and _is_uncased(before[-1]) and _is_uncased(word[0]) and kind is Kind.NONE:
            return self.words[stop] not in "…‥"
        ordinary = i > stop or before.isdigit() or (len(before) > 1 and before.islower())
        capital = word[0].isupper() and (word[1:2].islower() or word in STARTERS)
        if not capital or word in EXTENSIONS:
            return False
        if kind is not Kind.NONE and kind is not Kind.REFERENCE and word not in STARTERS:
            return False
        return ordinary or (stop > 0 and self.roles[stop - 1] < 0)

    def _comma_for_stop(self, i: int) -> bool:
        """Return whether a comma or nothing is in place of a full stop, as in "a red hat, The man is"."""
        word, follower = self.words[i], self.words[i + 1]
        after = self.words[i + 2] if i + 2 < len(self.words) else ""
        if follower not in CLAUSE_STARTERS or not after.islower():
            return False
        if follower == "A" and after in ("and", "or", "is", "has"):
            return False  # the letter A
        return word == "," or (len(word) > 1 and word.isalpha())


def _is_uncased(letter: str) -> bool:
    """Return whether a letter belongs to a script without capitals."""
    return letter.isalpha() and letter.lower() == letter.upper()


def _is_plain(words: Sequence[str]) -> bool:
    """Return whether a caption is written without capitals at the start of its sentences."""
    first = next((word for word in words if word[0].isalpha()), "")
    return first[:1].islower() and STARTERS.isdisjoint(words)


def _is_label(words: Sequence[str], first: int, last: int) -> bool:
    """Return whether words ``first`` to ``last`` are just an item's label: "1.", "(2)", "#3." or "Step 4."."""
    if last - first >= LONGEST_LABEL:
        return False
    rest = list(words[first : last + 1])
    if rest[-1].isalnum() or rest[-1][0] in "!?！？":
        return False
    if len(rest) > 2 and rest[0].lower() in LABEL_NOUNS:
        del rest[0]
    solid = [word for word in rest if word[0].isalnum()]
    marks = [word for word in rest if not word[0].isalnum()]
    if len(solid) != 1 or not all(word in lists.DELIMITERS or word in LABEL_MARKS for word in marks):
        return False
    number = solid[0].replace(".", "")
    return number.isdigit() and len(number) <= lists.LONGEST_NUMBER


def _addresses(words: Sequence[str], gaps: Sequence[str]) -> list[bool]:
    """Return for each word whether it is part of a URL or an e-mail address, which contain no whitespace."""
    found = [False] * len(words)
    start, marked = 0, False
    for i, word in enumerate(words):
        slashes = word == "/" and i > 1 and words[i - 1] == "/" and words[i - 2] == ":"
        marked = marked or slashes or word == "@" or (i == start and word.lower() == "www")
        if gaps[i] or i == len(words) - 1:
            if marked:
                found[start : i + 1] = [True] * (i + 1 - start)
            start, marked = i + 1, False
    return found


def _pairs(
    words: Sequence[str], gaps: Sequence[str], lines: Sequence[int]
) -> tuple[list[int], list[bool], dict[int, int]]:
    """Pair quotes with quotes and brackets with brackets.

    A mark stays unpaired if a blank line, too many words or a second opening mark intervene.

    Returns:
        For each of the n words, +1 for an opening mark, -1 for a closing one, else 0; for each of the n gaps,
        whether it is inside a pair; and for each bracket that closes a pair, the one that opens it.
    """
    roles = [0] * len(words)
    inside = [False] * len(words)
    _pair_quotes(words, gaps, lines, roles, inside)
    openings = _pair_brackets(words, lines, roles, inside)
    _pair_single_quotes(words, gaps, lines, roles, inside)
    return roles, inside, openings


def _pair_quotes(
    words: Sequence[str], gaps: Sequence[str], lines: Sequence[int], roles: list[int], inside: list[bool]
) -> None:
    opening = -1
    for i, word in enumerate(words):
        if opening >= 0 and (i - opening > LONGEST_PAIR or lines[i - 1] > 1):
            opening = -1
        if word not in QUOTES:
            continue
        roles[i] = QUOTES[word] or _role(words, gaps, i) or (-1 if opening >= 0 else 1)
        if roles[i] < 0 <= opening:
            inside[opening:i] = [True] * (i - opening)
        opening = i if roles[i] > 0 else -1


def _pair_brackets(
    words: Sequence[str], lines: Sequence[int], roles: list[int], inside: list[bool]
) -> dict[int, int]:
    closing = frozenset(CLOSERS.values())
    openings: dict[int, int] = {}
    opened: dict[str, int] = {}  # by closing bracket
    for i, word in enumerate(words):
        if i and lines[i - 1] > 1:
            opened.clear()
        if word in CLOSERS:
            roles[i] = 1
            opened[CLOSERS[word]] = i
        elif word in closing:
            roles[i] = -1
            opening = opened.pop(word, -1)
            if opening >= 0 and i - opening <= LONGEST_PAIR:
                inside[opening:i] = [True] * (i - opening)
                openings[i] = opening
    return openings


def _pair_single_quotes(
    words: Sequence[str], gaps: Sequence[str], lines: Sequence[int], roles: list[int], inside: list[bool]
) -> None:
    """Pair single quotes; all except those that certainly open or close are apostrophes."""
    opening = -1
    for i, word in enumerate(words):
        if opening >= 0 and (i - opening > LONGEST_PAIR or lines[i - 1] > 1):
            opening = -1
        if word != "\u2018" and word not in APOSTROPHES:
            continue
        before = i == 0 or bool(gaps[i - 1]) or roles[i - 1] > 0
        after = i == len(words) - 1 or bool(gaps[i]) or words[i + 1] in STOPS or words[i + 1] in NO_STARTS
        if before and not after and word != "\u2019":
            follower = words[i + 1]
            decade = follower[0].isdigit() and follower[-1] == "s"
            opening = -1 if decade or follower.lower() in ELISIONS else i
        elif opening >= 0 and after and word != "\u2018":
            roles[opening], roles[i] = 1, -1
            inside[opening:i] = [True] * (i - opening)
            opening = -1


def _role(words: Sequence[str], gaps: Sequence[str], i: int) -> int:
    """Return +1 for a mark that, given its neighbours, can only open, -1 for one that can only close, else 0."""
    before = i == 0 or bool(gaps[i - 1]) or words[i - 1] in CLOSERS
    after = i == len(words) - 1 or bool(gaps[i]) or words[i + 1] in STOPS or words[i + 1] in NO_STARTS
    return int(before) - int(after)


def _line_breaks(gap: str) -> int:
    """Count the line breaks in whitespace; a carriage return with a line feed counts as one."""
    return 0 if gap in ("", " ") else len((gap + ".").splitlines()) - 1
