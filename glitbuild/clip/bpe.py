"""CLIP's byte-pair encoding of long words, in little more than linear time.

open_clip's own goes through the whole word once for each kind of pair: a word of 100,000 letters, which a
caption may hold, takes it many minutes.
"""

from collections.abc import Mapping
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

LONG = 64
"""Characters above which a word is encoded here."""


def quicken(tokenizer: "SimpleTokenizer") -> "SimpleTokenizer":
    """Let a tokenizer encode long words by ``merged``: the same tokens, sooner. Returns the tokenizer."""
    tokenizer.bpe = partial(_bpe, tokenizer)
    return tokenizer


def _bpe(tokenizer: "SimpleTokenizer", word: str) -> str:
    if len(word) <= LONG or word in tokenizer.cache:
        return str(type(tokenizer).bpe(tokenizer, word))
    return " ".join(merged([*word[:-1], word[-1] + "</w>"], tokenizer.bpe_ranks))


def merged(symbols: list[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Merge pairs of neighbours, each time all of the lowest rank from left to right.

    Args:
        symbols: of a word, which this changes.
        ranks: of the pairs that may be merged.
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
                continue  # One of the two has been merged with another since.
            symbols[i], symbols[j] = symbols[i] + symbols[j], ""
            following[i] = following[j]
            if following[i] < count:
                preceding[following[i]] = i
                note(i)
            if preceding[i] >= 0:
                note(preceding[i])
    return [symbol for symbol in symbols if symbol]
