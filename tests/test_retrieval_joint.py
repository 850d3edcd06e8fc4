"""AP@10 against its definition, written out; relevance as GOAL's text has it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import EvaluationError
from glitbuild.retrieval import average_precision, first_items
from tests.stages.evaluate.vectors import embeddings, exact


def slow_ap(cosines: list[float], relevant: list[bool], depth: int) -> float:
    order = sorted(range(len(cosines)), key=lambda item: (-cosines[item], item))[:depth]
    total, found = 0.0, 0
    for place, item in enumerate(order, 1):
        if relevant[item]:
            found += 1
            total += found / place
    return total / min(depth, sum(relevant))


@pytest.mark.slow
@settings(deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 12), st.integers(1, 60))
def test_ap_is_that_of_the_definition(data: st.DataObject, images: int, depth: int, block: int) -> None:
    more = data.draw(st.lists(st.integers(0, images - 1), max_size=12))
    gallery_image = np.array(data.draw(st.permutations([*range(images), *more])))
    query_image = np.array(data.draw(st.lists(st.integers(0, images - 1), min_size=1, max_size=9)))
    gallery, queries = data.draw(embeddings(len(gallery_image))), data.draw(embeddings(len(query_image)))
    found = average_precision(queries, query_image, gallery, gallery_image, depth, block)
    for number, image in enumerate(query_image):
        cosines = (queries[number] @ gallery.T).tolist()
        assert found[number] == pytest.approx(slow_ap(cosines, (gallery_image == image).tolist(), depth))


def test_a_list_that_begins_with_all_that_is_relevant_has_one() -> None:
    halves = exact([[True] * 4, [False] * 4])
    image = np.array([0] * 12 + [1])
    gallery = halves[image]
    assert average_precision(halves, np.array([0, 1]), gallery, image).tolist() == [1.0, 1.0]
    assert average_precision(halves, np.array([1, 0]), gallery, image).tolist() == [0.0, pytest.approx(AP)]


AP = sum(found / place for found, place in zip(range(1, 10), range(2, 11), strict=True)) / 10
"""Of ten relevant items at ranks 2 to 11, behind one that isn't."""


def test_the_lower_number_comes_first_among_equals() -> None:
    cosines = np.array([[0.5, 1.0, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    assert first_items(cosines.copy(), 3).tolist() == [[1, 3, 0], [0, 1, 2]]
    assert first_items(cosines.copy(), 9).tolist() == [[1, 3, 0, 2], [0, 1, 2, 3]]


def test_a_gallery_without_a_querys_image_is_an_error() -> None:
    vectors = exact([[True] * 4, [False] * 4])
    with pytest.raises(EvaluationError, match="no item of a query's image"):
        average_precision(vectors, np.array([0, 2]), vectors, np.array([0, 1]))
