"""Decides which answers are captions, and why others are not."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.caption.reasoning import (
    decoded,
    leftover,
    thinks_aloud,
    without_reasoning,
    without_template_tokens,
)
from glitbuild.stages.caption.refusals import LOOKED_AT, is_refusal
from glitbuild.stages.caption.response import Answer, Finish, finish_of
from glitbuild.stages.caption.wrappers import NoCaptionError, unwrapped
from glitbuild.stages.ingest.accept import Limits, check_caption

SENTENCE_TIMES = 3
"""Number of times that a sentence must occur to count as a loop..."""
SENTENCE_WORDS = 4
"""...if it has at least this many words."""

RUN_TIMES = 4
"""Number of consecutive repetitions of a run of words that count as a loop..."""
RUN_WORDS = 16
"""...if they have at least this many words in total."""
LONGEST_RUN = 60
"""Longest run that is looked for, in words."""

COUNTED_TIMES = 6
COUNTED_WORDS = 24
"""The same limits for a run in which only the numbers change: "1. a red car 2. a red car"."""

MARK_WORDS = 40
"""The same limit for runs of whitespace-separated tokens, including emoji and punctuation."""

SAME_CHARACTER = 40
FILLING = "._-=*\u00b7\u2026\u2500~#+ "
SAME_FILLING = 120
"""Number of consecutive equal characters that count as a loop; lines and dots of forms and tables may be longer."""

UNSPACED_RUN = 60
"""Minimum length in characters of a loop of ``RUN_TIMES`` repetitions without whitespace ("hahaha...")..."""
WIDE_RUN = 24
"""...and in scripts without spaces, where a character counts as about half a word."""

_WIDE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_ENDS = re.compile(r"[.!?\n\u3002\uff01\uff1f\uff0e\u0964\u061f\u06d4]")


def repeated_part(text: str) -> str:
    """Return the part of a text that is repeated in a loop, or an empty string if there is none.

    Case, punctuation and whitespace are ignored.
    """
    words, tokens = _words(text), text.lower().split()
    return (
        _repeated_sentence(text)
        or _repeated_run(words, RUN_TIMES, RUN_WORDS)
        or _repeated_character(text)
        or _repeated_unspaced(text)
        or _repeated_counted(words)
        or _repeated_marks(tokens)
    )


def _repeated_counted(words: list[str]) -> str:
    counted = [re.sub(r"\d+", "#", word) for word in words]
    many = sum("#" in word for word in counted) >= COUNTED_TIMES
    return _repeated_run(counted, COUNTED_TIMES, COUNTED_WORDS) if many else ""


def _repeated_marks(tokens: list[str]) -> str:
    marks = sum(not any(map(str.isalnum, token)) for token in tokens)
    return _repeated_run(tokens, RUN_TIMES, MARK_WORDS) if marks >= RUN_TIMES else ""


def _repeated_sentence(text: str) -> str:
    sentences = (_words(part) for part in _ENDS.split(text))
    long = Counter(" ".join(words) for words in sentences if _length(words) >= SENTENCE_WORDS)
    for sentence, times in long.most_common(1):
        if times >= SENTENCE_TIMES:
            return sentence
    return ""


def _repeated_run(words: Sequence[str], times: int, least: int, longest: int = LONGEST_RUN, join: str = " ") -> str:
    """Return the first run of words repeated back to back at least ``times`` times and ``least`` words long."""
    for length in range(1, min(longest, len(words) // times) + 1):
        needed = max(times * length, least) - length
        same = 0
        for index in range(length, len(words)):
            same = same + 1 if words[index] == words[index - length] else 0
            if same >= needed:
                return join.join(words[index - length + 1 : index + 1])
    return ""


def _repeated_character(text: str) -> str:
    squeezed = "".join(text.split())
    for found in re.finditer(rf"(.)\1{{{SAME_CHARACTER - 1},}}", squeezed):
        if found[1] not in FILLING or len(found[0]) >= SAME_FILLING:
            return found[1]
    return ""


def _repeated_unspaced(text: str) -> str:
    for run in text.lower().split():
        wide = _WIDE.search(run)
        least = WIDE_RUN if wide else UNSPACED_RUN
        if len(run) >= least and not set(run) <= set(FILLING):
            part = _repeated_run(run, RUN_TIMES, least, join="")
            if part and (not wide or _WIDE.search(part) or len(part) * RUN_TIMES >= UNSPACED_RUN):
                return part
    return ""


def _length(words: list[str]) -> float:
    """Return the number of words; a character of a script without spaces counts as half a word."""
    return sum(len(word) / 2 if _WIDE.search(word) and len(word) > 1 else 1 for word in words)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


SHOWN = 200
"""Number of characters of an answer that a skipped row quotes."""

LONGEST_ANSWER = 1_000_000
"""Maximum number of characters of an answer that is examined: a caption with all its reasoning."""

PLACEHOLDERS = (
    "n/a",
    "na",
    "none",
    "null",
    "undefined",
    "nan",
    "nil",
    "caption",
    "description",
    "ok",
    "okay",
    "image",
    "picture",
    "photo",
    "thinking",
)

NO_WIDTH = " \t\n\u200b\u200e\u200f\u2060\ufeff"

LAYERS = 4
"""Maximum nesting of wrappers of different kinds, such as tokens around a code block with reasoning in it."""


def check_answer(answer: Answer) -> str:
    """Return an answer as a caption: the whole text, without the wrappers around it.

    Raises:
        Rejected: it is a refusal, empty, a loop, cut off at the token limit, or anything else that is not a
            description of an image.
    """
    finish = finish_of(answer, answer.text)
    if answer.refusal or finish == Finish.REFUSED:
        raise Rejected(SkipReason.CAPTION_REFUSED, _shown(answer.refusal) or "the endpoint's content filter")
    if answer.beside and not answer.text.strip():
        raise Rejected(SkipReason.CAPTION_EMPTY, f"no text, only {answer.beside}")
    whole = check_caption(answer.text, LONGEST_ANSWER)
    try:
        caption = _caption_in(whole)
    except NoCaptionError as error:
        if finish == Finish.CUT:
            raise _cut(answer, whole) from error
        raise Rejected(SkipReason.CAPTION_MALFORMED, f"{error}: {_shown(whole)}") from error
    if not _says_something(caption):
        raise _empty(answer, finish, whole)
    caption = check_caption(caption, Limits().max_caption)
    if is_refusal(caption):
        raise Rejected(SkipReason.CAPTION_REFUSED, _shown(caption))
    if part := repeated_part(caption):
        raise Rejected(SkipReason.CAPTION_REPEATED, f"repeated in a loop: {_shown(part)}")
    finish = finish_of(answer, caption)
    if finish == Finish.CUT:
        raise _cut(answer, caption)
    if finish == Finish.BROKEN:
        why = f"ended with finish_reason {_shown(answer.finish_reason)} after: {_shown(caption[-SHOWN:])}"
        raise Rejected(SkipReason.CAPTION_FAILED, why)
    if "\ufffd" in caption:
        raise Rejected(
            SkipReason.CAPTION_ENCODING, f"replacement characters (U+FFFD) for lost text: {_shown(caption)}"
        )
    if token := leftover(caption):
        raise Rejected(SkipReason.CAPTION_MALFORMED, f"token {token} within the text: {_shown(caption)}")
    if thinks_aloud(caption):
        raise Rejected(SkipReason.CAPTION_MALFORMED, f"reasoning without a marker: {_shown(caption)}")
    return caption


def _caption_in(text: str) -> str:
    for _ in range(LAYERS):
        before = text
        text = unwrapped(without_template_tokens(without_reasoning(text)).strip())
        if text == before:
            break
    written_out = decoded(text)
    return (text if written_out == text else unwrapped(written_out.strip())).strip(NO_WIDTH).strip()


def _says_something(caption: str) -> bool:
    """Return whether a text has a letter, a digit or a pictograph, and isn't a placeholder."""
    if caption.strip(" .!*_-<>()[]").lower() in PLACEHOLDERS:
        return False
    return any(character.isalnum() or unicodedata.category(character) == "So" for character in caption)


def _empty(answer: Answer, finish: Finish, whole: str) -> Rejected:
    if part := repeated_part(whole[:LOOKED_AT]):
        return Rejected(SkipReason.CAPTION_REPEATED, f"repeated in a loop: {_shown(part)}")
    if finish == Finish.CUT:
        return _cut(answer, whole)
    return Rejected(SkipReason.CAPTION_EMPTY, f"only reasoning or punctuation, no caption: {_shown(whole)}")


def _cut(answer: Answer, text: str) -> Rejected:
    said = answer.finish_reason in ("length", "max_tokens") or answer.at_limit
    where = "at the token limit" if said else f"finish_reason {_shown(answer.finish_reason) or 'not given'}"
    return Rejected(SkipReason.CAPTION_CUT, f"cut off ({where}) after: {_shown(text[-SHOWN:])}")


def _shown(text: str) -> str:
    line = " ".join(text[: 2 * SHOWN].split())
    return line if len(line) <= SHOWN and len(text) <= 2 * SHOWN else line[:SHOWN] + "..."
