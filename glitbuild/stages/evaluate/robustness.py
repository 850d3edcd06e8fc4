"""A false sentence in the middle of each caption: how much a model is misled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glitbuild.records import Span

TRIES = 32
"""Captions that are drawn until one has a sentence to lend."""


@dataclass(frozen=True, slots=True)
class SplitCaption:
    """A caption and its sentences as character spans, at least one."""

    text: str
    spans: tuple[Span, ...]

    def sentences(self) -> list[str]:
        """Return the sentences."""
        return [self.text[start:end] for start, end in self.spans]


def disturb(captions: Sequence[SplitCaption], image_of: NDArray[np.int64], seed: int) -> list[str | None]:
    """Return each caption with a sentence of another image's caption in its middle.

    FAST-GOAL (arXiv 2605.26615): an unrelated false sentence in the middle of each caption. It stands before
    the sentence with the index half their number. A sentence that the caption itself has word for word is not
    taken: captions of similar pictures share sentences, which would not be false.

    Args:
        captions: M.
        image_of: M, the number of the image that each belongs to.
        seed: equal seeds give equal captions.

    Returns:
        M; None where 32 captions drawn at random had no sentence to lend.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(image_of, kind="stable")
    first = np.searchsorted(image_of[order], image_of, side="left")
    last = np.searchsorted(image_of[order], image_of, side="right")
    disturbed: list[str | None] = []
    for caption, own_first, own_last in zip(captions, first.tolist(), last.tolist(), strict=True):
        others = len(captions) - (own_last - own_first)
        own, false = set(caption.sentences()), None
        for _ in range(TRIES if others else 0):
            place = int(rng.integers(others))
            # The captions of its own image stand together in the order: those after them are moved up.
            donor = captions[order[place if place < own_first else place + own_last - own_first]]
            if lent := [sentence for sentence in donor.sentences() if sentence not in own]:
                false = lent[int(rng.integers(len(lent)))]
                break
        disturbed.append(None if false is None else insert(caption, false))
    return disturbed


def insert(caption: SplitCaption, sentence: str) -> str:
    """Return a caption with a sentence put in before the one with the index half their number."""
    cut = caption.spans[len(caption.spans) // 2][0]
    before, after = caption.text[:cut], caption.text[cut:]
    gap = "" if not before or before[-1].isspace() else " "
    return f"{before}{gap}{sentence} {after}"
