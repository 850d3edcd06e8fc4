"""Removes template tokens and reasoning that models and chat templates leave in an answer."""

import html
import re

from glitbuild.stages.caption.refusals import LOOKED_AT, phrases, plain, quoted

_ROLE = r"(?:\s{0,4}(?:assistant|model|bot|gpt|chatbot)\b:?)?"

_NAMES = (
    r"s|bos|eos|pad|unk|mask|sep|cls|image|img|video|start_of_turn|end_of_turn|start_of_image|end_of_image|"
    r"end_of_utterance|fake_token_around_image|image_soft_token|row_\d+_col_\d+|global-img|bos_token|eos_token|"
    r"pad_token|turn|end|begin|unused\d+|extra_id_\d+|imageplaceholder|image_placeholder|image_token"
)
_TOKEN = (
    r"<\|[^|<>\n]{1,40}\|>"  # <|im_end|>, <|eot_id|>, <|endoftext|>
    r"|<\uff5c[^\uff5c<>\n]{1,40}\uff5c>"  # DeepSeek's tokens, with full-width bars
    rf"|</?(?:{_NAMES})/?>|\[/?(?:INST|IMG|IMG_END|IMG_BREAK|PAD|UNK|CLS|SEP|MASK|EOS|BOS|gMASK|SYSTEM_PROMPT)\]"
    r"|<</?SYS>>|<\|?end\|?>|<\|>|\|im_end\|>|<\|im_end"
)
_LEADING = re.compile(
    rf"(?:\s{{0,9}}(?:<\|(?:start_header_id|im_start|start|begin)\|>{_ROLE}|<start_of_turn>{_ROLE}|<\|START_OF_TURN_TOKEN\|>"
    rf"|{_TOKEN}))+\s*"
)
_TRAILING = re.compile(rf"\s*(?:{_TOKEN})\s*$")
_DIALOGUE = re.compile(r"\s{0,9}USER:.{0,5000}?\sASSISTANT:", re.DOTALL)
"""Echo of the request in LLaVA's template, from servers that repeat what they were asked."""

_ENDS = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|return|eos|end_of_turn|END_OF_TURN_TOKEN|end_of_sentence|"
    r"im_start|start_header_id|user|endofturn|end_of_role|start_of_role)\|>"
    r"|<\uff5c(?:end\u2581of\u2581sentence|User)\uff5c>|<end_of_turn>|<end_of_utterance>|<start_of_turn>"
    r"|(?:(?<=[.!?\"'\u201d\u3002\uff01\uff1f)])|(?<=[.!?\"'\u201d\u3002\uff01\uff1f)]\s))(?:</s>|<eos>|<s>\[INST\]|\[INST\])"
)
_LEFT = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<\uff5c[^\uff5c<>\n]{1,40}\uff5c>|\[/?INST\]|<</?SYS>>|<unk>"
    r"|</?(?:start|end)_of_(?:turn|image|utterance)>|<extra_id_\d+>|<unused\d+>|<loc_?\d+>|<seg_?\d+>"
    r"|<(?:box|bbox|ref|quad)>\s{0,4}[\[(]?\d|</?tool_(?:call|response)>|^[ \t]{0,9}</?think(?:ing)?>",
    re.IGNORECASE | re.MULTILINE,
)
_BYTES = re.compile(r"(?:<0x[0-9A-Fa-f]{2}>)+")
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_PIECES = re.compile(r"(?<=[\w.,])[\u0120\u2581](?=\w)|\u010a")
"""Space and line break as byte-level and SentencePiece vocabularies write them."""

MANY_PIECES = 3
LONGEST_TOKEN = 60

ENTITY_PASSES = 3
"""Maximum number of decoding passes: some answers are escaped twice, as in ``&amp;quot;``."""


def without_template_tokens(text: str) -> str:
    """Return an answer without the tokens around it; anything after the end of the model's turn is dropped."""
    text = _without_leading(text)
    said = re.search(r"[^\W_]", text)
    for end in _ENDS.finditer(text, said.start() if said else len(text)):
        in_string = quoted(text, end.start(), end.end()) or text[end.end() : end.end() + 1] == '"'
        if not in_string:
            text = text[: end.start()]
            break
    length = len(text.rstrip())
    while found := _TRAILING.search(text, max(0, length - LONGEST_TOKEN), length):
        length = found.start()
    return text[:length].strip()


def _without_leading(text: str) -> str:
    if text.lstrip().startswith(("[INST]", "<s>[INST]", "<s> [INST]")) and "[/INST]" in text:
        text = text[text.index("[/INST]") + len("[/INST]") :]
    if assistant := _DIALOGUE.match(text):
        text = text[assistant.end() :]
    found = _LEADING.match(text)
    return text[found.end() :] if found else text


def decoded(text: str) -> str:
    """Return a text with its byte tokens (``<0x0A>``) and HTML entities (``&quot;``) decoded.

    Those in quotation marks are kept: they may be on a screen in the image.
    """
    text = _BYTES.sub(lambda found: _bytes_of(found, text), text)
    for _ in range(ENTITY_PASSES):
        unescaped = _ENTITY.sub(lambda found, before=text: _character_of(found, before), text)  # type: ignore[misc]
        if unescaped == text:
            break
        text = unescaped
    return text


def leftover(text: str) -> str:
    """Return a token within a text, or an empty string; a text with such a token isn't what the model meant."""
    for found in _LEFT.finditer(text):
        if not quoted(text, found.start(), found.end()):
            return found[0]
    pieces = _PIECES.findall(text[:10_000])
    return pieces[0] if len(pieces) >= MANY_PIECES else ""


def _bytes_of(found: re.Match[str], text: str) -> str:
    if quoted(text, found.start(), found.end()):
        return found[0]
    return bytes(int(code, 16) for code in re.findall(r"0x(..)", found[0])).decode("utf-8", "replace")


def _character_of(found: re.Match[str], text: str) -> str:
    return found[0] if quoted(text, found.start(), found.end()) else html.unescape(found[0])


# Names of elements that contain reasoning: think, thinking, seed:think, antThinking, begin_of_thought, ...
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
"""Patterns of the markers that open and close reasoning."""

_MARKER = re.compile(
    "|".join([f"(?P<open>{'|'.join(opened for opened, _ in _PAIRS)})", *(closed for _, closed in _PAIRS)]),
    re.IGNORECASE,
)
_SURE = re.compile(r"think|thought|reason|[\[|\u25b7\d]", re.IGNORECASE)
"""Closing markers that occur nowhere else; others may be on a screen with code in the image."""

_CHANNEL = re.compile(r"<\|channel\|>\s{0,9}(\w+)[^<\n]{0,80}<\|message\|>")
_NEXT_MESSAGE = re.compile(r"<\|(?:start|end|return|call|channel)\|>")

# The same from a server that omits special tokens but keeps the words between them.
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
    """Return an answer without the reasoning before or within it.

    Reasoning without an opening marker ends at its closing marker. If it never ends, or nothing follows it, the
    result is empty: there is no answer.
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
    """Return whether a text begins with reasoning that has no marker."""
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
            kept, position = [], marker.end()  # the text before it was reasoning without an opening marker
    if opened >= 0 and not "".join([*kept, text[position:opened]]).strip():
        return ""  # the reasoning never ends
    return "".join([*kept, text[position:]])


def _alone(text: str, marker: re.Match[str]) -> bool:
    """Return whether a marker is the last thing on its line."""
    return text[marker.end() : marker.end() + 20].lstrip(" \t")[:1] in ("", "\n")
