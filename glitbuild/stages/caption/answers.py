"""Which answers are captions, and why others aren't."""

import unicodedata

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.caption.reasoning import (
    decoded,
    leftover,
    thinks_aloud,
    without_reasoning,
    without_template_tokens,
)
from glitbuild.stages.caption.refusals import LOOKED_AT, is_refusal
from glitbuild.stages.caption.repetition import repeated_part
from glitbuild.stages.caption.response import Answer, Finish, finish_of
from glitbuild.stages.caption.wrappers import NoCaptionError, unwrapped
from glitbuild.stages.ingest.accept import Limits, check_caption

SHOWN = 200
"""Characters of an answer that a skipped row shows."""

LONGEST_ANSWER = 1_000_000
"""Characters of an answer that is looked at: a caption with all its reasoning."""

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
"""Wrappers of different kinds within each other: tokens around a code block with reasoning in it."""


def check_answer(answer: Answer) -> str:
    """Return an answer as a caption: all of it, without what is around it.

    Raises:
        Rejected: it is a refusal, empty, caught in a loop, cut off at the token limit, or something else than a
            text about a picture.
    """
    finish = finish_of(answer, answer.text)
    if answer.refusal or finish == Finish.REFUSED:
        raise Rejected(SkipReason.CAPTION_REFUSED, _shown(answer.refusal) or "the endpoint's content filter")
    if answer.beside and not answer.text.strip():
        raise Rejected(SkipReason.CAPTION_EMPTY, f"nothing but {answer.beside}")
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
        raise Rejected(SkipReason.CAPTION_REPEATED, f"again and again: {_shown(part)}")
    finish = finish_of(answer, caption)
    if finish == Finish.CUT:
        raise _cut(answer, caption)
    if finish == Finish.BROKEN:
        why = f"ended with finish_reason {_shown(answer.finish_reason)}, behind: {_shown(caption[-SHOWN:])}"
        raise Rejected(SkipReason.CAPTION_FAILED, why)
    if "\ufffd" in caption:
        raise Rejected(SkipReason.CAPTION_ENCODING, f"lost characters: {_shown(caption)}")
    if token := leftover(caption):
        raise Rejected(SkipReason.CAPTION_MALFORMED, f"{token} within: {_shown(caption)}")
    if thinks_aloud(caption):
        raise Rejected(SkipReason.CAPTION_MALFORMED, f"reasoning: {_shown(caption)}")
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
    """Return whether a text has a letter, a digit or a picture character, and isn't a word for nothing."""
    if caption.strip(" .!*_-<>()[]").lower() in PLACEHOLDERS:
        return False
    return any(character.isalnum() or unicodedata.category(character) == "So" for character in caption)


def _empty(answer: Answer, finish: Finish, whole: str) -> Rejected:
    if part := repeated_part(whole[:LOOKED_AT]):
        return Rejected(SkipReason.CAPTION_REPEATED, f"again and again: {_shown(part)}")
    if finish == Finish.CUT:
        return _cut(answer, whole)
    return Rejected(SkipReason.CAPTION_EMPTY, f"reasoning or marks, and no caption: {_shown(whole)}")


def _cut(answer: Answer, text: str) -> Rejected:
    said = answer.finish_reason in ("length", "max_tokens") or answer.at_limit
    where = "at the token limit" if said else f"finish_reason {_shown(answer.finish_reason) or 'not given'}"
    return Rejected(SkipReason.CAPTION_CUT, f"{where}, behind: {_shown(text[-SHOWN:])}")


def _shown(text: str) -> str:
    line = " ".join(text[: 2 * SHOWN].split())
    return line if len(line) <= SHOWN and len(text) <= 2 * SHOWN else line[:SHOWN] + "..."
