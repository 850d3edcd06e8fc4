"""Encoder that all commands share: L2-normalized embeddings of texts, crops and patches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from glitbuild.batches import in_batches
from glitbuild.clip.facts import CONTEXT
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.patches import PatchTower, patch_tower
from glitbuild.clip.precision import FP16, FP32, computing, convert
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import TextEncoder, Tokens
from glitbuild.clip.towers import stretch
from glitbuild.errors import ConfigError, ModelError
from glitbuild.options import THE_MODEL, blaming

if TYPE_CHECKING:
    from torch import Tensor

IMAGE_BATCH, TEXT_BATCH = 128, 256

PADDING = 1.25
"""Most tokens of a text in a batch, as a multiple of those of the shortest text."""


class Seen(NamedTuple):
    """Embeddings of an image: of the whole image, D floats, and of its patches, N x D, row by row."""

    image: NDArray[np.float32]
    patches: NDArray[np.float32]


class ClipEncoder:
    """A CLIP model on one device.

    Args:
        clip: specification of a model; or an open_clip model in memory, in evaluation mode, with CLIP's own
            tokenizer.
        device: torch device, such as ``cpu`` or ``cuda:0``; a model in memory must be on it.
        image_batch: number of crops per batch; halved if memory runs out.
        text_batch: number of texts per batch; halved if memory runs out.
        context_length: number of tokens to read; None for as many as the model reads. A model that reads fewer is
            stretched as in Long-CLIP (see ``stretch_positions``); one that reads more truncates texts at this
            length.
        at_least: number of tokens to read instead if the model can be stretched to it, and reads fewer, but
            not fewer than 77.
        precision: ``fp32``, or ``bf16`` or ``fp16`` by autocast; None for float16 on a GPU and float32 on a CPU.

    Attributes:
        preprocess: evaluation transform of the model.
        context_length: number of tokens that are read per text.

    Raises:
        ModelError: the weights are unavailable, this kind of model is not supported, or it can't read as many
            tokens.
    """

    def __init__(
        self,
        clip: ClipSpec | Any,
        device: str,
        *,
        image_batch: int = IMAGE_BATCH,
        text_batch: int = TEXT_BATCH,
        context_length: int | None = None,
        at_least: int | None = None,
        precision: str | None = None,
    ) -> None:
        spec = clip if isinstance(clip, ClipSpec) else None
        shown = spec.shown if spec else THE_MODEL
        self._model = spec.load(device) if spec else cast(Any, clip)
        self._device, self._image_batch, self._text_batch = device, image_batch, text_batch
        self._precision = precision or (FP16 if device.startswith("cuda") else FP32)
        with blaming(shown):
            self.preprocess = getattr(self._model, "preprocess", None) or Preprocess.of(self._model)
            self._text = TextEncoder(self._model, spec.tokenizer() if spec else None)
            if at_least and self._text.trims and CONTEXT <= self._text.context_length < at_least:
                context_length = at_least
            if context_length and context_length != self._text.context_length:
                self._read(context_length)
        if spec and device.startswith("cpu"):  # a model in memory belongs to the caller
            convert(self._model, self._precision)
        self.context_length = self._text.context_length
        self._patch_tower: PatchTower | None = None

    def _read(self, context_length: int) -> None:
        """Make the model read another number of tokens."""
        if not self._text.trims:
            own = self._text.context_length
            why = f"it reads {own} tokens, and has no causal text tower with CLIP's own tokenizer"
            raise ModelError(f"{THE_MODEL} with --context-length {context_length}", why, "omit --context-length")
        if context_length > self._text.context_length:
            stretch(self._model, context_length)
        self._text.context_length = context_length

    @property
    def patches(self) -> PatchTower:
        """Image tower with its patches.

        Raises:
            ModelError: it has none, or their embeddings are not defined.
        """
        if self._patch_tower is None:
            self._patch_tower = patch_tower(self._model)
        return self._patch_tower

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the token ids of each text, truncated to the context length."""
        return self._text.tokenize(texts)

    def texts(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """Return the embeddings of texts, M x D, in the given order."""
        order = sorted(range(len(tokens)), key=lambda index: (len(tokens[index].ids), index))
        found = []
        with self._computing():
            for alike in of_similar_length([tokens[index] for index in order]):
                found += in_batches(self._encode_texts, alike, self._text_batch)
        embeddings = np.empty((len(tokens), len(found[0]) if found else 0), dtype=np.float32)
        if found:
            embeddings[order] = np.stack(found)
        return embeddings

    def images(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return the embedding, D floats, of each crop from ``preprocess.crop``."""
        with self._computing():
            return in_batches(self._encode_images, crops, self._image_batch)

    def images_with_patches(self, crops: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        """Return the embeddings of each crop from ``preprocess.crop`` and of its patches.

        Raises:
            ModelError: see ``patches``.
        """
        with self._computing():
            return in_batches(self._encode_patches, crops, self._image_batch)

    def _encode_texts(self, tokens: Sequence[Tokens]) -> list[NDArray[np.float32]]:
        return list(_normalized(self._text.encode(tokens, self._device)))

    def _encode_images(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        return list(_normalized(self._model.encode_image(self.preprocess.batch(crops, self._device))))

    def _encode_patches(self, crops: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        pooled, patches = self.patches.embed(self.preprocess.batch(crops, self._device))
        return [Seen(*both) for both in zip(_normalized(pooled), _normalized(patches), strict=True)]

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Return the context of all batches of a call, in which autocast converts each weight once."""
        import torch

        if self._model.training:  # a caller may be training its model in memory
            raise ModelError(THE_MODEL, "it is in training mode", "call its eval() first")
        with torch.inference_mode(), computing(self._device, self._precision):
            yield


def of_similar_length(tokens: Sequence[Tokens]) -> Iterator[Sequence[Tokens]]:
    """Split texts into groups whose padding costs little, as a batch is padded to its longest text.

    Args:
        tokens: texts with ascending numbers of tokens.

    Yields:
        Groups in which the longest text has at most a quarter more tokens than the shortest.
    """
    start = 0
    for end in range(1, len(tokens) + 1):
        if end == len(tokens) or len(tokens[end].ids) > PADDING * len(tokens[start].ids):
            yield tokens[start:end]
            start = end


def choose_device(device: str) -> str:
    """Return the torch device for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigError: a GPU is requested but not available.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda", "torch finds no GPU here", "omit it, or give cpu")
    return device


def _normalized(features: "Tensor") -> NDArray[np.float32]:
    from torch.nn.functional import normalize

    found: NDArray[np.float32] = normalize(features.float(), dim=-1).cpu().numpy()
    return found
