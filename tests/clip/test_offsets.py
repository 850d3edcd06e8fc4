import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from glitbuild.clip.offsets import token_starts
from glitbuild.errors import GlitbuildError
from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.tsl.spans import token_span

TOKENIZER = SimpleTokenizer()

pytestmark = pytest.mark.slow


@given(st.text(max_size=60))
@example("It is 3.5 m wide.  A\tred   car &amp; a “blue” mug…")
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


def test_another_tokenizer_is_noticed() -> None:
    with pytest.raises(GlitbuildError, match="CLIP's own tokenizer"):
        token_starts(TOKENIZER, "a red car", [320, 736])
