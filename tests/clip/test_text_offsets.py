# ruff: noqa: RUF001 (marks of other scripts are meant)
import json
import re
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from glitbuild.clip.text import token_starts
from glitbuild.errors import GlitbuildError
from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.tsl import token_span
from tests.work import lines_run

TOKENIZER = SimpleTokenizer()

pytestmark = pytest.mark.slow


@settings(deadline=None)
@given(st.text(max_size=60))
@example("It is 3.5 m wide.  A\tred   car &amp; a “blue” mug…")
@example("“a” ‘b’ " * 8)
@example("schön — naïve İstanbul ǅ ﬁre 東京 🚗🏽 done")
@example("&lt;b&gt; mojibake: itâ€™s")
def test_there_is_a_rising_start_for_every_token_whatever_the_text(text: str) -> None:
    ids = TOKENIZER.encode(text)
    starts = token_starts(TOKENIZER, text, ids)
    assert len(starts) == len(ids)
    assert starts == sorted(starts)
    assert all(0 <= start < len(text) for start in starts)


@given(st.lists(st.sampled_from(["red", "car,", "isn't", "3.5", "(left)", "zigzagged", '"stop."']), min_size=1))
def test_a_token_starts_where_its_word_does(words: list[str]) -> None:
    text = " ".join(words)
    ids = TOKENIZER.encode(text)
    starts = token_starts(TOKENIZER, text, ids)
    for token, start in zip(ids, starts, strict=True):
        assert text.startswith(TOKENIZER.decode([token]).strip(), start)


def test_the_spans_of_sentences_of_real_captions_hold_their_own_tokens(assets: Path) -> None:
    files = sorted((assets / "captions").glob("*.jsonl"))
    captions = [json.loads(line)["caption"] for path in files for line in path.read_text().splitlines()]
    captions = captions[:: max(1, len(captions) // 150)]
    assert len(captions) > 60
    joined = 0
    for caption, sentences in zip(captions, SentenceSplitter().split(captions), strict=True):
        ids = TOKENIZER.encode(caption)
        starts = token_starts(TOKENIZER, caption, ids)
        spans = [token_span(starts, span, len(ids) + 2) for span in sentences]
        assert spans[0][0] == 1
        assert spans[-1][1] == len(ids) + 1
        assert all(one[1] == two[0] for one, two in pairwise(spans))
        own = [TOKENIZER.encode(caption[a:b]) for a, b in sentences]
        if [
            token for tokens in own for token in tokens
        ] == ids:  # so it is unless a sentence ends within what the tokenizer joins
            joined += 1
            assert [ids[a - 1 : b - 1] for a, b in spans] == own
    assert joined > 0.9 * len(captions)


@cache
def clean(text: str) -> str:
    return "".join(TOKENIZER.clean_fn(text).split())


def places_by_cuts(text: str) -> list[int]:
    """Say where cleaned characters come from, in quadratic time, from the finest pieces that are cleaned apart."""
    whole = clean(text)
    cuts = [cut for cut in range(len(text) + 1) if clean(text[:cut]) + clean(text[cut:]) == whole]
    found: list[int] = []
    for start, end in pairwise(cuts):
        count = len(clean(text[:end])) - len(clean(text[:start]))
        solid = [place for place in range(start, end) if not text[place].isspace()] or [start]
        found += [solid[min(k, len(solid) - 1)] for k in range(count)]
    return found


def starts_of(text: str, places: list[int]) -> list[int]:
    of_byte = [place for place, letter in zip(places, clean(text), strict=True) for _ in letter.encode()]
    lengths = [len(TOKENIZER.decoder[token].removesuffix("</w>")) for token in TOKENIZER.encode(text)]
    return [of_byte[place] for place in accumulate(lengths[:-1], initial=0)] if lengths else []


PIECES = [
    "“",
    "”",
    "’",
    "…",
    "a",
    "B",
    "dog",
    " ",
    "\n",
    "&amp;",
    "&lt;b&gt;",
    "&#39;",
    "&copy2020",
    "&amp;amp;lt;",
    "&nbsp;",
]
PIECES += [
    "\ufb01",
    "\uff21",
    "\uff76\uff9e",
    "e\u0301",
    "\u1100\u1161\u11a8",
    "İ",
    "👩\u200d👧",
    "‼\ufe0f",
    "\ufeff",
    "東京",
]
PIECES += ["\x1b[31m", "x" * 40, "1", ".", "é"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_starts_are_those_of_the_finest_pieces_cleaned_apart(text: str) -> None:
    assert token_starts(TOKENIZER, text, TOKENIZER.encode(text)) == starts_of(text, places_by_cuts(text))


MOJIBAKE = ["itâ€™s a cafÃ©", "Ã©tÃ©", "naÃ¯ve â€œquotedâ€\x9d yes", "à la Ã  x", "ð\x9f\x98\x80 a", "a\x92s b"]


@pytest.mark.parametrize("text", MOJIBAKE)
def test_starts_in_mended_mojibake(text: str) -> None:
    assert clean(text) != "".join(text.lower().split())
    assert token_starts(TOKENIZER, text, TOKENIZER.encode(text)) == starts_of(text, places_by_cuts(text))


def test_starts_in_every_real_caption(assets: Path) -> None:
    files = sorted((assets / "captions").glob("*.jsonl"))
    captions = [json.loads(line)["caption"] for path in files for line in path.read_text().splitlines()]
    assert len(captions) > 1000
    known: dict[str, list[int]] = {}
    for caption in captions:
        places: list[int] = []
        for word in re.finditer(r"\S+", caption):
            if word.group() not in known:
                known[word.group()] = places_by_cuts(word.group())
            places += [word.start() + place for place in known[word.group()]]
        assert token_starts(TOKENIZER, caption, TOKENIZER.encode(caption)) == starts_of(caption, places)


CODE = "glitbuild/clip/text"
HOSTILE = [
    "“”",
    "“a” ",
    "&amp;",
    "&",
    "e\u0301",
    "\u0301",
    "a" * 50 + "’",
    "👩\u200d👧’",
    "東京’",
    "â€™",
    "Ã©",
    "Ã",
    "РЎРѕ",
    "Σ’",
    "İ…",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_twice_the_text_is_about_twice_the_work(unit: str) -> None:
    small, large = (unit * (length // len(unit)) for length in (300, 600))
    ids = [TOKENIZER.encode(text) for text in (small, large)]
    token_starts(TOKENIZER, small, ids[0])  # The pattern is made at the first call.
    once = lines_run(lambda: token_starts(TOKENIZER, small, ids[0]), CODE)
    twice = lines_run(lambda: token_starts(TOKENIZER, large, ids[1]), CODE)
    assert twice < 2.6 * once


def test_another_tokenizer_is_noticed() -> None:
    with pytest.raises(GlitbuildError, match="CLIP's own tokenizer"):
        token_starts(TOKENIZER, "a red car", [320, 736])
