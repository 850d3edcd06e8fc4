"""Encoder that all commands share: L2-normalized embeddings of texts, crops and patches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from glitbuild.batches import in_batches
from glitbuild.clip.facts import CONTEXT, LONG_CONTEXT
from glitbuild.clip.load import CONTEXT_LENGTH, ClipSpec
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import TextEncoder, Tokens
from glitbuild.clip.towers import stretch
from glitbuild.errors import ConfigError, ModelError
from glitbuild.options import THE_MODEL, blaming

if TYPE_CHECKING:
    from torch import Tensor

IMAGE_BATCH, TEXT_BATCH = 128, 256


class Seen(NamedTuple):
    """Embeddings of an image: of the whole image, D floats, and of its patches, N x D, row by row."""

    image: NDArray[np.float32]
    patches: NDArray[np.float32]


class ClipEncoder:
    """A CLIP model on one device; computes in float16 (autocast) on a GPU and in float32 on a CPU.

    Args:
        clip: specification of a model; or an open_clip model in memory, in evaluation mode, with CLIP's own
            tokenizer.
        device: torch device, such as ``cpu`` or ``cuda:0``; a model in memory must be on it.
        image_batch: number of crops per batch; halved if memory runs out.
        text_batch: number of texts per batch; halved if memory runs out.
        context_length: number of tokens to read; None for as many as the model reads. 248 stretches a model that
            reads 77 as Long-CLIP does; 77 truncates longer texts even if the model could read more.
        patches: whether ``images_with_patches`` will be used, for which the model must be a vision transformer.

    Attributes:
        preprocess: evaluation transform of the model.
        towers: both towers, with access to the states of patches; None unless ``patches`` is set.

    Raises:
        ModelError: the weights are unavailable, or this kind of model is not supported.
    """

    def __init__(
        self,
        clip: ClipSpec | Any,
        device: str,
        *,
        image_batch: int = IMAGE_BATCH,
        text_batch: int = TEXT_BATCH,
        context_length: int | None = None,
        patches: bool = False,
    ) -> None:
        from glitbuild.clip.towers import Towers

        spec = clip if isinstance(clip, ClipSpec) else None
        shown = spec.shown if spec else THE_MODEL
        self._model = spec.load(device) if spec else cast(Any, clip)
        self._device, self._image_batch, self._text_batch = device, image_batch, text_batch
        with blaming(shown):
            if context_length == LONG_CONTEXT and self._model.context_length == CONTEXT:
                stretch(self._model)
            self.towers = Towers(self._model) if patches else None
            self.preprocess = Preprocess.of(self._model)
            if context_length:
                _check_context(context_length, self._model.context_length, shown)
            given = spec.changes.get(CONTEXT_LENGTH) if spec else None
            self._text = TextEncoder(self._model, spec.architecture if spec else None, given)
        if context_length:
            self._text.context_length = context_length
            self._check_tokenizer(context_length, shown)

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the token ids of each text, truncated to the context length."""
        return self._text.tokenize(texts)

    def texts(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """Return the embeddings of texts, M x D, in the given order."""
        # Texts of similar length share a batch, because a batch is padded to its longest text.
        order = sorted(range(len(tokens)), key=lambda index: (len(tokens[index].ids), index))
        found = in_batches(self._encode_texts, [tokens[index] for index in order], self._text_batch)
        embeddings = np.empty((len(tokens), len(found[0]) if found else 0), dtype=np.float32)
        if found:
            embeddings[order] = np.stack(found)
        return embeddings

    def images(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return the embedding, D floats, of each crop from ``preprocess.crop``."""
        return in_batches(self._encode_images, crops, self._image_batch)

    def images_with_patches(self, crops: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        """Return the embeddings of each crop from ``preprocess.crop`` and of its patches."""
        return in_batches(self._encode_patches, crops, self._image_batch)

    def _encode_texts(self, tokens: Sequence[Tokens]) -> list[NDArray[np.float32]]:
        with self._computing():
            return list(_normalized(self._text.encode(tokens, self._device)))

    def _encode_images(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        with self._computing():
            pixels = self.preprocess.batch(crops, self._device)
            pooled = self.towers.images(pixels)[1] if self.towers else self._model.encode_image(pixels)
            return list(_normalized(pooled))

    def _encode_patches(self, crops: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        assert self.towers
        with self._computing():
            states, pooled = self.towers.images(self.preprocess.batch(crops, self._device))
            patches = self.towers.project_patches(states)
            return [Seen(*both) for both in zip(_normalized(pooled), _normalized(patches), strict=True)]

    @contextmanager
    def _computing(self) -> Iterator[None]:
        import torch

        if self._model.training:  # a caller may be training its model in memory
            raise ModelError(THE_MODEL, "it is in training mode", "call its eval() first")
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, self._device.startswith("cuda")):
            yield

    def _check_tokenizer(self, context_length: int, shown: str) -> None:
        tokens = len(self.tokenize(["a " * LONG_CONTEXT])[0].ids)
        if tokens != context_length:  # another kind of tokenizer, with a fixed length
            what, fix = f"{shown} with --context-length {context_length}", "use a model with CLIP's own tokenizer"
            raise ModelError(what, f"its tokenizer makes {tokens} tokens of a long text", fix)


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


def _check_context(asked: int, reads: int, shown: str) -> None:
    if asked > reads:
        fix = f"give --context-length {CONTEXT}" if reads > CONTEXT else "use a model that reads more"
        why = f"the model reads {reads} tokens, and only models that read {CONTEXT} can be stretched"
        raise ModelError(f"{shown} with --context-length {asked}", why, fix)


def _normalized(features: "Tensor") -> NDArray[np.float32]:
    from torch.nn.functional import normalize

    found: NDArray[np.float32] = normalize(features.float(), dim=-1).cpu().numpy()
    return found
