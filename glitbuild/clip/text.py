"""Tokenization: fast byte-pair encoding, the position of each token in its text, and text tower inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from glitbuild.errors import GlitbuildError, ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer
    from torch import Tensor


LONG = 64
"""Length in characters above which a word is encoded by ``merged``."""


def quicken(tokenizer: "SimpleTokenizer") -> "SimpleTokenizer":
    """Make a tokenizer encode long words with ``merged``: same tokens, but faster. Returns the tokenizer."""
    tokenizer.bpe = partial(_bpe, tokenizer)
    return tokenizer


def _bpe(tokenizer: "SimpleTokenizer", word: str) -> str:
    if len(word) <= LONG or word in tokenizer.cache:
        return str(type(tokenizer).bpe(tokenizer, word))
    return " ".join(merged([*word[:-1], word[-1] + "</w>"], tokenizer.bpe_ranks))


def merged(symbols: list[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Merge adjacent pairs, always all pairs of the lowest rank from left to right.

    Args:
        symbols: symbols of a word, modified in place.
        ranks: ranks of the pairs that may be merged.
    """
    count = len(symbols)
    following = list(range(1, count + 1))
    preceding = list(range(-1, count - 1))
    places: dict[tuple[str, str], list[int]] = {}
    queue: list[tuple[int, tuple[str, str]]] = []

    def note(i: int) -> None:
        pair = (symbols[i], symbols[following[i]])
        if pair in ranks:
            if pair not in places:
                places[pair] = []
                heappush(queue, (ranks[pair], pair))
            places[pair].append(i)

    for i in range(count - 1):
        note(i)
    while queue:
        _, pair = heappop(queue)
        for i in sorted(places.pop(pair)):
            j = following[i]
            if j >= count or (symbols[i], symbols[j]) != pair:
                continue  # one of the two has since been merged with another symbol
            symbols[i], symbols[j] = symbols[i] + symbols[j], ""
            following[i] = following[j]
            if following[i] < count:
                preceding[following[i]] = i
                note(i)
            if preceding[i] >= 0:
                note(preceding[i])
    return [symbol for symbol in symbols if symbol]


WINDOW = 24
"""Number of characters within which two differing texts are searched for where they agree again."""

AGREEING = 3
"""Least number of characters that must agree, unless the texts end earlier."""

UNDEFINED = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
"""Bytes without a character in Windows-1252."""


def token_starts(tokenizer: "SimpleTokenizer", text: str, ids: Sequence[int]) -> list[int]:
    """Return the index of the character of ``text`` at which each token starts.

    CLIP's tokenizer cleans a text (repairs its encoding, unescapes HTML, lowercases it, collapses whitespace),
    splits it at whitespace and punctuation, and encodes the pieces as bytes. It drops nothing of the cleaned text
    but whitespace, so the bytes of the tokens are those of the other characters, in order. The time is linear in
    the length of the text.

    Args:
        tokenizer: CLIP's tokenizer.
        text: text before cleaning.
        ids: token ids of the text, without the start-of-text and end-of-text tokens.

    Raises:
        GlitbuildError: the bytes of the tokens are not those of the text.
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
        place += len(tokenizer.decoder[token].removesuffix("</w>"))  # one letter represents one byte
    if place != len(of_byte) or len(starts) != len(ids):
        what = f"{text[:40]!r} has {len(of_byte)} bytes without whitespace, but its {len(ids)} tokens have {place}"
        raise GlitbuildError("the tokenizer", what, "use a model with CLIP's own tokenizer")
    return starts


def _align(tokenizer: "SimpleTokenizer", text: str, cleaned: str) -> list[int]:
    """Return the position in the text of each character of the cleaned text, which has no whitespace."""
    if text.isascii():  # the common case, in which lowercasing keeps the number of letters
        places, letters = [place for place, letter in enumerate(text) if not letter.isspace()], text.lower()
        letters = "".join(letters.split())
    else:
        kept = [(place, low) for place, letter in enumerate(text) if not letter.isspace() for low in letter.lower()]
        places, letters = [place for place, _ in kept], "".join(low for _, low in kept)
    if letters == cleaned:
        return places
    # Cleaning changed more than case and whitespace, usually single characters or entities.
    places, letters = _clean_apart(tokenizer, text, cleaned)
    return places if letters == cleaned else _follow(letters, places, cleaned)


def _clean_apart(tokenizer: "SimpleTokenizer", text: str, cleaned: str) -> tuple[list[int], str]:
    """Clean a text piece by piece; return the position from which each character comes, and the characters."""
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
    """Transfer positions to a text that differs in some stretches, such as repaired mojibake.

    The replacement of a stretch takes the positions of the stretch in order; if a stretch was removed, the next
    character takes its first position, because the cleaned text has the two as one.
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
    """Return the smallest numbers of characters to skip in both texts until they agree again."""
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
    """Return the pattern of the pieces that are cleaned independently, omitting whitespace."""
    from html.entities import html5

    import regex

    bare = "|".join(sorted((name for name in html5 if not name.endswith(";")), key=lambda name: -len(name)))
    entity = rf"&(?:amp;|amp)*(?:#[0-9]{{1,8}};?|#[xX][0-9a-fA-F]{{1,7}};?|[A-Za-z][A-Za-z0-9]{{1,31}};|{bare})"
    rest = rf"[\x80-\x9f\xa1-\xbf{bytes(set(range(0x80, 0xA0)) - UNDEFINED).decode('cp1252')}]"
    pieces = (
        entity,
        rf"(?P<mojibake>[\xc2-\xdf]{rest}|[\xe0-\xef]{rest}{{2}}|[\xf0-\xf4]{rest}{{3}})",  # UTF-8 read as cp1252
        r"\x1b\[[0-9;]*[A-Za-z]",  # terminal escape sequences
        r"[\ud800-\udbff][\udc00-\udfff]",
        r"[\u1100-\u115f][\u1160-\u11a7]+[\u11a8-\u11ff]*",  # decomposed Hangul
        r"[\uff66-\uff9d][\uff9e\uff9f]",  # half-width katakana with a sound mark
        r"[^\s\p{M}]\p{M}*",
        r"\p{M}+",
    )
    return regex.compile("|".join(pieces))


def clip_tokenizer(architecture: str) -> "SimpleTokenizer":
    """Return the tokenizer of one of open_clip's architectures, which must be CLIP's own.

    Raises:
        ModelError: it is a different one.
    """
    import open_clip

    return clips_own(open_clip.get_tokenizer(architecture))


def clips_own(tokenizer: Any) -> "SimpleTokenizer":
    """Return a model's tokenizer, which must be CLIP's own.

    Raises:
        ModelError: it is a different one, for which the tokens of a sentence can't be located.
    """
    from open_clip.tokenizer import SimpleTokenizer

    if type(tokenizer) is not SimpleTokenizer:
        fix = "use a model with CLIP's own tokenizer, such as ViT-B-16"
        raise ModelError(THE_MODEL, f"its tokenizer is {type(tokenizer).__name__}", fix)
    return quicken(tokenizer)


def own_tokenizer(model: Any) -> "SimpleTokenizer":
    """Return CLIP's own tokenizer for a model in memory, which has no name that would determine its tokenizer.

    Raises:
        ModelError: the model's vocabulary is not that of CLIP's tokenizer, or its text tower is not OpenAI's.
    """
    from open_clip.tokenizer import SimpleTokenizer

    from glitbuild.clip.towers import text_tower

    text, tokenizer = text_tower(model), SimpleTokenizer(context_length=model.context_length)
    if text.token_embedding.num_embeddings != len(tokenizer.encoder):
        why = (
            f"its vocabulary of {text.token_embedding.num_embeddings:,} tokens is not that of CLIP's own tokenizer"
        )
        raise ModelError(THE_MODEL, why, "give its architecture and weights by name")
    return quicken(tokenizer)


def framed(tokenizer: Any, ids: Sequence[int], context_length: int) -> tuple[int, ...]:
    """Return a text's token ids between start-of-text and end-of-text, truncated to the context length."""
    return (tokenizer.sot_token_id, *ids[: context_length - 2], tokenizer.eot_token_id)


def padded(texts: Sequence[tuple[int, ...]]) -> "Tensor":
    """Return token ids as a tensor, B x L, padded with zeros to the length L of the longest text."""
    import torch

    ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    return ids


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of one text, including start-of-text and end-of-text.

    Attributes:
        ids: token ids, at most as many as the model's context length.
        truncated: whether the text was longer; its end is then cut off and end-of-text appended.
    """

    ids: tuple[int, ...]
    truncated: bool


class TextEncoder:
    """Tokenises and encodes texts with the text tower of a model.

    CLIP's causal tower gives the same embedding at the end of a text whatever follows it, so a batch is padded to
    its longest text, not to the context length. Other kinds of towers (SigLIP, Hugging Face's) get the full length,
    with their own tokenizer's padding.

    Args:
        model: open_clip model, or one that ``ClipSpec.load`` returns.
        tokenizer: its tokenizer in open_clip's form; None for a model in memory, which must have CLIP's own.

    Attributes:
        context_length: number of tokens to read per text.
        trims: whether texts may have any length up to ``context_length``, which may then be set.

    Raises:
        ModelError: a model in memory has a different tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any = None) -> None:
        from open_clip.tokenizer import SimpleTokenizer

        from glitbuild.clip.towers import text_of_any_length

        self._model = model
        self._tokenizer = tokenizer or own_tokenizer(model)
        if isinstance(self._tokenizer, SimpleTokenizer):
            quicken(self._tokenizer)
        self._tower = text_of_any_length(model) if type(self._tokenizer) is SimpleTokenizer else None
        self.trims = self._tower is not None
        self.context_length: int = model.context_length if self.trims else self._tokenizer.context_length

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Return each text's token ids."""
        if self.trims:
            return [self._tokenize(text) for text in texts]
        rows = self._tokenizer(list(texts)).tolist() if texts else []
        return [Tokens(tuple(row), self._is_longer(text)) for row, text in zip(rows, texts, strict=True)]

    def _tokenize(self, text: str) -> Tokens:
        ids = self._tokenizer.encode(text)
        return Tokens(framed(self._tokenizer, ids, self.context_length), len(ids) + 2 > self.context_length)

    def _is_longer(self, text: str) -> bool:
        """Return whether a text has more tokens than the model reads, special tokens included."""
        tokenizer = self._tokenizer
        if not hasattr(tokenizer, "tokenizer"):  # CLIP's own
            return len(tokenizer.encode(text)) + 2 > self.context_length
        return len(tokenizer.tokenizer(tokenizer.clean_fn(text))["input_ids"]) > self.context_length

    def encode(self, tokens: Sequence[Tokens], device: str) -> "Tensor":
        """Return the pooled and projected embeddings, B x D, not normalised."""
        import torch

        ids = padded([text.ids for text in tokens]).to(device)
        if self._tower is None:
            return torch.as_tensor(self._model.encode_text(ids))
        # open_clip's encode_text adds all positions, and so accepts only the full length.
        from glitbuild.clip.towers import encode_text

        return encode_text(self._tower, ids)[1]
