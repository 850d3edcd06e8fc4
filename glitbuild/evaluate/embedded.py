"""The embeddings of a dataset, as the suites read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.evaluate.localization import KS as PATCHES
from glitbuild.evaluate.localization import chance, locate
from glitbuild.evaluate.robustness import SplitCaption


@dataclass(frozen=True, slots=True)
class Located:
    """What became of the sentences that were looked for.

    Attributes:
        hits: S x 3, whether one of the first 5, 10, 15 patches is in the sentence's place.
        chance: S x 3, how probable that is for patches in random order.
        unseen: sentences of whose place the model's input shows no patch's centre; they can't be hit.
    """

    hits: NDArray[np.bool_]
    chance: NDArray[np.float64]
    unseen: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """A dataset's embeddings, all float32 and L2-normalised; what no suite needs is empty.

    Attributes:
        images: N x D, in the order of their first samples.
        captions: M x D, a caption a sample.
        image_of: M, the number of each caption's image.
        averaged: M x D, the mean of each caption's sentences.
        crops: G x D, the regions of the pairs, each once.
        crop_image: G, the number of each one's image.
        sentences: P x D, the sentences of the pairs.
        sentence_image: P, likewise.
        located: what became of the sentences that were looked for.
        split: the captions with their sentences.
        truncated: captions of which the model doesn't see the end.
    """

    images: NDArray[np.float32]
    captions: NDArray[np.float32]
    image_of: NDArray[np.int64]
    averaged: NDArray[np.float32]
    crops: NDArray[np.float32]
    crop_image: NDArray[np.int64]
    sentences: NDArray[np.float32]
    sentence_image: NDArray[np.int64]
    located: Located
    split: tuple[SplitCaption, ...]
    truncated: int


@dataclass(slots=True)
class Gathering:
    """Embeddings as they come in; see ``Embedded`` for what the parts are."""

    images: list[NDArray[Any]] = field(default_factory=list)
    captions: list[NDArray[Any]] = field(default_factory=list)
    image_of: list[int] = field(default_factory=list)
    averaged: list[NDArray[Any]] = field(default_factory=list)
    crops: list[NDArray[Any]] = field(default_factory=list)
    crop_image: list[int] = field(default_factory=list)
    sentences: list[NDArray[Any]] = field(default_factory=list)
    sentence_image: list[int] = field(default_factory=list)
    hits: list[NDArray[Any]] = field(default_factory=list)
    chance: list[NDArray[Any]] = field(default_factory=list)
    unseen: int = 0
    split: list[SplitCaption] = field(default_factory=list)
    truncated: int = 0

    def look_for(self, sentences: NDArray[Any], patches: NDArray[Any], inside: NDArray[np.bool_]) -> None:
        """Look for sentences in one image; see ``locate``."""
        self.hits.append(locate(patches, sentences, inside))
        self.chance.append(chance(inside))
        self.unseen += int((~inside.any(axis=1)).sum())

    def whole(self) -> Embedded:
        """Return all that has come in."""
        located = Located(_rows(self.hits, len(PATCHES), np.bool_), _rows(self.chance, len(PATCHES)), self.unseen)
        return Embedded(
            images=_rows([np.stack(self.images)]),
            captions=_rows(self.captions),
            image_of=np.array(self.image_of, dtype=np.int64),
            averaged=_rows(self.averaged),
            crops=_rows([np.stack(self.crops)] if self.crops else []),
            crop_image=np.array(self.crop_image, dtype=np.int64),
            sentences=_rows(self.sentences),
            sentence_image=np.array(self.sentence_image, dtype=np.int64),
            located=located,
            split=tuple(self.split),
            truncated=self.truncated,
        )


def _rows(parts: Sequence[NDArray[Any]], width: int = 0, dtype: type[Any] = np.float32) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty((0, width), dtype=dtype)
