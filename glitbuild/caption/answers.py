"""Which answers are captions, and why others aren't."""

from dataclasses import dataclass

from glitbuild.caption.repetition import repeated_part
from glitbuild.ingest.accept import Limits, check_caption
from glitbuild.ingest.source import Rejected
from glitbuild.records import SkipReason

APOLOGIES = ("i'm sorry", "i am sorry", "sorry", "i apologize", "i apologise", "unfortunately")
"""May stand before a refusal, and are none by themselves."""

REFUSALS = (
    *("i can't", "i cannot", "i can not", "i'm unable to", "i am unable to", "i'm not able to", "i am not able to"),
    *("i won't", "i will not", "as an ai"),
)
"""A text that begins so, behind an apology or not, is a refusal. A caption never speaks of itself."""

SHOWN = 200
"""Characters of an answer that a skipped row shows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: empty where there was none.
        finish_reason: why it ended: ``stop``, ``length``, ``content_filter``, ...
        refusal: what the API itself marks as a refusal, or an empty string.
    """

    text: str
    finish_reason: str = "stop"
    refusal: str = ""


def check_answer(answer: Answer) -> str:
    """Return an answer as a caption: all of it, without the white space around it.

    Raises:
        Rejected: it is a refusal, empty, caught in a loop, or cut off at the token limit.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        raise Rejected(SkipReason.CAPTION_REFUSED, _shown(answer.refusal) or "the endpoint's content filter")
    caption = check_caption(answer.text, Limits().max_caption)
    if is_refusal(caption):
        raise Rejected(SkipReason.CAPTION_REFUSED, _shown(caption))
    if part := repeated_part(caption):
        raise Rejected(SkipReason.CAPTION_REPEATED, f"again and again: {_shown(part)}")
    if answer.finish_reason == "length":
        raise Rejected(SkipReason.CAPTION_CUT, f"at the token limit, behind: {_shown(caption[-SHOWN:])}")
    return caption


def is_refusal(text: str) -> bool:
    """Return whether a text begins as refusals do."""
    start = " ".join(text[:SHOWN].lower().replace("\u2019", "'").split())
    for apology in APOLOGIES:
        if start.startswith(apology):
            start = start.removeprefix(apology).lstrip(" ,.;:!-").removeprefix("but ")
            break
    return start.startswith(REFUSALS)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[:SHOWN] + "..."
