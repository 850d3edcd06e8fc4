"""From a record and its picture to what both towers see of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.offsets import token_starts
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import framed
from glitbuild.errors import DatasetError
from glitbuild.flism.boxes import pixels
from glitbuild.records import Box, MatchedPair, Sample
from glitbuild.tsl.spans import token_span

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

PAIRS = {"best": 1, "top3": 3, "all": None}
"""From how many of a sample's pairs, the closest first, one is drawn in each epoch."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sample as it is trained on.

    Attributes:
        key: of the sample.
        image: the whole picture, S x S x 3, 0 to 255.
        crop: the region, likewise.
        ids: of the caption, start and end of text included, cut to the context length.
        sentence_ids: of the region's sentence, likewise.
        span: positions of the sentence in ``ids``, half-open; empty where it is beyond the last token.
        box: of the region, xyxy in pixels of the picture.
        window: what the model sees of the picture, likewise.
    """

    key: str
    image: NDArray[np.uint8]
    crop: NDArray[np.uint8]
    ids: tuple[int, ...]
    sentence_ids: tuple[int, ...]
    span: tuple[int, int]
    box: Box
    window: Box


@dataclass(frozen=True, slots=True)
class ExampleMaker:
    """Makes examples for one model.

    Attributes:
        preprocess: of the model.
        tokenizer: of the model.
        context_length: of the model.
        pairs: ``best``, ``top3`` or ``all``: of which pairs the local view is.
    """

    preprocess: Preprocess
    tokenizer: "SimpleTokenizer"
    context_length: int
    pairs: str = "best"

    def make(self, sample: Sample, jpeg: bytes, draw: Sequence[int]) -> Example:
        """Return an example; the picture is decoded once for both views.

        Args:
            sample: with its pairs.
            jpeg: its picture.
            draw: where the choice among several pairs comes from: equal numbers, equal choices.

        Raises:
            DatasetError: the sample has no pairs, or its picture can't be decoded.
        """
        from glitbuild.stages.ingest.images import open_rgb

        if sample.matched is None:
            raise DatasetError(sample.key, "the record has no best_pair", "run `glitbuild match` on the dataset")
        try:
            image = open_rgb(jpeg)
        except OSError as error:
            fix = "run `glitbuild validate`, and make the shard again"
            raise DatasetError(sample.key, f"the picture can't be decoded ({error})", fix) from error
        pair = self._pair(sample, draw)
        ids = self.tokenizer.encode(sample.caption)
        starts = token_starts(self.tokenizer, sample.caption, ids)
        return Example(
            key=sample.key,
            image=self.preprocess.crop(image, (0, 0, image.width, image.height)),
            crop=self.preprocess.crop(image, pixels(pair.box, image.width, image.height)),
            ids=framed(self.tokenizer, ids, self.context_length),
            sentence_ids=framed(self.tokenizer, self.tokenizer.encode(pair.text), self.context_length),
            span=token_span(starts, pair.span, self.context_length),
            box=pair.box,
            window=self.preprocess.visible(image.width, image.height),
        )

    def blank(self) -> Example:
        """Return an example of nothing: a black picture and an empty text."""
        size, ids = self.preprocess.size, framed(self.tokenizer, (), self.context_length)
        black, edge = np.zeros((size, size, 3), np.uint8), float(size)
        return Example("", black, black, ids, ids, (0, 0), (0.0, 0.0, edge, edge), (0.0, 0.0, edge, edge))

    def _pair(self, sample: Sample, draw: Sequence[int]) -> MatchedPair:
        count = PAIRS[self.pairs]
        if count == 1:
            return sample.best
        ranked = sorted(sample.pairs, key=lambda pair: (-pair.similarity, pair.span))[:count]
        return ranked[int(np.random.default_rng(list(draw)).integers(len(ranked)))]
