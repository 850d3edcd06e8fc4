"""Turns records and their images into batches, in an order that doesn't depend on the number of processes."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import framed, padded, token_starts
from glitbuild.errors import DatasetError, GlitbuildError, TrainingError
from glitbuild.flism.regions import pixels
from glitbuild.records import Box, MatchedPair, Sample
from glitbuild.stages.train.cache import Ahead, ShardCache
from glitbuild.stages.train.open_shards import OpenShards
from glitbuild.stages.train.plan import Place, Plan
from glitbuild.stages.train.sources import Source
from glitbuild.tsl import token_span

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer


PAIRS = {"best": 1, "top3": 3, "all": None}
"""Number of a sample's closest pairs from which one is drawn in each epoch."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sample as the model is trained on it.

    Attributes:
        key: key of the sample.
        image: whole image, S x S x 3, 0 to 255.
        crop: crop of the region, S x S x 3, 0 to 255.
        ids: token ids of the caption, with start and end of text, truncated to the context length.
        sentence_ids: token ids of the region's sentence, with start and end of text, truncated in the same way.
        span: positions of the sentence in ``ids``, half-open; empty if it is beyond the last token.
        box: box of the region, xyxy in pixels of the image.
        window: part of the image that the model sees, xyxy in pixels of the image.
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
        preprocess: preprocessing of the model.
        tokenizer: tokenizer of the model.
        context_length: number of tokens that the model reads.
        pairs: pairs from which the local view is chosen: ``best``, ``top3`` or ``all``.
    """

    preprocess: Preprocess
    tokenizer: "SimpleTokenizer"
    context_length: int
    pairs: str = "best"

    def make(self, sample: Sample, jpeg: bytes, draw: Sequence[int]) -> Example:
        """Return an example; the image is decoded once for both views.

        Args:
            sample: sample with its pairs.
            jpeg: JPEG bytes of its image.
            draw: seed of the choice among several pairs; equal seeds give equal choices.

        Raises:
            DatasetError: the sample has no pairs, or its image can't be decoded.
        """
        from glitbuild.images.stored import open_rgb

        if sample.matched is None:
            raise DatasetError(sample.key, "the record has no best_pair", "run `glitbuild match` on the dataset")
        try:
            image = open_rgb(jpeg)
        except OSError as error:
            fix = "run `glitbuild validate`, and make the shard again"
            raise DatasetError(sample.key, f"the image can't be decoded ({error})", fix) from error
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
        """Return an empty example: a black image and an empty text."""
        size, ids = self.preprocess.size, framed(self.tokenizer, (), self.context_length)
        black, edge = np.zeros((size, size, 3), np.uint8), float(size)
        return Example("", black, black, ids, ids, (0, 0), (0.0, 0.0, edge, edge), (0.0, 0.0, edge, edge))

    def _pair(self, sample: Sample, draw: Sequence[int]) -> MatchedPair:
        count = PAIRS[self.pairs]
        if count == 1:
            return sample.best
        ranked = sorted(sample.pairs, key=lambda pair: (-pair.similarity, pair.span))[:count]
        return ranked[int(np.random.default_rng(list(draw)).integers(len(ranked)))]


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples stacked into tensors.

    A process without samples in a step gets a blank row without a key: it takes part in the collective
    operations but contributes nothing. ``len`` doesn't count blank rows.

    Attributes:
        keys: keys of the samples.
        images: whole images, B x S x S x 3, uint8.
        crops: crops of the regions, B x S x S x 3, uint8.
        ids: token ids of the captions, B x L, zeros after the end of text; L is the longest of the batch.
        sentence_ids: token ids of the sentences, B x M, padded in the same way.
        spans: positions of the sentences in ``ids``, B x 2, half-open.
        boxes: boxes of the regions, B x 4, xyxy in pixels of the images.
        windows: parts of the images that the model sees, B x 4, xyxy in pixels of the images.
    """

    keys: tuple[str, ...]
    images: torch.Tensor
    crops: torch.Tensor
    ids: torch.Tensor
    sentence_ids: torch.Tensor
    spans: torch.Tensor
    boxes: torch.Tensor
    windows: torch.Tensor

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: str) -> "Batch":
        """Return the batch with its tensors on a device."""
        names = [field.name for field in fields(self) if field.name != "keys"]
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})

    def part(self, start: int, end: int) -> "Batch":
        """Return the rows from ``start`` up to ``end`` as a batch."""
        return Batch(**{field.name: getattr(self, field.name)[start:end] for field in fields(self)})

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory, for faster copies to a GPU; called by ``DataLoader``."""
        names = [field.name for field in fields(self) if field.name != "keys"]
        return replace(self, **{name: getattr(self, name).pin_memory() for name in names})


def collate(examples: Sequence[Example]) -> Batch:
    """Stack examples into a batch."""
    return Batch(
        keys=tuple(example.key for example in examples),
        images=torch.from_numpy(np.stack([example.image for example in examples])),
        crops=torch.from_numpy(np.stack([example.crop for example in examples])),
        ids=padded([example.ids for example in examples]),
        sentence_ids=padded([example.sentence_ids for example in examples]),
        spans=torch.tensor([example.span for example in examples]),
        boxes=torch.tensor([example.box for example in examples], dtype=torch.float64),
        windows=torch.tensor([example.window for example in examples], dtype=torch.float64),
    )


class Batches(Dataset[Batch]):
    """Dataset whose items are whole batches, indexed by the places of their samples.

    Args:
        sources: datasets of the training.
        maker: maker of the examples.
        plan: order of the training; its seed also decides the choice among several pairs.
        cache: cache of the shards of remote datasets.
    """

    def __init__(
        self, sources: Sequence[Source], maker: ExampleMaker, plan: Plan, cache: ShardCache | None = None
    ) -> None:
        self._maker, self._seed = maker, plan.seed
        self._shards = OpenShards(sources, plan, cache)

    def __getitem__(self, places: Sequence[Place]) -> Batch:
        if not places:
            return replace(collate([self._maker.blank()]), keys=())
        return collate([self._example(place) for place in places])

    def keys(self, places: Iterable[Place]) -> tuple[str, ...]:
        """Return the keys of the samples at the given places."""
        return tuple(self._shards.read(place)[0].key for place in places)

    def digests(self, places: Iterable[Place]) -> list[str]:
        """Return the SHA-256 of the image of each sample at the given places."""
        return [self._shards.read(place)[0].image.sha256 for place in places]

    def _example(self, place: Place) -> Example:
        sample, jpeg = self._shards.read(place)
        draw = (self._seed, place.epoch, place.shard, place.row)
        return self._maker.make(sample, jpeg, (*draw, place.visit) if place.visit else draw)


class _Answers(Dataset[Batch | GlitbuildError]):
    """Batches, or the error that prevented one: torch can't pass our errors on from a worker process."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, places: Sequence[Place]) -> Batch | GlitbuildError:
        try:
            return self._batches[places]
        except GlitbuildError as error:
            return error


def load(
    batches: Batches,
    steps: Iterable[list[Place]],
    workers: int,
    pin_memory: bool = False,
    ahead: Ahead | None = None,
) -> Iterator[Batch]:
    """Yield the batch of each step, in order, prefetched by worker processes.

    Args:
        batches: dataset of the batches.
        steps: places of the samples of each batch.
        workers: number of processes that read, decode and crop; 0 does so in this process.
        pin_memory: whether to pin the batches in memory, for a GPU.
        ahead: prefetcher of a remote dataset's shards.

    Raises:
        DatasetError: a sample can't be read.
        TrainingError: a worker process died.
    """
    coming: deque[list[Place]] = deque()

    def asked_for() -> Iterator[list[Place]]:
        for places in steps:
            if ahead and places and not coming:  # the first batch; the workers have been forked by now
                ahead.reach(places[0])
            coming.append(places)
            yield places

    loader: DataLoader[Batch | GlitbuildError] = DataLoader(
        _Answers(batches),
        batch_size=None,
        sampler=asked_for(),
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
    )
    try:
        for answer in loader:
            if isinstance(answer, GlitbuildError):
                raise answer
            places = coming.popleft()
            if ahead and places:
                ahead.reach(places[0])
            yield answer
    except RuntimeError as error:  # torch has no class for a dead worker; other texts are its own errors
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        why = f"one of the {workers} died; unless it was killed, memory or /dev/shm was too small"
        fix = "run the same command again, with fewer --loader-workers (0: none), to resume from the checkpoint"
        raise TrainingError("a decoding process", why, fix) from error
    finally:
        if ahead:
            ahead.close()
