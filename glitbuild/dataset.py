"""Python access to datasets: samples in order or by index, and training examples for CLIP."""

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, overload

import torch
from torch.utils.data import Dataset

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import own_tokenizer
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.images.stored import open_rgb
from glitbuild.records import MatchedPair, Region, Sample, Source
from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import Manifest, open_dataset
from glitbuild.shards.reader import check_shards, read_shard
from glitbuild.shards.store import Store
from glitbuild.stages.train.cache import ShardCache, cache_folder, size_in_bytes
from glitbuild.stages.train.data import PAIRS, Batch, Example, ExampleMaker, collate
from glitbuild.stages.train.open_shards import ShardFile, ShardRanges

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_OPEN = 64
"""Largest number of shards that a process keeps open."""


@dataclass(frozen=True)
class DatasetSample:
    """A sample with its image.

    Attributes:
        record: complete record of the sample; see ``schemas/sample.schema.json``.
        jpeg: bytes of the stored image.
    """

    record: Sample
    jpeg: bytes

    @property
    def key(self) -> str:
        """Name of the sample, unique in its dataset."""
        return self.record.key

    @property
    def caption(self) -> str:
        """Text that describes the image; empty in a dataset without captions."""
        return self.record.caption

    @property
    def source(self) -> Source:
        """Origin of the sample, with its kept columns."""
        return self.record.source

    @property
    def pairs(self) -> tuple[MatchedPair, ...]:
        """Sentences with their regions, in the order of the caption; empty before ``match``."""
        return self.record.pairs

    @property
    def best(self) -> MatchedPair:
        """Pair with the highest similarity.

        Raises:
            ValueError: the dataset is not matched.
        """
        return self.record.best

    @property
    def regions(self) -> tuple[Region, ...]:
        """Candidate regions, in pixels of the image; empty before ``match``."""
        return self.record.matched.regions if self.record.matched else ()

    @cached_property
    def image(self) -> "Image":
        """Upright RGB image, decoded on first access.

        Raises:
            OSError: the JPEG is damaged.
        """
        return open_rgb(self.jpeg)


class Samples(Sequence[DatasetSample]):
    """Sequence of the samples of a dataset; see ``read``.

    Attributes:
        manifest: contents of the dataset, and how they were made.
    """

    def __init__(self, rows: "Rows", manifest: Manifest) -> None:
        self._rows, self.manifest = rows, manifest

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> DatasetSample: ...
    @overload
    def __getitem__(self, index: slice) -> list[DatasetSample]: ...
    def __getitem__(self, index: int | slice) -> DatasetSample | list[DatasetSample]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return DatasetSample(*self._rows.read(*self._rows.place(index)))

    def __iter__(self) -> Iterator[DatasetSample]:
        for record, jpeg in self._rows:
            yield DatasetSample(record, jpeg)


def read(dir: str, *, cache: str | None = None, cache_size: str | None = None) -> Samples:
    """Open a finished dataset, matched or not.

    Iterating streams one shard after another and verifies each against the manifest on the way; only one sample is
    in memory at a time. Indexing, as in ``samples[7]``, opens only the shard of that sample, and verifies it the
    first time that the process opens it. The samples work with a ``DataLoader`` (with a ``collate_fn``), with any
    sampler and in worker processes.

    Args:
        dir: dataset directory, as a path or any fsspec URL such as ``s3://bucket/pairs``.
        cache: folder for shards of a remote dataset whose samples are read by index; by default
            ``~/.cache/glitbuild/shards``.
        cache_size: largest size of the cache, such as ``500MB``; 50GB by default.

    Returns:
        A sequence of samples with ``key``, ``image`` (PIL), ``caption``, ``pairs``, ``best``, ``regions``,
        ``source``, ``record`` and ``jpeg``.

    Raises:
        ConfigError: there is no finished dataset, or ``cache_size`` is not a size.
        DatasetError: a shard or a sample is damaged; raised when it is read.

    Example:
        >>> import glitbuild
        >>> samples = glitbuild.read("data/pairs")
        >>> len(samples), samples[0].image.mode, len(samples[0].pairs) > 0
        (4, 'RGB', True)
        >>> [sample.best.text in sample.caption for sample in samples]
        [True, True, True, True]
    """
    store, manifest = open_dataset(dir)
    return Samples(Rows(store, manifest, _cache(store, manifest, cache, cache_size)), manifest)


class GlitDataset(Dataset[Example]):
    """Matched dataset as a map-style torch dataset; each item holds the inputs of both towers of a CLIP.

    It works with any sampler, with worker processes and with several training processes. All shards of a local
    dataset are verified against the manifest once, at the beginning; those of a remote one, when they are
    downloaded. It holds no reference to the model.

    Args:
        dir: dataset directory that ``match`` finished, as a path or any fsspec URL.
        model: open_clip model with CLIP's own tokenizer; provides the preprocessing and the context length.
        pairs: ``best`` for the best pair of each sample; ``top3`` or ``all`` to draw one of these per epoch.
        seed: seed for drawing one of several pairs.
        cache: folder for shards of a remote dataset; by default ``~/.cache/glitbuild/shards``. With a sampler that
            shuffles, all shards should fit.
        cache_size: largest size of the cache, such as ``500MB``; 50GB by default.

    Attributes:
        manifest: contents of the dataset, and how they were made.

    Raises:
        ConfigError: there is no finished dataset, or ``pairs`` or ``cache_size`` is invalid.
        DatasetError: the dataset is not matched, or a shard or sample is damaged.
        ModelError: the model's preprocessing or tokenizer is not CLIP's.

    Example:
        >>> import glitbuild, torch
        >>> model = glitbuild.load_clip("demo", context_length=248)
        >>> data = glitbuild.GlitDataset("data/pairs", model)
        >>> len(data), data[0].image.shape, data[0].crop.shape
        (4, (160, 160, 3), (160, 160, 3))
        >>> loader = torch.utils.data.DataLoader(data, 2, shuffle=True, collate_fn=data.collate_fn)
        >>> [len(batch) for batch in loader]
        [2, 2]
    """

    def __init__(
        self,
        dir: str,
        model: Any,
        *,
        pairs: str = "best",
        seed: int = 0,
        cache: str | None = None,
        cache_size: str | None = None,
    ) -> None:
        if pairs not in PAIRS:
            raise ConfigError(f"pairs {pairs}", "unknown", "give " + ", ".join(PAIRS))
        store, self.manifest = open_dataset(dir)
        if self.manifest.config.get("stage") != "match":
            raise DatasetError(dir, "its records have no best_pair", "run `glitbuild match` on it first")
        if store.is_local:
            check_shards(store, self.manifest.shards)
        self._rows = Rows(store, self.manifest, _cache(store, self.manifest, cache, cache_size), checked=True)
        self._maker = ExampleMaker(Preprocess.of(model), own_tokenizer(model), model.context_length, pairs)
        self._seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # persistent workers see it too

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Example:
        shard, row = self._rows.place(index)
        return self._maker.make(*self._rows.read(shard, row), (self._seed, int(self._epoch), shard, row))

    @staticmethod
    def collate_fn(examples: Sequence[Example]) -> Batch:
        """Collate examples into a batch whose texts are padded to the longest of them."""
        return collate(examples)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the pairs that are drawn; call it before each epoch.

        Args:
            epoch: number of the epoch, counted from 0.
        """
        self._epoch.fill_(epoch)


class Rows:
    """Rows of a dataset's shards, in order or by index, in any process.

    Args:
        store: dataset directory.
        manifest: manifest of the dataset.
        cache: cache for the shards of a remote dataset; None for a local one.
        checked: whether all shards of a local dataset have been verified against the manifest.
    """

    def __init__(self, store: Store, manifest: Manifest, cache: ShardCache | None, checked: bool = False) -> None:
        self._url = store.root if store.is_local else store.url
        self._entries, self._cache, self._checked = manifest.shards, cache, checked
        self._ends = list(accumulate(entry.samples for entry in manifest.shards))
        self._forget()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[tuple[Sample, bytes]]:
        store = Store(self._url)
        for entry in self._entries:
            yield from read_shard(store, entry.name, entry.sha256)

    def place(self, index: int) -> tuple[int, int]:
        """Return the index of a sample's shard, and the sample's row in it.

        Raises:
            IndexError: there is no such sample.
        """
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        shard = bisect_right(self._ends, number)
        return shard, number - (self._ends[shard] - self._entries[shard].samples)

    def read(self, shard: int, row: int) -> tuple[Sample, bytes]:
        """Return a sample and its JPEG.

        Raises:
            DatasetError: the sample can't be read, or its shard doesn't match the manifest.
        """
        if self._process != os.getpid():
            self._forget()  # a file opened before a fork shares its position with the parent
        if shard in self._open:
            self._open.move_to_end(shard)
        else:
            while len(self._open) >= MOST_OPEN:
                self._close_one()
            self._open[shard] = self._opened(shard)
        return self._open[shard].read(row)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}  # open files can't be pickled

    def _forget(self) -> None:
        self._process = os.getpid()
        self._open: OrderedDict[int, ShardFile | ShardRanges] = OrderedDict()

    def _close_one(self) -> None:
        _, oldest = self._open.popitem(last=False)
        if isinstance(oldest, ShardFile):
            oldest.close()

    def _opened(self, shard: int) -> ShardFile | ShardRanges:
        entry, store = self._entries[shard], Store(self._url)
        path = tar_path(entry.name)
        if self._cache is None:
            if not self._checked:
                check_shards(store, [entry])
            return ShardFile(store.open(path), store.path(path), entry.samples)
        while not (file := self._cache.open(store, entry)):
            if not self._open:  # other processes use the whole cache
                return ShardRanges(store, entry.name, self._cache.index(store, entry))
            self._close_one()
        return ShardFile(file, store.path(path), entry.samples)


def _cache(store: Store, manifest: Manifest, folder: str | None, size: str | None) -> ShardCache | None:
    """Return the cache for a remote dataset, or None for a local one."""
    if not (limit := size_in_bytes(size)):
        raise ConfigError(f"cache_size {size}", "not a size", "give one such as 500MB or 50GB")
    if store.is_local:
        if folder or size:
            raise ConfigError(f"cache {folder or size}", f"{store} is local and needs no cache", "omit it")
        return None
    cache = ShardCache(cache_folder(folder), limit)
    if manifest.shards:
        cache.prepare(store, manifest.shards)
    return cache
