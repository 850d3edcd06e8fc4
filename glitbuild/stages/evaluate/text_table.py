"""The embeddings of a shard's texts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.encoder import ClipEncoder


class TextTable:
    """Embeddings of a shard's texts, each computed once, however often it occurs.

    Args:
        texts: in any order, with repetitions.
        encoder: of the model.
    """

    def __init__(self, texts: Sequence[str], encoder: ClipEncoder) -> None:
        self._rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        self._tokens = encoder.tokenize(list(self._rows))
        self._embeddings = encoder.texts(self._tokens)

    def embeddings(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of some of the texts, M x D."""
        return self._embeddings[[self._rows[text] for text in texts]]

    def is_truncated(self, text: str) -> bool:
        """Whether the model doesn't see the end of one of the texts."""
        return self._tokens[self._rows[text]].truncated
