"""Where in a text each of its tokens begins."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from glitbuild.errors import GlitbuildError

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

WINDOW = 24
"""Characters within which two texts that differ are looked at for where they agree again."""

AGREEING = 3
"""Characters that agree again, at least, unless the texts end before."""

UNDEFINED = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
"""Bytes without a character in Windows' encoding of Western Europe."""


def token_starts(tokenizer: "SimpleTokenizer", text: str, ids: Sequence[int]) -> list[int]:
    """Return the index of the character of ``text`` at which each token begins.

    CLIP's tokenizer cleans a text (mends its encoding, unescapes HTML, lowers it, joins white space), cuts
    it at white space and punctuation, and writes the pieces as bytes. Of the cleaned text it loses nothing
    but white space, so the bytes of the tokens are those of its other characters, in order. The time is
    linear in the text's length.

    Args:
        tokenizer: of CLIP.
        text: before cleaning.
        ids: what the tokenizer made of it, without start and end of text.

    Raises:
        GlitbuildError: the tokens' bytes are not those of the text.
    """
    cleaned = "".join(tokenizer.clean_fn(text).split())
    origin = _align(tokenizer, text, cleaned)
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


def _align(tokenizer: "SimpleTokenizer", text: str, cleaned: str) -> list[int]:
    """Return for each character of the cleaned text, which has no white space, its place in the text."""
    if text.isascii():  # most are, and a letter is one letter in lower case
        places, letters = [place for place, letter in enumerate(text) if not letter.isspace()], text.lower()
        letters = "".join(letters.split())
    else:
        kept = [(place, low) for place, letter in enumerate(text) if not letter.isspace() for low in letter.lower()]
        places, letters = [place for place, _ in kept], "".join(low for _, low in kept)
    if letters == cleaned:
        return places
    # Cleaning changed more than case and white space, as a rule one character or entity at a time.
    places, letters = _clean_apart(tokenizer, text, cleaned)
    return places if letters == cleaned else _follow(letters, places, cleaned)


def _clean_apart(tokenizer: "SimpleTokenizer", text: str, cleaned: str) -> tuple[list[int], str]:
    """Clean a text piece by piece; return where each character comes from, and the characters."""
    places: list[int] = []
    parts: list[str] = []
    known: dict[str, str] = {}

    def add(start: int, atom: str, or_apart: bool) -> bool:
        clean = known.get(atom)
        if clean is None:
            clean = known[atom] = "".join(tokenizer.clean_fn(atom).split())
        if or_apart and not cleaned.startswith(clean, len(places)):
            return False
        parts.append(clean)
        places.extend(start + min(k, len(atom) - 1) for k in range(len(clean)))
        return True

    for match in _atom_pattern().finditer(text):
        start, atom = match.start(), match.group()
        if not add(start, atom, or_apart=match.lastgroup == "mojibake"):
            for k, letter in enumerate(atom):
                add(start + k, letter, or_apart=False)
    return places, "".join(parts)


def _follow(letters: str, places: Sequence[int], cleaned: str) -> list[int]:
    """Carry places over to a text that differs in stretches, such as mended mojibake.

    What stands for a stretch takes the stretch's places, one after the other; where nothing does, the next
    character takes the first of them, since the cleaned text has them as one.
    """
    origin: list[int] = []
    last = len(places) - 1
    i = j = 0
    while j < len(cleaned):
        if i < len(letters) and letters[i] == cleaned[j]:
            origin.append(places[i])
            i, j = i + 1, j + 1
            continue
        skipped, added = _agreement(letters, i, cleaned, j)
        if skipped and not added and j < len(cleaned):
            origin.append(places[min(i, last)])
            i, j = i + skipped + 1, j + 1
            continue
        origin += [places[min(i + min(k, max(skipped - 1, 0)), last)] if places else 0 for k in range(added)]
        i, j = i + skipped, j + added
    return origin


def _agreement(letters: str, i: int, cleaned: str, j: int) -> tuple[int, int]:
    """Return how many characters to pass of both texts until they agree again: as few as can be."""
    for total in range(1, 2 * WINDOW + 1):
        for skipped in range(max(0, total - WINDOW), min(total, WINDOW) + 1):
            a, b = i + skipped, j + total - skipped
            if a > len(letters) or b > len(cleaned):
                continue
            here, there = letters[a : a + AGREEING], cleaned[b : b + AGREEING]
            if here == there and (len(here) == AGREEING or a + len(here) == len(letters)):
                return skipped, total - skipped
    return min(WINDOW, len(letters) - i), min(WINDOW, len(cleaned) - j)


@lru_cache(maxsize=1)
def _atom_pattern() -> Any:
    """Return the pattern of the pieces that cleaning treats each for itself, leaving out white space."""
    from html.entities import html5

    import regex

    bare = "|".join(sorted((name for name in html5 if not name.endswith(";")), key=lambda name: -len(name)))
    entity = rf"&(?:amp;|amp)*(?:#[0-9]{{1,8}};?|#[xX][0-9a-fA-F]{{1,7}};?|[A-Za-z][A-Za-z0-9]{{1,31}};|{bare})"
    rest = rf"[\x80-\x9f\xa1-\xbf{bytes(set(range(0x80, 0xA0)) - UNDEFINED).decode('cp1252')}]"
    pieces = (
        entity,
        rf"(?P<mojibake>[\xc2-\xdf]{rest}|[\xe0-\xef]{rest}{{2}}|[\xf0-\xf4]{rest}{{3}})",  # UTF-8 read as cp1252
        r"\x1b\[[0-9;]*[A-Za-z]",  # a terminal's escape
        r"[\ud800-\udbff][\udc00-\udfff]",
        r"[\u1100-\u115f][\u1160-\u11a7]+[\u11a8-\u11ff]*",  # Hangul in letters
        r"[\uff66-\uff9d][\uff9e\uff9f]",  # half-width Japanese with its accent
        r"[^\s\p{M}]\p{M}*",
        r"\p{M}+",
    )
    return regex.compile("|".join(pieces))
