"""Embeddings of shards kept from run to run, so that a dataset that has grown costs what is new."""

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.records import to_json
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.embedded import Embedded, Located
from glitbuild.stages.evaluate.robustness import SplitCaption

FOLDER = "embeddings"
LOCATED = tuple(field.name for field in fields(Located) if field.name != "unseen")
ARRAYS = (
    *("images", "captions", "image_of", "averaged", "crops", "crop_image", "boxes"),
    *("sentences", "sentence_image"),
)

log = logging.getLogger(__name__)


class EmbeddingCache:
    """A folder with a file per shard, model and way of embedding. Files appear whole.

    Where there is no room for another file, those that this run has not asked for are removed, and if that is not
    enough, the rest is not kept.

    Args:
        url: of the folder, local or any fsspec URL.
        most_bytes: that the files may have together.
    """

    def __init__(self, url: str, most_bytes: int) -> None:
        self._store, self._most = Store(url), most_bytes
        self._sizes = self._store.sizes(FOLDER)
        self._wanted: set[str] = set()

    def read(self, key: Mapping[str, Any]) -> Embedded | None:
        """Return what was kept under a key; None where there is nothing, or it is damaged."""
        name = self._name(key)
        if name not in self._sizes:
            return None
        try:
            data = self._store.read(name)
            digest, content = data[:32], data[32:]
            if hashlib.sha256(content).digest() != digest:
                raise ValueError("its SHA-256 is another")
            return _parse(content)
        except (OSError, ValueError) as error:
            log.debug("%s is not used: %s", self._store.path(name), error)
            return None

    def write(self, key: Mapping[str, Any], shard: Embedded) -> None:
        """Keep a shard's embeddings under a key."""
        name, content = self._name(key), _serialized(shard)
        self._sizes.pop(name, None)
        others = [other for other in self._sizes if other not in self._wanted]
        while others and sum(self._sizes.values()) + len(content) + 32 > self._most:
            with suppress(FileNotFoundError):  # another run may have removed it
                self._store.remove(others[0])
            del self._sizes[others.pop(0)]
        if sum(self._sizes.values()) + len(content) + 32 > self._most:
            log.warning("%s: no room for more embeddings; --cache-size is the limit", self._store.url)
            self._most = 0
            return
        self._store.write(name, hashlib.sha256(content).digest() + content)
        self._sizes[name] = len(content) + 32

    def _name(self, key: Mapping[str, Any]) -> str:
        name = f"{FOLDER}/{hashlib.sha256(to_json(dict(sorted(key.items())))).hexdigest()}.safetensors"
        self._wanted.add(name)
        return name


def _serialized(shard: Embedded) -> bytes:
    from safetensors.numpy import save

    located = {name: getattr(shard.located, name) for name in LOCATED}
    about = {
        "pictures": shard.pictures,
        "split": [[caption.text, caption.spans] for caption in shard.split],
        "truncated": shard.truncated,
        "unseen": shard.located.unseen,
    }
    arrays = {name: getattr(shard, name) for name in ARRAYS} | located
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _parse(content: bytes) -> Embedded:
    from safetensors.numpy import load

    arrays: dict[str, NDArray[Any]] = load(content)
    about = json.loads(arrays.pop("about").tobytes())
    spans = ((text, tuple((start, end) for start, end in of)) for text, of in about["split"])
    return Embedded(
        located=Located(**{name: arrays.pop(name) for name in LOCATED}, unseen=about["unseen"]),
        split=tuple(SplitCaption(text, of) for text, of in spans),
        truncated=about["truncated"],
        pictures=tuple(about["pictures"]),
        **arrays,
    )
