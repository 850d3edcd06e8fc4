import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.retrieval import average_sentences
from tests.stages.evaluate.vectors import random_embeddings


@settings(deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_a_caption_is_the_normalised_mean_of_its_sentences(seed: int, counts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    caption_of = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    sentences = random_embeddings(rng, len(caption_of))
    found = average_sentences(sentences, caption_of, len(counts))
    assert found.dtype == np.float32
    for caption in range(len(counts)):
        mean = np.mean([row for row, of in zip(sentences, caption_of, strict=True) if of == caption], axis=0)
        assert found[caption] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_caption_of_one_sentence_is_that_sentence() -> None:
    sentence = random_embeddings(np.random.default_rng(0), 1)
    assert average_sentences(sentence, np.zeros(1, dtype=int), 1) == pytest.approx(sentence, abs=1e-6)
