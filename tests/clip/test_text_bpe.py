import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from glitbuild.clip.text import LONG, clip_tokenizer, merged
from tests.work import lines_run

SLOW = SimpleTokenizer()
QUICK = clip_tokenizer("ViT-B-16")

pytestmark = pytest.mark.slow


def merges(word: str) -> list[str]:
    return merged([*word[:-1], word[-1] + "</w>"], SLOW.bpe_ranks)


@settings(deadline=None)
@given(st.text("abcdeinorst", min_size=2, max_size=120) | st.text("abab!?.", min_size=2, max_size=120))
@example("aaaaaaaaa")
@example("thethethethethe")
def test_a_word_is_merged_as_open_clip_merges_it(word: str) -> None:
    assert " ".join(merges(word)) == SLOW.bpe(word)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=30), st.integers(1, 20))
@example("東京タワー", 20)
@example("“”", 60)
def test_texts_have_open_clips_tokens(text: str, times: int) -> None:
    assert QUICK.encode(text * times) == SLOW.encode(text * times)


def test_a_quickened_tokenizer_can_be_pickled() -> None:
    word = "superdistribution" * (LONG // 8)
    again = pickle.loads(pickle.dumps(QUICK))
    assert again.encode(word) == SLOW.encode(word)


def work(word: str) -> int:
    return lines_run(lambda: QUICK.bpe(word), "glitbuild/clip/text")


@pytest.mark.parametrize("unit", ["a", "ab", "the", "qwertyuiopasdfghjklzxcvbnm", "."])
def test_twice_the_word_is_about_twice_the_work(unit: str) -> None:
    once, twice = (work(unit * (length // len(unit))) for length in (1000, 2000))
    assert twice < 2.4 * once
