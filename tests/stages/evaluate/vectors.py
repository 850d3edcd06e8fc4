"""Embeddings whose cosines are exact, so that a reference agrees about ties."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray


def exact(rows: list[list[bool]]) -> NDArray[np.float32]:
    """Return vectors of four halves, plus or minus: norm 1, cosines -1, -.5, 0, .5, 1."""
    return np.where(np.array(rows, dtype=bool).reshape(-1, 4), 0.5, -0.5).astype(np.float32)


def embeddings(size: int) -> st.SearchStrategy[NDArray[np.float32]]:
    row = st.lists(st.booleans(), min_size=4, max_size=4)
    return st.lists(row, min_size=size, max_size=size).map(exact)


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return rows scaled to norm 1."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_embeddings(rng: np.random.Generator, size: int, width: int = 8) -> NDArray[np.float32]:
    return unit(rng.normal(size=(size, width)))
