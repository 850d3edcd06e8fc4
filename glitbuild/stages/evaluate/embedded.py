"""Embeddings of a shard and of a dataset, as the suites read them, and their cache."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.records import Box, Given, to_json
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.localization import KS as PATCHES
from glitbuild.stages.evaluate.localization import chance, locate
from glitbuild.stages.evaluate.robustness import SplitCaption


@dataclass(frozen=True, slots=True)
class Located:
    """Results of the localization of sentences.

    Attributes:
        hits: S x 3, whether one of the first 5, 10 or 15 patches is in the sentence's place.
        chance: S x 3, probability of that for patches in random order.
        unseen: number of sentences whose place contains no patch centre of the model's input; they can't be hit.
    """

    hits: NDArray[np.bool_]
    chance: NDArray[np.float64]
    unseen: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embeddings of a shard or a dataset, all float32 and L2-normalised; parts that no suite needs are empty.

    Attributes:
        images: N x D, in the order of their first samples.
        captions: M x D, one caption per sample.
        image_of: M, number of each caption's image.
        averaged: M x D, mean embedding of each caption's sentences.
        crops: G x D, regions of the pairs, each region once.
        crop_image: G, number of each region's image.
        sentences: P x D, sentences of the pairs.
        sentence_image: P, number of each sentence's image.
        located: results of the localization of sentences.
        split: captions with their sentences.
        truncated: number of captions that the model can't read to the end.
        pictures: N, SHA-256 of each image.
        boxes: G x 4, box of each region in its image.
        given: H x D, crops of given boxes, each box with its label and sentence once.
        given_image: H, number of each given box's image.
        given_boxes: H x 4, given boxes in their images.
        given_said: H, label and sentence of each given box; empty strings where it has none.
        context_length: number of tokens read per text.
        no_patches: why the model can't localize sentences; empty if it can, or need not.
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
    pictures: tuple[str, ...] = ()
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    given: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    given_image: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    given_boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    given_said: tuple[tuple[str, str], ...] = ()
    context_length: int = 0
    no_patches: str = ""


@dataclass(slots=True)
class Gathering:
    """Collects the embeddings of a shard; see ``Embedded`` for the parts."""

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
    pictures: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    given: list[NDArray[Any]] = field(default_factory=list)
    given_image: list[int] = field(default_factory=list)
    given_records: list[Given] = field(default_factory=list)
    context_length: int = 0
    no_patches: str = ""

    def look_for(self, sentences: NDArray[Any], patches: NDArray[Any], inside: NDArray[np.bool_]) -> None:
        """Localize sentences in one image; see ``locate``."""
        self.hits.append(locate(patches, sentences, inside))
        self.chance.append(chance(inside))
        self.unseen += int((~inside.any(axis=1)).sum())

    def whole(self) -> Embedded:
        """Return everything collected so far."""
        located = Located(_rows(self.hits, len(PATCHES), np.bool_), _rows(self.chance, len(PATCHES)), self.unseen)
        return Embedded(
            images=_rows([np.stack(self.images)] if self.images else []),
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
            pictures=tuple(self.pictures),
            boxes=np.array(self.boxes, dtype=np.float64).reshape(-1, 4),
            given=_rows([np.stack(self.given)] if self.given else []),
            given_image=np.array(self.given_image, dtype=np.int64),
            given_boxes=np.array([each.box for each in self.given_records], dtype=np.float64).reshape(-1, 4),
            given_said=tuple((each.label, each.sentence) for each in self.given_records),
            context_length=self.context_length,
            no_patches=self.no_patches,
        )


def joined(shards: Iterable[Embedded]) -> Embedded:
    """Return the embeddings of a dataset from those of its shards, in their order.

    Samples whose images have the same bytes are captions of one image, even if they are in different shards. The
    image's embedding is taken from the first of these shards, and a region that occurs in several counts once.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _ROWS}
    numbers: dict[str, int] = {}
    cropped: set[tuple[Any, ...]] = set()
    marked: set[tuple[Any, ...]] = set()
    said: list[tuple[str, str]] = []
    split: list[SplitCaption] = []
    unseen = truncated = context_length = 0
    no_patches = ""
    for shard in shards:
        context_length, no_patches = shard.context_length, shard.no_patches  # the same for all
        if not len(shard.captions):  # all rows of the shard were skipped
            continue
        new_images = [picture not in numbers for picture in shard.pictures]
        number_of = np.array([numbers.setdefault(picture, len(numbers)) for picture in shard.pictures], np.int64)
        crop_image = number_of[shard.crop_image]
        new_crops = []
        for crop in zip(crop_image.tolist(), *shard.boxes.T.tolist(), strict=True):
            new_crops.append(crop not in cropped)
            cropped.add(crop)
        given_image, new_given = number_of[shard.given_image], []
        places = zip(given_image.tolist(), *shard.given_boxes.T.tolist(), strict=True)
        for box, of in zip(places, shard.given_said, strict=True):
            new_given.append((box, of) not in marked)
            marked.add((box, of))
            said += [of] if new_given[-1] else []
        rows: dict[str, NDArray[Any]] = {
            "images": shard.images[new_images],
            "captions": shard.captions,
            "image_of": number_of[shard.image_of],
            "averaged": shard.averaged,
            "crops": shard.crops[new_crops],
            "crop_image": crop_image[new_crops],
            "boxes": shard.boxes[new_crops],
            "given": shard.given[new_given],
            "given_image": given_image[new_given],
            "given_boxes": shard.given_boxes[new_given],
            "sentences": shard.sentences,
            "sentence_image": number_of[shard.sentence_image],
            "hits": shard.located.hits,
            "chance": shard.located.chance,
        }
        for name, found in rows.items():
            if len(found):
                parts[name].append(found)
        split += shard.split
        unseen += shard.located.unseen
        truncated += shard.truncated
    whole = {name: _rows(found, *_ROWS[name]) for name, found in parts.items()}
    located = Located(whole.pop("hits"), whole.pop("chance"), unseen)
    return Embedded(
        located=located,
        split=tuple(split),
        truncated=truncated,
        pictures=tuple(numbers),
        given_said=tuple(said),
        context_length=context_length,
        no_patches=no_patches,
        **whole,
    )


_ROWS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("images", "captions", "averaged", "crops", "sentences", "given"), (0,)),
    **dict.fromkeys(("image_of", "crop_image", "sentence_image", "given_image"), (None, np.int64)),
    **dict.fromkeys(("boxes", "given_boxes"), (4, np.float64)),
    "hits": (len(PATCHES), np.bool_),
    "chance": (len(PATCHES), np.float64),
}
"""Width and type of each array that may have no rows; None for plain numbers."""


def _rows(parts: Sequence[NDArray[Any]], width: int | None = 0, dtype: type[Any] = np.float32) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty((0,) if width is None else (0, width), dtype=dtype)


FOLDER = "embeddings"
LOCATED = tuple(field.name for field in fields(Located) if field.name != "unseen")
ARRAYS = (
    *("images", "captions", "image_of", "averaged", "crops", "crop_image", "boxes"),
    *("sentences", "sentence_image", "given", "given_image", "given_boxes"),
)

log = logging.getLogger(__name__)


class EmbeddingCache:
    """A folder with one file per shard, model and way of embedding. Files appear only once they are complete.

    If there is no room for another file, files that this run has not used are removed; if that is not enough,
    further embeddings are not cached.

    Args:
        url: folder of the cache, local or any fsspec URL.
        most_bytes: maximum total size of the files in bytes.
    """

    def __init__(self, url: str, most_bytes: int) -> None:
        self._store, self._most = Store(url), most_bytes
        self._sizes = self._store.sizes(FOLDER)
        self._wanted: set[str] = set()

    def read(self, key: Mapping[str, Any]) -> Embedded | None:
        """Return the embeddings cached under a key; None if there are none, or they are damaged."""
        name = self._name(key)
        if name not in self._sizes:
            return None
        try:
            data = self._store.read(name)
            digest, content = data[:32], data[32:]
            if hashlib.sha256(content).digest() != digest:
                raise ValueError("its SHA-256 does not match")
            return _parse(content)
        except (OSError, ValueError, KeyError) as error:  # KeyError: of an earlier version
            log.debug("%s is not used: %s", self._store.path(name), error)
            return None

    def write(self, key: Mapping[str, Any], shard: Embedded) -> None:
        """Cache a shard's embeddings under a key."""
        name, content = self._name(key), _serialized(shard)
        self._sizes.pop(name, None)
        others = [other for other in self._sizes if other not in self._wanted]
        while others and sum(self._sizes.values()) + len(content) + 32 > self._most:
            with suppress(FileNotFoundError):  # another run may have removed it
                self._store.remove(others[0])
            del self._sizes[others.pop(0)]
        if sum(self._sizes.values()) + len(content) + 32 > self._most:
            log.warning("%s: no room for more embeddings; raise --cache-size to cache all of them", self._store.url)
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
        "given_said": shard.given_said,
        "context_length": shard.context_length,
        "no_patches": shard.no_patches,
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
        given_said=tuple((label, sentence) for label, sentence in about["given_said"]),
        context_length=about["context_length"],
        no_patches=about["no_patches"],
        **arrays,
    )
