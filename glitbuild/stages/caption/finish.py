"""Why an answer ended, by the words that servers have for it."""

from enum import Enum

from glitbuild.stages.caption.response import Answer


class Finish(Enum):
    """What a ``finish_reason`` comes to."""

    DONE = "done"
    CUT = "cut"
    REFUSED = "refused"
    BROKEN = "broken"


DONE = (
    "stop",
    "stop_sequence",
    "stop_token",
    "eos",
    "eos_token",
    "end_turn",
    "end_of_turn",
    "complete",
    "completed",
)
"""OpenAI's word, and those of text-generation-inference, Together, Anthropic and Cohere."""

CUT = (
    *("length", "max_length", "max_tokens", "max_new_tokens", "max_output_tokens", "max_completion_tokens"),
    *("model_length", "token_limit", "context_length_exceeded", "model_context_window_exceeded", "incomplete"),
)

REFUSED = (
    *(
        "content_filter",
        "content_filtered",
        "content_filter_results",
        "filtered",
        "refusal",
        "safety",
        "image_safety",
    ),
    *("recitation", "blocklist", "blocked", "prohibited_content", "spii", "sensitive", "moderation"),
    *("guardrail", "guardrail_intervened", "guardrails"),
)

UNSAID = ("", "null", "none", "unknown", "unspecified")

SENTENCE_ENDS = ".!?\u2026\u3002\uff01\uff1f\uff0e\uff61\u0964\u0965\u061f\u06d4\u0589\u1362"
CLOSERS = "\"'\u2019\u201d\u00bb\u203a\u300d\u300f)]}\uff09\u3011\u300b*_`"
"""May stand behind the end of a sentence."""


def finish_of(answer: Answer, caption: str) -> Finish:
    """Return how an answer ended.

    Where the server doesn't say, or the answer has all the tokens that it may have, the text decides:
    it is whole if it ends as a sentence does.

    Args:
        answer: as it came.
        caption: its text, without what is around it.
    """
    word = answer.finish_reason.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("finish_reason_")
    if word in CUT:
        return Finish.CUT
    if word in REFUSED:
        return Finish.REFUSED
    if word in UNSAID or (word in DONE and answer.at_limit):
        return Finish.DONE if ends_a_sentence(caption) else Finish.CUT
    return Finish.DONE if word in DONE else Finish.BROKEN


def ends_a_sentence(text: str) -> bool:
    """Return whether a text ends with the mark of a sentence's end."""
    end = text.rstrip().rstrip(CLOSERS).rstrip()
    return bool(end) and end[-1] in SENTENCE_ENDS
