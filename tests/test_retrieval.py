"""Recall@K against all orders of equal similarities, written out."""

import tracemalloc
from fractions import Fraction
from itertools import pairwise, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glitbuild.errors import EvaluationError
from glitbuild.retrieval import KS, Ranks, hit_probability, retrieve
from tests.stages.evaluate.vectors import embeddings, exact, random_embeddings


def slow_hit(cosines: list[float], relevant: set[int], k: int) -> Fraction:
    """Return the share of orders, higher cosines first, in which a relevant item is among the first k."""
    orders = [
        order
        for order in permutations(range(len(cosines)))
        if all(cosines[a] >= cosines[b] for a, b in pairwise(order))
    ]
    return Fraction(sum(bool(relevant & set(order[:k])) for order in orders), len(orders))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    images = draw(st.integers(1, 5))
    more = draw(st.lists(st.integers(0, images - 1), max_size=6 - images))
    image_of = draw(st.permutations([*range(images), *more]))
    return draw(embeddings(images)), draw(embeddings(len(image_of))), np.array(image_of)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(worlds(), st.integers(1, 40))
def test_hits_are_the_share_of_all_orders_of_equal_similarities(
    world: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]], block: int
) -> None:
    images, captions, image_of = world
    found = retrieve(images, captions, image_of, ks=(1, 2, 3, 7), block_cells=block)
    cosines = captions @ images.T
    for number, image in enumerate(image_of):
        expected = [float(slow_hit(cosines[number].tolist(), {int(image)}, k)) for k in (1, 2, 3, 7)]
        assert found.text_to_image.by_query[number] == pytest.approx(expected)
    for image in range(len(images)):
        own = set(np.flatnonzero(image_of == image).tolist())
        expected = [float(slow_hit(cosines[:, image].tolist(), own, k)) for k in (1, 2, 3, 7)]
        assert found.image_to_text.by_query[image] == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 300), st.integers(1, 60))
def test_the_probability_is_the_hypergeometric_one(better: int, relevant: int, others: int, k: int) -> None:
    ranks = Ranks(np.array([better]), np.array([relevant]), np.array([others]))
    places = max(k - better, 0)
    total = others + relevant
    expected = 1 - Fraction(comb(others, min(places, total)), comb(total, min(places, total)))
    assert hit_probability(ranks, k)[0] == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("number", [1, 10, 60])
def test_a_model_that_says_nothing_gets_what_chance_gets(number: int) -> None:
    same = np.tile(random_embeddings(np.random.default_rng(0), 1, 77), (number, 1))
    found = retrieve(same, same, np.arange(number))
    for hits in (found.text_to_image, found.image_to_text):
        assert [hits.recall_at_k(k) for k in KS] == pytest.approx([min(k / number, 1) for k in KS])


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 3), st.integers(1, 60))
def test_without_ties_hits_are_those_of_sorting(seed: int, images: int, each: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    image_of = rng.permutation(np.repeat(np.arange(images), each))
    pictures, captions = random_embeddings(rng, images), random_embeddings(rng, len(image_of))
    found = retrieve(pictures, captions, image_of, ks=(1, 5), block_cells=block)
    cosines = captions @ pictures.T
    for k in (1, 5):
        first = np.argsort(-cosines, axis=1)[:, :k]
        assert found.text_to_image.at(k).tolist() == (first == image_of[:, None]).any(axis=1).tolist()
        first = image_of[np.argsort(-cosines.T, axis=1)[:, :k]]
        own = (first == np.arange(images)[:, None]).any(axis=1)
        assert found.image_to_text.at(k).tolist() == own.tolist()
        assert found.image_to_text.recall_at_k(k) == own.mean()


def test_nothing_as_large_as_all_similarities_is_made() -> None:
    number = 3000
    rng = np.random.default_rng(0)
    images, captions = random_embeddings(rng, number), random_embeddings(rng, number)
    tracemalloc.start()
    retrieve(images, captions, np.arange(number), block_cells=20 * number)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < number * number  # bytes: not even one for each


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["image", "caption"])
def test_what_is_not_finite_is_an_error(value: float, where: str) -> None:
    parts = {"image": random_embeddings(np.random.default_rng(0), 3), "caption": np.eye(3, 8, dtype=np.float32)}
    parts[where][1, 2] = value
    with pytest.raises(EvaluationError, match=f"{where} embeddings: 1 of 3 contain a NaN"):
        retrieve(parts["image"], parts["caption"], np.arange(3))


@pytest.mark.parametrize(
    ("image_of", "says"),
    [
        ([0, 0, 2], "1 of 3 have no caption; the first one is number 1"),
        ([0, 1, 3], "among them"),
        ([0, 1], "among them"),
    ],
)
def test_captions_and_images_must_fit(image_of: list[int], says: str) -> None:
    vectors = exact([[True] * 4] * 3)
    with pytest.raises(EvaluationError, match=says):
        retrieve(vectors, vectors, np.array(image_of))


def test_embeddings_must_be_normalised_and_there() -> None:
    vectors = exact([[True] * 4])
    with pytest.raises(EvaluationError, match="not of norm 1"):
        retrieve(2 * vectors, vectors, np.zeros(1, dtype=int))
    with pytest.raises(EvaluationError, match="there are none"):
        retrieve(vectors[:0], vectors[:0], np.zeros(0, dtype=int))
