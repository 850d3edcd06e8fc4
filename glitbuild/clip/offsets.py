"""Where in a text each of its tokens begins."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from glitbuild.errors import GlitbuildError

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer


def token_starts(tokenizer: "SimpleTokenizer", text: str, ids: Sequence[int]) -> list[int]:
    """Return the index of the character of ``text`` at which each token begins.

    CLIP's tokenizer cleans a text (mends its encoding, unescapes HTML, lowers it, joins white space), cuts
    it at white space and punctuation, and writes the pieces as bytes. Of the cleaned text it loses nothing
    but white space, so the bytes of the tokens are those of its other characters, in order.

    Args:
        tokenizer: of CLIP.
        text: before cleaning.
        ids: what the tokenizer made of it, without start and end of text.

    Raises:
        GlitbuildError: the tokens' bytes are not those of the text.
    """
    cleaned = "".join(tokenizer.clean_fn(text).split())
    origin = _align(text, cleaned)
    if cleaned.isascii():
        of_byte = origin
    else:
        of_byte = [place for place, letter in zip(origin, cleaned, strict=True) for _ in letter.encode()]
    starts, place = [], 0
    for token in ids:
        if place >= len(of_byte):
            break
        starts.append(of_byte[place])
        place += len(tokenizer.decoder[token].removesuffix("</w>"))  # a letter stands for a byte
    if place != len(of_byte) or len(starts) != len(ids):
        what = f"{text[:40]!r} is {len(of_byte)} bytes without its white space, its {len(ids)} tokens are {place}"
        raise GlitbuildError("the tokenizer", what, "use a model with CLIP's own tokenizer")
    return starts


def _align(text: str, cleaned: str) -> list[int]:
    """Return for each character of the cleaned text, which has no white space, its place in the text."""
    if text.isascii():  # most are, and a letter is one letter in lower case
        places, letters = [place for place, letter in enumerate(text) if not letter.isspace()], text.lower()
        letters = "".join(letters.split())
    else:
        kept = [(place, low) for place, letter in enumerate(text) if not letter.isspace() for low in letter.lower()]
        places, letters = [place for place, _ in kept], "".join(low for _, low in kept)
    if letters == cleaned:
        return places
    # Cleaning changed more than case and white space: what it put in stands where the last unchanged one was.
    origin: list[int] = []
    for name, a1, a2, b1, b2 in SequenceMatcher(None, letters, cleaned, autojunk=False).get_opcodes():
        if name == "equal":
            origin += places[a1:a2]
        else:
            last = len(places) - 1
            origin += [places[min(a1 + min(k, max(a2 - a1 - 1, 0)), last)] if places else 0 for k in range(b2 - b1)]
    return origin
