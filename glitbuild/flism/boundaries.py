"""Where one sentence of an English caption ends and the next begins: rules on its words.

A caption comes as ``words`` (a word or one punctuation mark each, without white space) and ``gaps``:
``gaps[i]`` is the white space between ``words[i]`` and ``words[i + 1]``, often empty. Every rule looks at a
bounded neighbourhood, or at runs of marks that it passes once, so the time is linear in the caption's length.
"""

from collections.abc import Sequence
from dataclasses import dataclass


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


STOPS = frozenset(".!?…")
NO_STARTS = frozenset(",;:)]")
"""Marks that no sentence begins with."""

QUOTES = {'"': 0, "“": 1, "„": 1, "«": 1, "”": -1, "»": -1}
"""Quotation marks: +1 where a mark always opens, -1 where it always closes, 0 where it does either."""

BRACKETS = {"(": 1, "[": 1, ")": -1, "]": -1}
APOSTROPHES = frozenset("'\u2019")

LONGEST_PAIR = 60
"""Words a pair of quotes or brackets may hold; marks further apart are taken as unrelated."""

TITLES = _set("mr mrs ms dr prof gen gov sen rep rev capt lt sgt messrs mt approx vs ca cf fig figs")
"""Abbreviations that do not end a sentence."""

ABBREVIATIONS = _set("st jr sr inc co corp ltd bros ave blvd rd hwy etc ft oz lb lbs sq dept est")
"""Abbreviations that end a sentence only where a usual first word of a sentence follows."""

CLAUSE_STARTERS = _set("The There It This These They In On At To Behind Above Below An A")
"""Capitalised words that begin a sentence even after a comma or no mark at all: a mistyped full stop."""

STARTERS = CLAUSE_STARTERS | _set(
    "Its Those That He She His Her Under Underneath Beneath Beside Between Near Next From With Along Around "
    "Across Over Inside Outside Both One Two Three Some All Each Another While When As Directly Surrounding"
)


def breaks(words: Sequence[str], gaps: Sequence[str]) -> list[int]:
    """Return each ``i``, ascending, where a sentence ends with ``words[i]``, leaving out the last word.

    Args:
        words: the caption's n words and marks.
        gaps: the white space after each of them; the last is ignored.
    """
    caption = _Caption(words, gaps, *_pairs(words, gaps))
    found = []
    stop = -1  # The last stop, if nothing but closing marks has come since.
    for i in range(len(words) - 1):
        if words[i] in STOPS:
            stop = i
        elif not (caption.roles[i] < 0 or (words[i] in APOSTROPHES and not gaps[i - 1])):
            stop = -1
        if caption.ends(i, stop):
            found.append(i)
    return found


@dataclass(frozen=True, slots=True)
class _Caption:
    """A caption's words with what ``_pairs`` says of its quotes and brackets."""

    words: Sequence[str]
    gaps: Sequence[str]
    roles: Sequence[int]
    inside: Sequence[bool]

    def ends(self, i: int, stop: int) -> bool:
        """Tell whether a sentence ends after word i, where ``stop`` is its stop or -1."""
        gap, follower = self.gaps[i], self.words[i + 1]
        lines = _line_breaks(gap)
        if lines > 1:
            return True
        if self.inside[i]:
            return False
        if lines:
            # Text that goes on in lower case on the next line was only wrapped.
            return stop >= 0 or not follower[0].islower()
        if stop < 0:
            return bool(gap) and self._comma_for_stop(i)
        if follower in STOPS or follower in NO_STARTS or self.roles[i + 1] < 0:
            return False
        if follower in APOSTROPHES and not (gap and not self.gaps[i + 1]):
            return False  # It closes: one that opens has white space before it alone.
        head = i + 1
        while head < len(self.words) - 1 and self.roles[head] > 0:
            head += 1
        return self._ends_before_space(i, stop, head) if gap else self._ends_without_space(i, stop, head)

    def _ends_before_space(self, i: int, stop: int, head: int) -> bool:
        """Judge a stop with white space after it; ``head`` is the next word past opening marks."""
        word, mark = self.words[head], self.words[stop]
        before = self.words[stop - 1] if stop else ""
        closed = i > stop
        ellipsis = mark == "…" or (mark == "." and before in (".", "…"))
        abbreviated = mark == "." and self._is_abbreviated(stop)
        if head == i + 1 and word[0].islower():
            return mark == "." and not (ellipsis or closed or abbreviated)
        if closed or ellipsis or mark != ".":
            return True
        if before.isdigit() and (word[0].isdigit() or stop == 1 or _line_breaks(self.gaps[stop - 2])):
            return False  # "28. 60" with a stray space, or the number of a list's item.
        if before.lower() in ("no", "nos") and word[0].isdigit():
            return False
        if not abbreviated:
            return True
        initial = self.words[head + 1 : head + 2] == ["."] and not self.gaps[head]
        return before.lower() not in TITLES and word in STARTERS and not initial

    def _ends_without_space(self, i: int, stop: int, head: int) -> bool:
        """Judge a stop that the next word follows directly, as in "dog.The", but not in "U.S." or "a.jpg"."""
        before, word = self.words[stop - 1] if stop else "", self.words[head]
        if head > i + 1:
            return bool(before) and before.lower() not in TITLES
        ordinary = i > stop or before.isdigit() or (len(before) > 1 and before.islower())
        capital = word[0].isupper() and (word[1:2].islower() or word in STARTERS)
        return capital and (ordinary or (stop > 0 and self.roles[stop - 1] < 0))

    def _is_abbreviated(self, stop: int) -> bool:
        """Tell whether the full stop belongs to an abbreviation, a single letter or the last of several."""
        if stop == 0 or self.gaps[stop - 1]:
            return False
        before = self.words[stop - 1].lower()
        return (len(before) == 1 and before.isalpha()) or before in TITLES or before in ABBREVIATIONS

    def _comma_for_stop(self, i: int) -> bool:
        """Tell whether a comma or nothing stands where a full stop belongs: "a red hat, The man is"."""
        word, follower = self.words[i], self.words[i + 1]
        after = self.words[i + 2] if i + 2 < len(self.words) else ""
        if follower not in CLAUSE_STARTERS or not after.islower():
            return False
        if follower == "A" and after in ("and", "or", "is", "has"):
            return False  # The letter A.
        return word == "," or (len(word) > 1 and word.isalpha())


def _pairs(words: Sequence[str], gaps: Sequence[str]) -> tuple[list[int], list[bool]]:
    """Pair quotes with quotes and brackets with brackets.

    A blank line, too many words, or a second opening mark leaves a mark single.

    Returns:
        For each of the n words +1 for an opening mark, -1 for a closing one, else 0; and for each of the n
        gaps whether it is inside a pair.
    """
    roles = [0] * len(words)
    inside = [False] * len(words)
    for marks in (QUOTES, BRACKETS):
        opening = -1
        for i, word in enumerate(words):
            if opening >= 0 and (i - opening > LONGEST_PAIR or _line_breaks(gaps[i - 1]) > 1):
                opening = -1
            if word not in marks:
                continue
            roles[i] = marks[word] or _role(words, gaps, i) or (-1 if opening >= 0 else 1)
            if roles[i] < 0 <= opening:
                inside[opening:i] = [True] * (i - opening)
            opening = i if roles[i] > 0 else -1
    return roles, inside


def _role(words: Sequence[str], gaps: Sequence[str], i: int) -> int:
    """Return +1 for a mark that by its neighbours can only open, -1 for one that can only close, else 0."""
    before = i == 0 or bool(gaps[i - 1]) or BRACKETS.get(words[i - 1], 0) > 0
    after = i == len(words) - 1 or bool(gaps[i]) or words[i + 1] in STOPS or words[i + 1] in NO_STARTS
    return int(before) - int(after)


def _line_breaks(gap: str) -> int:
    """Count the line breaks in white space; a carriage return with a line feed is one."""
    return 0 if gap in ("", " ") else len((gap + ".").splitlines()) - 1
