import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glitbuild.errors import GlitbuildError
from glitbuild.flism.matching import best_pairs, similarities

shapes = st.tuples(st.integers(1, 7), st.integers(1, 9))
cosines = shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(-4, 4).map(lambda n: n / 4)))


@pytest.mark.slow
@given(cosines)
def test_every_sentence_gets_its_best_region_and_the_best_pair_is_the_best_of_all(matrix: np.ndarray) -> None:
    pairs, best = best_pairs(matrix)
    assert [pair.sentence for pair in pairs] == list(range(len(matrix)))
    for pair, row in zip(pairs, matrix.tolist(), strict=True):
        assert pair.similarity == max(row)
        assert pair.region == row.index(max(row)), "of equals the first"
    assert pairs[best].similarity == matrix.max()
    assert best == [pair.similarity for pair in pairs].index(matrix.max()), "of equals the first"


@given(shapes, st.integers(0, 2**32 - 1))
def test_similarities_are_rounded_cosines(shape: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    sentences, regions = (random.normal(size=(n, 16)).astype(np.float32) for n in shape)
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    regions /= np.linalg.norm(regions, axis=1, keepdims=True)
    found = similarities(sentences, regions)
    for i, row in enumerate(found.tolist()):
        for j, value in enumerate(row):
            assert value == pytest.approx(
                sum(a * b for a, b in zip(sentences[i], regions[j], strict=True)), abs=1e-5
            )
            assert value == round(value, 5)
            assert -1 <= value <= 1
    assert not np.signbit(found[found == 0]).any()


def test_embeddings_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(GlitbuildError, match="finite"):
        similarities(np.array([[np.nan, 1.0]]), np.array([[1.0, 0.0]]))
