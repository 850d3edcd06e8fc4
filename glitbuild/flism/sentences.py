"""Splitting captions into sentences as exact character spans, with spaCy's tokenizer and rules for captions."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import regex

from glitbuild.flism.boundaries import breaks
from glitbuild.records import Span

if TYPE_CHECKING:
    from spacy.tokens import Doc

# Every punctuation mark is a separate token, including its accents, except inside a word or a number: "dog's",
# "cream-colored", "3.5".
MARK = regex.compile(
    r"(?!(?<=\w)['\u2019-](?=\w))(?!(?<=\d)[.,\uff0e\uff0c\u066b\u066c](?=\d))[^\w\p{M}\u200c\u200d][\p{M}\u200d]*"
)


class SentenceSplitter:
    """Splits captions into sentences, by rules for English and by the full stops of other scripts.

    spaCy's tokenizer runs with a single pattern for punctuation instead of its English rules, which keep
    ``T."WAYS`` in one token and take quadratic time on a long run without whitespace.

    Attributes:
        name: name of the splitter with the version of its rules; equal names mean equal sentences.
    """

    name = "spacy-captions/2"

    def __init__(self) -> None:
        from spacy.lang.en import English
        from spacy.tokenizer import Tokenizer

        self._tokenizer = Tokenizer(English().vocab, infix_finditer=MARK.finditer)

    def split(self, captions: Sequence[str]) -> list[tuple[Span, ...]]:
        """Return the sentences of each caption, in order.

        The spans of a caption are in ascending order, do not overlap, begin and end with a non-whitespace
        character, and together contain every such character. A caption of only whitespace has no spans. The result
        for a caption does not depend on the others.

        Raises:
            UnicodeEncodeError: a caption contains a lone surrogate.
        """
        # The zone frees what these captions add to the vocabulary, which would otherwise grow without limit.
        with self._tokenizer.vocab.memory_zone():
            return [_spans(self._tokenizer(caption)) for caption in captions]


def _spans(doc: "Doc") -> tuple[Span, ...]:
    """Return a document's sentences as character spans."""
    words: list[str] = []
    starts: list[int] = []
    gaps: list[str] = []
    for token in doc:
        if token.is_space:
            if gaps:
                gaps[-1] += token.text_with_ws
            continue
        text, start = token.text, token.idx
        # The tokenizer ignores a match at the start of a text, and leaves a mark there attached to the next word.
        mark = MARK.match(text) if len(text) > 1 and not text[0].isalnum() else None
        if mark and mark.end() < len(text):
            words.append(mark.group())
            starts.append(start)
            gaps.append("")
            text, start = text[mark.end() :], start + mark.end()
        words.append(text)
        starts.append(start)
        gaps.append(token.whitespace_)
    if not words:
        return ()
    return tuple(_merge(words, starts, [*breaks(words, gaps), len(words) - 1]))


def _merge(words: Sequence[str], starts: Sequence[int], lasts: Iterable[int]) -> list[Span]:
    """Make spans that end with the words ``lasts``; a span without letters or digits is merged with a neighbour."""
    spans: list[Span] = []
    first, spoken = 0, True
    for last in lasts:
        speaks = any(c.isalnum() for word in words[first : last + 1] for c in word)
        end = starts[last] + len(words[last])
        if spans and not (speaks and spoken):
            spans[-1] = (spans[-1][0], end)
            spoken = spoken or speaks
        else:
            spans.append((starts[first], end))
            spoken = speaks
        first = last + 1
    return spans
