"""Datasets whose pictures must not be in another: their identity, and the hashes of their pictures."""

import hashlib
import logging
import posixpath
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from glitbuild.errors import DatasetError
from glitbuild.ingest.duplicates import Sieve
from glitbuild.ingest.near import perceptual_hash
from glitbuild.records import writable
from glitbuild.shards.layout import MANIFEST
from glitbuild.shards.manifest import Manifest, open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store

WINDOW = 256
"""Pictures in memory at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A finished dataset to be kept apart; ``identity`` is what the configuration says of it."""

    store: Store
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of its directory."""
        return writable(posixpath.basename(self.store.root.rstrip("/")))

    @property
    def identity(self) -> dict[str, str]:
        """Its name, and the SHA-256 of its manifest, which has those of its shards."""
        return {"dataset": self.name, "sha256": hashlib.sha256(self.store.read(MANIFEST)).hexdigest()}

    def add_to(self, sieve: Sieve, threads: int) -> None:
        """Have the sieve find rows whose pictures look like this dataset's.

        Raises:
            DatasetError: one of its shards is damaged.
        """
        log.info("ingest: reading %d pictures of %s", self.manifest.totals["samples"], self.name)
        found = sieve.exclude(self.name)
        with ThreadPoolExecutor(threads) as pool:
            pictures = self._pictures()
            while window := list(islice(pictures, WINDOW)):
                hashes = pool.map(self._hash, window)
                for (key, _), hash in zip(window, hashes, strict=True):
                    found.add(hash, int(key))

    def _pictures(self) -> Iterator[tuple[str, bytes]]:
        for entry in self.manifest.shards:
            for sample, jpeg in read_shard(self.store, entry.name, entry.sha256):
                yield sample.key, jpeg

    def _hash(self, picture: tuple[str, bytes]) -> int:
        key, jpeg = picture
        try:
            return perceptual_hash(jpeg)
        except Exception as error:  # a damaged JPEG can make a decoder raise almost anything
            why = f"the image of {key} can't be decoded ({type(error).__name__})"
            raise DatasetError(self.store.url, why, "see what glitbuild validate says of it") from error


def open_excluded(urls: Sequence[str]) -> list[Excluded]:
    """Open datasets to be kept apart.

    Raises:
        ConfigError: there is no finished dataset.
    """
    return [Excluded(*open_dataset(url)) for url in urls]
