"""Parses a response of the endpoint: its text, and how it ended."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of a model.

    Attributes:
        text: text of the answer; empty if there was none.
        finish_reason: why it ended, as the server spells it; empty if the server doesn't say.
        refusal: text that the API itself marks as a refusal, or an empty string.
        at_limit: whether it used all the tokens that were requested.
        beside: what there was instead of a text, for messages: ``reasoning``, ``a tool call``.
    """

    text: str
    finish_reason: str = "stop"
    refusal: str = ""
    at_limit: bool = False
    beside: str = ""


class Finish(Enum):
    """Meaning of a ``finish_reason``."""

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
"""Spellings of OpenAI, text-generation-inference, Together, Anthropic and Cohere."""

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
"""Characters that may follow the end of a sentence."""


def finish_of(answer: Answer, caption: str) -> Finish:
    """Return how an answer ended.

    If the server doesn't say, or the answer used all its tokens, the text decides: it is complete if it ends like
    a sentence.

    Args:
        answer: answer as received.
        caption: text of the answer without wrappers.
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
    """Return whether a text ends with sentence-ending punctuation."""
    end = text.rstrip().rstrip(CLOSERS).rstrip()
    return bool(end) and end[-1] in SENTENCE_ENDS


REASON_LENGTH = 300
"""Number of characters of a body that an error quotes."""

TEXT_PARTS = ("text", "output_text", "")
"""Types of content parts that hold the answer; others hold reasoning, images or tool calls."""


class UnreadableError(Exception):
    """A chat completion has no text where the text should be."""


def read_answer(body: bytes, max_tokens: int) -> Answer:
    """Read the first choice of a chat completion.

    A content that is a list of parts is joined; the ``text`` of a text completion is read like a message.

    Args:
        body: body of a successful response.
        max_tokens: maximum number of tokens that was requested.

    Raises:
        ValueError: it is not a chat completion, but for example a web page or an error.
        UnreadableError: it is one, but has something else where the text should be.
    """
    try:
        completion = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a chat completion: {_shown(body.decode('utf-8', 'replace'))}") from error
    if not isinstance(completion, dict) or "choices" not in completion:
        raise ValueError(f"not a chat completion: {_shown(completion)}")
    choice = _first_choice(completion)
    message = choice.get("message")
    if message is None and isinstance(choice.get("text"), str):
        message = {"content": choice["text"]}
    if not isinstance(message, dict):
        raise UnreadableError(f"the answer has no message: {_shown(completion)}")
    refusals: list[str] = []
    text = _text(message.get("content"), refusals)
    if isinstance(message.get("refusal"), str):
        refusals.append(message["refusal"])
    used = completion.get("usage")
    tokens = used.get("completion_tokens") if isinstance(used, dict) else None
    at_limit = isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= max_tokens
    return Answer(text, _finish_reason(choice), " ".join(refusals).strip(), at_limit, _beside(message))


def _first_choice(completion: dict[str, Any]) -> dict[str, Any]:
    choices = completion["choices"]
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict):
        raise UnreadableError(f"the answer has no choice: {_shown(completion)}")
    return first


def _text(content: Any, refusals: list[str]) -> str:
    """Return a content as text; refusals that it marks are appended to ``refusals``."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return join_parts(_parts(content, refusals))
    if isinstance(content, dict):
        return "".join(_parts([content], refusals))
    raise UnreadableError(f"the answer's content is not text: {_shown(content)}")


def _parts(parts: list[Any], refusals: list[str]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
            continue
        if not isinstance(part, dict):
            raise UnreadableError(f"the answer's content has a part that is not an object or text: {_shown(part)}")
        kind, text = part.get("type") or "", part.get("text")
        if kind == "refusal" and isinstance(part.get("refusal"), str):
            refusals.append(part["refusal"])
        elif kind in TEXT_PARTS:
            if not isinstance(text, str):
                raise UnreadableError(f"the answer's content has a part without text: {_shown(part)}")
            yield text


def join_parts(parts: Iterator[str]) -> str:
    """Join the parts of a content: directly if one of them brings whitespace, otherwise with a space.

    No space is inserted in scripts without spaces.
    """
    joined = ""
    for part in parts:
        if joined and part and _need_space(joined[-1], part[0]):
            joined += " "
        joined += part
    return joined


def _need_space(before: str, after: str) -> bool:
    return (
        not (before.isspace() or after.isspace()) and before < "\u2e80" and (after.isalnum() and after < "\u2e80")
    )


def _finish_reason(choice: dict[str, Any]) -> str:
    reason = choice.get("finish_reason")
    if isinstance(reason, dict):  # SGLang's own API gives an object
        reason = reason.get("type")
    return "" if reason is None else str(reason)


def _beside(message: dict[str, Any]) -> str:
    if any(message.get(name) for name in ("reasoning_content", "reasoning", "thinking")):
        return "reasoning"
    if message.get("tool_calls") or message.get("function_call"):
        return "a tool call"
    return ""


def _shown(value: Any) -> str:
    try:
        return " ".join(str(value)[: 2 * REASON_LENGTH].split())[:REASON_LENGTH]
    except (ValueError, RecursionError):  # a number with too many digits, an object nested too deep
        return type(value).__name__
