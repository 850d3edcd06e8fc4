"""Robustness: how much a false sentence in the middle of each caption misleads a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glitbuild.records import Span

TRIES = 32
"""Number of captions drawn before giving up on finding a usable sentence."""


@dataclass(frozen=True, slots=True)
class SplitCaption:
    """A caption and its sentences as character spans; there is at least one."""

    text: str
    spans: tuple[Span, ...]

    def sentences(self) -> list[str]:
        """Return the sentences."""
        return [self.text[start:end] for start, end in self.spans]


def disturb(captions: Sequence[SplitCaption], image_of: NDArray[np.int64], seed: int) -> list[str | None]:
    """Return each caption with a sentence of another image's caption inserted in its middle.

    FAST-GOAL (arXiv 2605.26615): an unrelated false sentence in the middle of each caption. It is inserted before
    the sentence whose index is half their number. A sentence that occurs verbatim in the caption itself is not
    used: captions of similar images share sentences, which would not be false.

    Args:
        captions: M.
        image_of: M, number of each caption's image.
        seed: seed of the draws; equal seeds give equal captions.

    Returns:
        M; None if 32 captions drawn at random had no usable sentence.
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
            # The captions of the caption's own image are adjacent in the order; skip over them.
            donor = captions[order[place if place < own_first else place + own_last - own_first]]
            if lent := [sentence for sentence in donor.sentences() if sentence not in own]:
                false = lent[int(rng.integers(len(lent)))]
                break
        disturbed.append(None if false is None else insert(caption, false))
    return disturbed


def insert(caption: SplitCaption, sentence: str) -> str:
    """Return a caption with a sentence inserted before the one whose index is half their number."""
    cut = caption.spans[len(caption.spans) // 2][0]
    before, after = caption.text[:cut], caption.text[cut:]
    gap = "" if not before or before[-1].isspace() else " "
    return f"{before}{gap}{sentence} {after}"
