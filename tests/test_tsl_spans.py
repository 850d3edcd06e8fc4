import torch
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.tsl import span_mask, token_span

starts = st.lists(st.integers(0, 200), max_size=60).map(sorted)


@given(starts, st.integers(0, 210), st.integers(0, 210), st.integers(3, 80))
def test_a_span_is_the_tokens_that_begin_in_it_as_far_as_they_fit(
    starts: list[int], one: int, two: int, context: int
) -> None:
    span = (min(one, two), max(one, two))
    first, last = token_span(starts, span, context)
    inside = [place for place, start in enumerate(starts, 1) if span[0] <= start < span[1] and place < context - 1]
    assert list(range(first, last)) == inside


def test_the_start_of_text_is_in_no_span() -> None:
    assert token_span([0, 2, 6], (0, 1), 77) == (1, 2)


def test_a_sentence_beyond_the_last_token_has_none() -> None:
    starts = list(range(100))
    first, last = token_span(starts, (90, 100), 77)
    assert first == last == 76
    assert token_span(starts, (70, 80), 77) == (71, 76)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=5))
def test_a_mask_is_the_positions_of_the_span(spans: list[tuple[int, int]]) -> None:
    mask = span_mask(torch.tensor(spans), 10)
    assert mask.tolist() == [[a <= place < b for place in range(10)] for a, b in spans]
