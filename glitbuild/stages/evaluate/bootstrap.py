"""How sure the difference between two arms is that answered the same queries."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import EvaluationError

RESAMPLES = 10_000
CONFIDENCE = 0.95
CHUNK_CELLS = 2**20
"""Counts that are drawn at a time: 8 MiB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference of two means, and the bounds that the bootstrap gives it."""

    difference: float
    low: float
    high: float


def paired_bootstrap(
    before: NDArray[Any],
    after: NDArray[Any],
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the mean of ``after - before`` over queries, with its percentile bootstrap interval (Efron, 1979).

    Queries are drawn again with replacement, both arms together. How often each distinct difference is drawn is
    multinomial, and hits take few distinct values, so that is what is drawn: the same distribution, with a few
    numbers a resample instead of one per query.

    Queries count as independent. Where they aren't (five captions per image), give the mean of each image's.

    Args:
        before: Q, what each query scored in the first arm.
        after: Q, likewise in the second.
        seed: equal seeds give equal bounds.
        resamples: how many samples are drawn.
        confidence: the share of resamples between the bounds.

    Raises:
        EvaluationError: the arms have no queries, not the same number, or scores that aren't finite.
    """
    if len(before) != len(after) or not len(before):
        what = f"arms of {len(before):,} and {len(after):,} queries"
        raise EvaluationError(what, "can't be paired", "give both the same queries in the same order")
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise EvaluationError("scores", "some are not finite", "give each query a score")
    values, counts = np.unique(differences, return_counts=True)
    rng, shares, means = np.random.default_rng(seed), counts / counts.sum(), np.empty(resamples)
    chunk = max(1, CHUNK_CELLS // len(values))
    for start in range(0, resamples, chunk):
        drawn = rng.multinomial(len(differences), shares, size=min(chunk, resamples - start))
        means[start : start + len(drawn)] = drawn @ values / len(differences)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(differences.mean()), float(low), float(high))
