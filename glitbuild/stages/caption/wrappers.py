"""Removes what models put around a caption: JSON, code fences, elements, preambles, headings, quotation marks."""

import ast
import json
import re
from functools import cache
from typing import Any

from glitbuild.stages.caption.refusals import APOSTROPHES, phrases

LONGEST_LITERAL = 100_000

ROUNDS = 8
"""Maximum number of nested wrappers that are removed."""

CAPTION_KEYS = (
    *(
        "caption",
        "captions",
        "description",
        "detailed_description",
        "image_description",
        "image_caption",
        "alt_text",
    ),
    *(
        "detailed_caption",
        "long_caption",
        "long_description",
        "full_description",
        "final_caption",
        "paragraph",
        "desc",
    ),
)
"""Keys of a JSON object whose value is the caption."""

ANSWER_KEYS = ("text", "answer", "final_answer", "response", "output", "result", "content")
"""Keys that hold the caption if none of those is present."""

TEXT_LANGUAGES = ("", "text", "txt", "plaintext", "plain", "markdown", "md", "caption", "description", "output")
STRUCTURED_LANGUAGES = ("yaml", "yml", "xml", "html")

_FENCE = re.compile(r"(`{3,}|~{3,})(?:[ \t]*([\w+-]{0,20})[ \t]*\n)?(.*?)\1\s*", re.DOTALL)
_OPEN_FENCE = re.compile(r"(?:`{3,}|~{3,})[ \t]*([\w+-]{0,20})[ \t]*\n(.*)", re.DOTALL)
_ELEMENT = re.compile(
    r"<((?:final[_-]?|image[_-]?|detailed[_-]?|long[_-]?)?(?:answer|caption|description|response|output|result"
    r"|final|conclusion|solution|paragraph|summary|text|content|alt|p|div|span|section|article|pre|body|b|strong|i|em"
    r"|blockquote))(?:\s[^<>]{0,200})?>(.*)</\1\s*>\s*",
    re.DOTALL | re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}{1,2}\.?\s*")
_BREAK = re.compile(r"(?<=[.!?\u3002])\s?(?:<br\s?/?>\s?)+|</p>\s?<p>", re.IGNORECASE)
_EMPHASIS = re.compile(r"(\*\*|__|\*|_)(?=\S)([^*]+)(?<=\S)\1")
_RULE_BEFORE = re.compile(r"^(?:[-*_=~]{3,}[ \t]*\n\s{0,99})+")
_RULE_BEHIND = re.compile(r"\n[ \t]*(?:[-*_=~]{3,}|#{1,6})$")
_JSON_LIKE = re.compile(r"[\[{]\s*[\[{]?\s*\"[\w ]+\"\s*:")
_CODE = re.compile(
    r"<!doctype\b|<html\b|<\?xml\b|<svg\b|<head\b|<script\b|#!/|import \w+(?:\.\w+)*(?: as \w+)?\n"
    r"|from [\w.]+ import |def \w+\(|function \w*\(|<tool_call>|<function|Traceback \(most recent",
    re.IGNORECASE,
)

_QUOTES = dict(
    pair.split()
    for pair in (
        *('" "', "' '", "` `", '\u201c \u201d"', "\u2018 \u2019", "\u201e \u201c\u201d", "\u00ab \u00bb"),
        *("\u00bb \u00ab", "\u2039 \u203a", "\u300c \u300d", "\u300e \u300f", "\u201d \u201d", "\uff02 \uff02"),
    )
)
"""Opening quotation marks, and the marks that close them."""

_MARKS = r"[*_#=~>\s-]{0,12}"
_HEAD = 400
_TAIL = 400


class NoCaptionError(Exception):
    """An answer is code, or its structure doesn't say which part is the caption."""


def unwrapped(text: str) -> str:
    """Return the text within the wrappers around an answer; the whole text if there are none.

    Raises:
        NoCaptionError: it is code, or an object without a caption.
    """
    for _ in range(ROUNDS):
        before = text
        for take_off in (_without_fence, _without_json, _without_element, _without_lead, _without_closing, _bare):
            text = take_off(text).strip()
        if text == before:
            break
    if _CODE.match(text):
        raise NoCaptionError("code")
    return _BREAK.sub("\n", text)


def _without_fence(text: str) -> str:
    if not text.startswith(("```", "~~~")):
        return text
    fenced = _FENCE.fullmatch(text)
    if fenced and text[:3] not in fenced[3]:
        language, inside = fenced[2] or "", fenced[3]
    elif text.count(text[:3]) == 1 and (opened := _OPEN_FENCE.fullmatch(text)):
        language, inside = opened[1], opened[2]
    else:
        raise NoCaptionError("a code block among other text")
    language = language.lower()
    if language in TEXT_LANGUAGES:
        return inside
    inner = inside.strip()
    if language == "json" and inner[:1] in ("{", "[", '"'):
        return inner
    if language in STRUCTURED_LANGUAGES and (taken := _without_element(_without_lead(inner)).strip()) != inner:
        return taken
    raise NoCaptionError(f"a code block ({language})")


def _without_json(text: str) -> str:
    if text[:1] not in ("{", "[", '"'):
        return text
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        if text.startswith("{'") and (caption := _caption_in(_python_literal(text))) is not None:
            return caption
        if _JSON_LIKE.match(text):
            raise NoCaptionError("invalid JSON") from None
        return text
    caption = _caption_in(value)
    if caption is None:
        raise NoCaptionError("JSON that doesn't say which part is the caption")
    return caption


def _python_literal(text: str) -> Any:
    """Return the value of a dict or list in Python's notation, or None."""
    try:
        return ast.literal_eval(text[:LONGEST_LITERAL])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _caption_in(value: Any) -> str | None:
    for _ in range(ROUNDS):
        if isinstance(value, str):
            return value
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
            continue
        if not isinstance(value, dict) or any("error" in key.lower() for key in value):
            return None
        keys = {re.sub(r"[\s-]+", "_", key.strip().lower()): key for key in value if value[key]}
        named = [keys[name] for name in CAPTION_KEYS if name in keys]
        named = named or [keys[name] for name in ANSWER_KEYS if name in keys]
        if len(named) == 1:
            value = value[named[0]]
        elif not named and len(value) == 1 and isinstance(only := next(iter(value.values())), dict | list):
            value = only
        else:
            return None
    return None


def _without_element(text: str) -> str:
    if boxed := _BOXED.fullmatch(text):
        return boxed[1]
    found = _ELEMENT.fullmatch(text) if text.startswith("<") else None
    if found is None or (f"</{found[1]}" in found[2] and found[1] != "p"):
        return text
    return found[2]


def _without_lead(text: str) -> str:
    """Return a text without a lead such as "Sure! Here is a description:" or "**Caption:**"."""
    head = text[:_HEAD].translate(APOSTROPHES)
    for pattern in _leads():
        found = pattern.match(head)
        if found and any(map(str.isalnum, text[found.end() :])):
            return text[found.end() :]
    return text


@cache
def _leads() -> tuple[re.Pattern[str], ...]:
    known = {name: pattern.pattern for name, pattern in phrases().items()}
    label, end = known["lead.labels"], r"[*_\s]{0,4}(?:[:\uff1a][*_]{0,3}|=(?=\s?[\"']))\s*"
    lines = (
        rf"{_MARKS}{known['lead.courtesy']}(?:{known['lead.phrases']})[*_]{{0,3}}\s{{0,2}}(?:[:\uff1a]|[.!\u3002]?\s{{0,3}}(?=\n))"
        r"[*_]{0,3}\s*",
        rf"{_MARKS}(?:{label}){end}",
        rf"{_MARKS}(?:{label})[*_#\s]{{0,6}}\n\s*",
        rf"[\u3010\[](?:{label})[\u3011\]][:\uff1a]?\s*",
        r"(?:sure(?: thing)?|certainly|of course|absolutely|definitely)!\s+(?=\S)",
    )
    return tuple(re.compile(line, re.IGNORECASE) for line in lines)


def _without_closing(text: str) -> str:
    """Return a text without a closing sentence such as "Let me know if you need anything else!"."""
    found = _closing().search(text, max(0, len(text) - _TAIL))
    return text[: found.start()] if found and any(map(str.isalnum, text[: found.start()])) else text


@cache
def _closing() -> re.Pattern[str]:
    start = r"(?:\n\s*(?:[*_-]{1,3}\s*)?|(?<=[.!?\u3002\uff01])[ \t]*)"
    return re.compile(rf"{start}(?:{phrases()['lead.closing'].pattern})[^\n\"\u201d]{{0,250}}$", re.IGNORECASE)


def _bare(text: str) -> str:
    """Return a text without emphasis or quotation marks around the whole of it."""
    text = _RULE_BEFORE.sub("", _RULE_BEHIND.sub("", text))
    if emphasis := _EMPHASIS.fullmatch(text):
        return emphasis[2]
    closers = _QUOTES.get(text[:1], "")
    if len(text) < 2 or not closers or text[-1] not in closers:
        return text
    inside = text[1:-1]
    for mark in {text[0], text[-1]}:
        inner = inside if mark not in "'\u2019" else re.sub(rf"(?<=\w){mark}(?=\w)", "", inside)
        if mark in inner and not _nested(text):
            return text
    return inside


def _nested(text: str) -> bool:
    """Return whether the first quotation mark is closed by the last, with any others properly nested between."""
    opening, closing = text[0], text[-1]
    if opening == closing:
        return False
    depth = 0
    for index, character in enumerate(text):
        depth += (character == opening) - (character == closing)
        if depth == 0:
            return index == len(text) - 1
    return False
