"""Reasoning that stands in front of an answer, in the markers of the models that write it."""

import re

from glitbuild.stages.caption.phrases import LOOKED_AT, phrases, plain, quoted

# Names of elements that hold reasoning: think, thinking, seed:think, antThinking, begin_of_thought, reasoning, ...
_NAME = (
    r"(?:[a-z]{1,12}[:_]?)?(?:think(?:ing)?|thoughts?|thought_process|reason(?:ing)?|reflect(?:ion)?|scratchpad|"
    r"rationale|analysis|chain_of_thought|cot|inner_monologue)"
)

_PAIRS = (
    (rf"<{_NAME}(?:\s[^<>\n]{{0,80}})?>", rf"</{_NAME}\s{{0,9}}>|<{_NAME}\s{{0,9}}/>"),
    (rf"<\|(?!end_){_NAME}\|>", rf"<\|(?:/|end_){_NAME}\|>"),
    (r"<details(?:\s[^<>\n]{0,80})?>", r"</details>"),
    (rf"\[{_NAME}\]", rf"\[/{_NAME}\]"),
    (rf"\u25c1{_NAME}\u25b7", rf"\u25c1/{_NAME}\u25b7"),
    (
        r"<\|(?:begin_of_thought|start_thinking|begin_of_think(?:ing)?|think(?:ing)?_start|think(?:ing)?)\|>",
        r"<\|(?:end_of_thought|end_thinking|end_of_think(?:ing)?|think(?:ing)?_end|/think(?:ing)?)\|>",
    ),
    (r"<unused94>", r"<unused95>"),
    (r"<\|channel>", r"<channel\|>"),
)
"""What opens and closes reasoning."""

_MARKER = re.compile(
    "|".join([f"(?P<open>{'|'.join(opened for opened, _ in _PAIRS)})", *(closed for _, closed in _PAIRS)]),
    re.IGNORECASE,
)
_SURE = re.compile(r"think|thought|reason|[\[|\u25b7\d]", re.IGNORECASE)
"""The closing markers that are nothing else; others may be seen on a screen that shows code."""

_CHANNEL = re.compile(r"<\|channel\|>\s{0,9}(\w+)[^<\n]{0,80}<\|message\|>")
_NEXT_MESSAGE = re.compile(r"<\|(?:start|end|return|call|channel)\|>")

# The same, from a server that leaves out special tokens and keeps the words between them.
_BARE_HARMONY = re.compile(r"analysis(?=[A-Z\"'\u201c]|We |The user)")
_BARE_FINAL = re.compile(r"assistant\s{0,9}final(?![a-z])")

_HEADED = re.compile(
    r"[*#_\s]{0,9}(?:(?:my )?(?:thinking|thought|reasoning|analysis)(?: process)?|here(?:'s| is) (?:a|my|the) "
    r"(?:thinking|thought|reasoning) process(?: that [^:\n]{0,80})?)\s{0,9}[*_]{0,3}:"
    r"|#{1,6} ?(?:thinking|thoughts?|reasoning|analysis)(?: process)?[ \t]{0,9}\n",
    re.IGNORECASE,
)
_ANSWER_HEAD = re.compile(
    r"^[*#_ ]{0,9}(?:here(?:'s| is) my response|(?:final )?(?:answer|response|caption|description|output|result))"
    r"[*_ ]{0,4}:[*_ ]{0,4}|^#{1,6} ?(?:final )?(?:answer|response|caption|description|output|result)[ \t]{0,9}$",
    re.IGNORECASE | re.MULTILINE,
)


def without_reasoning(text: str) -> str:
    """Return an answer without the reasoning in front of it or in it.

    Reasoning whose beginning was left out ends at its closing marker. Where it never ends, or nothing comes
    after it, the result is empty: it is no answer.
    """
    if _CHANNEL.search(text):
        return _final_channel(text)
    if _BARE_HARMONY.match(text.lstrip()):
        return _behind_last(_BARE_FINAL, text)
    text = _without_marked(text)
    if _HEADED.match(text.lstrip()):
        return _behind_last(_ANSWER_HEAD, text)
    return text


def thinks_aloud(text: str) -> bool:
    """Return whether a text begins as reasoning without any marker does."""
    return bool(phrases()["thinks_aloud"].match(plain(text[:LOOKED_AT])))


def _final_channel(text: str) -> str:
    found = [message for message in _CHANNEL.finditer(text) if message[1].lower() == "final"]
    if not found:
        return ""
    answer = text[found[-1].end() :]
    end = _NEXT_MESSAGE.search(answer)
    return answer[: end.start()] if end else answer


def _behind_last(marker: re.Pattern[str], text: str) -> str:
    found = list(marker.finditer(text))
    return text[found[-1].end() :] if found else ""


def _without_marked(text: str) -> str:
    kept: list[str] = []
    position, opened = 0, -1
    for marker in _MARKER.finditer(text):
        if quoted(text, marker.start(), marker.end()):
            continue
        if marker["open"]:
            opened = marker.start() if opened < 0 else opened
        elif opened >= 0:
            kept.append(text[position:opened])
            position, opened = marker.end(), -1
        elif _SURE.search(marker[0]) or _alone(text, marker):
            kept, position = [], marker.end()  # what came before was reasoning, its opening marker is lost
    if opened >= 0 and not "".join([*kept, text[position:opened]]).strip():
        return ""  # it never ends
    return "".join([*kept, text[position:]])


def _alone(text: str, marker: re.Match[str]) -> bool:
    """Return whether a marker ends its line."""
    return text[marker.end() : marker.end() + 20].lstrip(" \t")[:1] in ("", "\n")
