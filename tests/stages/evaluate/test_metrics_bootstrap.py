import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import EvaluationError
from glitbuild.stages.evaluate import metrics
from glitbuild.stages.evaluate.metrics import paired_bootstrap


def slow_bounds(differences: np.ndarray, seed: int, resamples: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    means = [rng.choice(differences, len(differences)).mean() for _ in range(resamples)]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hits", "ties", "scores"])
def test_bounds_are_those_of_drawing_every_query(kind: str) -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random(400) < 0.4, rng.random(400) < 0.5
    if kind == "ties":
        before, after = rng.integers(0, 5, 400) / 4, rng.integers(0, 4, 400) / 3
    if kind == "scores":
        before, after = rng.random(400), rng.random(400)
    found = paired_bootstrap(before, after, seed=3)
    differences = after.astype(float) - before
    assert found.difference == pytest.approx(differences.mean())
    # Two draws of 10,000 differ by about a hundredth of the interval.
    width = found.high - found.low
    assert slow_bounds(differences, 4, 10_000) == pytest.approx((found.low, found.high), abs=0.05 * width)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.integers(0, 99))
def test_the_difference_lies_between_the_bounds_and_the_arms_can_be_swapped(
    hits: list[tuple[bool, bool]], seed: int
) -> None:
    before, after = np.array(hits).T
    one, two = paired_bootstrap(before, after, seed, 200), paired_bootstrap(after, before, seed, 200)
    assert -1 <= one.low <= one.high <= 1
    assert one.difference == pytest.approx(-two.difference)
    assert one == paired_bootstrap(before, after, seed, 200)


def test_equal_arms_leave_no_doubt_and_pairing_counts() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random(1000) < 0.5
    assert paired_bootstrap(hits, hits) == metrics.Interval(0.0, 0.0, 0.0)
    better = hits.copy()
    better[np.flatnonzero(~hits)[:20]] = True
    paired, shuffled = paired_bootstrap(hits, better), paired_bootstrap(hits, rng.permutation(better))
    assert paired.low > 0
    assert shuffled.low < 0


def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    before, after = rng.random(50), rng.random(50)
    whole = paired_bootstrap(before, after, resamples=333)
    monkeypatch.setattr(metrics, "CHUNK_CELLS", 500)
    assert paired_bootstrap(before, after, resamples=333) == whole


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 0.0]), ([np.nan], [1.0])])
def test_what_cannot_be_compared_is_an_error(before: list[float], after: list[float]) -> None:
    with pytest.raises(EvaluationError):
        paired_bootstrap(np.array(before), np.array(after))
