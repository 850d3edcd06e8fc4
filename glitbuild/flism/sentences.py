"""A caption's sentences as exact character spans, by rules made for captions."""

import re
from collections.abc import Iterable, Iterator, Sequence

import regex

from glitbuild.flism.boundaries import breaks
from glitbuild.records import Span

# Every mark is a word of its own, with the accents on it, except inside a word or a number: "dog's",
# "cream-colored", "3.5".
MARK = regex.compile(
    r"(?!(?<=\w)['\u2019-](?=\w))(?!(?<=\d)[.,\uff0e\uff0c\u066b\u066c](?=\d))[^\w\p{M}\u200c\u200d][\p{M}\u200d]*"
)

# ``re``, because its white space is that of ``str.isspace``; that of ``regex`` lacks four control characters.
CHUNK = re.compile(r"\S+")


class SentenceSplitter:
    """Splits captions into sentences, by rules for English and by the full stops of other scripts.

    Attributes:
        name: name of the splitter with the version of its rules; equal names mean equal sentences.
    """

    name = "spacy-captions/2"  # spaCy's tokenizer once found the same words; datasets hold this name

    def split(self, captions: Sequence[str]) -> list[tuple[Span, ...]]:
        """Return the sentences of each caption, in order.

        The spans of a caption are in ascending order, do not overlap, begin and end with a non-whitespace
        character, and together contain every such character. A caption of only whitespace has no spans. The result
        for a caption does not depend on the others.

        Raises:
            UnicodeEncodeError: a caption holds half of a surrogate pair, which no tokenizer and no file takes.
        """
        for caption in captions:
            caption.encode()
        return [_spans(caption) for caption in captions]


def _spans(caption: str) -> tuple[Span, ...]:
    """Return a caption's sentences as character spans."""
    starts, ends = [], []
    for start, end in _words(caption):
        starts.append(start)
        ends.append(end)
    if not starts:
        return ()
    words = [caption[start:end] for start, end in zip(starts, ends, strict=True)]
    gaps = [caption[end:start] for end, start in zip(ends, [*starts[1:], len(caption)], strict=True)]
    return tuple(_merge(words, starts, [*breaks(words, gaps), len(words) - 1]))


def _words(caption: str) -> Iterator[Span]:
    """Yield the words and marks of a caption as character spans, in order."""
    for chunk in CHUNK.finditer(caption):
        text, offset, done, last = chunk[0], chunk.start(), 0, 0
        for start, end in [*(mark.span() for mark in MARK.finditer(text)), (len(text), len(text))]:
            # A mark behind a joiner or an accent may look as if it were inside a word; only one is looked for.
            hidden = MARK.match(text[done:start]) if last or not done else None
            if hidden and hidden.end() < start - done:
                yield offset + done, offset + done + hidden.end()
                done += hidden.end()
            if done < start:
                yield offset + done, offset + start
            if start < end:
                yield offset + start, offset + end
            done, last = end, start


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
