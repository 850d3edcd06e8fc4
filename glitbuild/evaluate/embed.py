"""A model under evaluation: embeddings of texts, images and patches, L2-normalised."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.encode import inference
from glitbuild.clip.load import CONTEXT_LENGTH, ClipSpec
from glitbuild.clip.names import blaming
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.stretch import CONTEXT, LONG_CONTEXT, stretch
from glitbuild.clip.text import TextEncoder, Tokens
from glitbuild.engine.batches import in_batches
from glitbuild.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from torch import Tensor


class Seen(NamedTuple):
    """What a model makes of an image: its embedding, D floats, and those of its patches, N x D, row by row."""

    image: NDArray[np.float32]
    patches: NDArray[np.float32]


class Embedder:
    """An open_clip model with a vision transformer and a causal text tower, on one device.

    On a GPU it computes in float16 (autocast), on a CPU in float32.

    Args:
        spec: the model and its weights.
        context_length: 248 stretches a model that reads 77 tokens as Long-CLIP does; with 77 longer texts are cut,
            whatever the model could read.
        batch_size: images or texts that are computed together; halved where memory is too small for them.
        device: a torch device: ``cpu``, ``cuda``.

    Raises:
        ModelError: the weights can't be had, or the model is of a kind not supported.
    """

    def __init__(self, spec: ClipSpec, context_length: int, batch_size: int, device: str) -> None:
        from glitbuild.clip.towers import Towers

        model = spec.load(device)
        with blaming(spec.shown):
            if context_length == LONG_CONTEXT and model.context_length == CONTEXT:
                stretch(model)
            self._towers = Towers(model)
            self.preprocess = Preprocess.of(model)
        if context_length > model.context_length:
            what, reads = f"{spec.shown} with --context-length {context_length}", model.context_length
            fix = f"give --context-length {CONTEXT}" if reads > CONTEXT else "take a model that reads more"
            raise ModelError(what, f"the model reads {reads} tokens, and only {CONTEXT} are stretched", fix)
        self._text = TextEncoder(model, spec.architecture, spec.changes.get(CONTEXT_LENGTH))
        self._text.context_length = context_length
        tokens = len(self.tokenize(["a " * LONG_CONTEXT])[0].ids)
        if tokens != context_length:  # a tokenizer of another build, which has a length of its own
            what, fix = (
                f"{spec.model} with --context-length {context_length}",
                "take a model with CLIP's own tokenizer",
            )
            raise ModelError(what, f"its tokenizer makes {tokens} tokens of a long text", fix)
        self._batch_size, self._device = batch_size, device
        self.size, self.patch_size = self._towers.image_size, self._towers.patch_size

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Return each text's token ids, cut to the context length."""
        return self._text.tokenize(texts)

    def texts(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """Return the embeddings of texts, M x D."""
        # Texts of like length share a batch, which is padded to its longest.
        order = sorted(range(len(tokens)), key=lambda index: (len(tokens[index].ids), index))
        found = in_batches(self._text_batch, [tokens[index] for index in order], self._batch_size)
        embeddings = np.empty((len(tokens), len(found[0]) if found else 0), dtype=np.float32)
        if found:
            embeddings[order] = np.stack(found)
        return embeddings

    def images(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return the embedding of each crop that ``preprocess.crop`` made, D floats."""
        return in_batches(self._image_batch, crops, self._batch_size)

    def images_with_patches(self, crops: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        """Return the embedding of each crop that ``preprocess.crop`` made, and those of its patches."""
        return in_batches(self._patch_batch, crops, self._batch_size)

    def _text_batch(self, tokens: Sequence[Tokens]) -> list[NDArray[np.float32]]:
        with inference(self._device):
            return list(_normalised(self._text.encode(tokens, self._device)))

    def _image_batch(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        with inference(self._device):
            return list(_normalised(self._towers.images(self.preprocess.batch(crops, self._device))[1]))

    def _patch_batch(self, crops: Sequence[NDArray[np.uint8]]) -> list[Seen]:
        with inference(self._device):
            states, pooled = self._towers.images(self.preprocess.batch(crops, self._device))
            patches = self._towers.project_patches(states)
            return [Seen(*both) for both in zip(_normalised(pooled), _normalised(patches), strict=True)]


def choose_device(device: str) -> str:
    """Return the torch device for ``--device``.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda", "torch finds no GPU here", "leave it away, or give cpu")
    return device


def _normalised(features: "Tensor") -> NDArray[np.float32]:
    from torch.nn.functional import normalize

    found: NDArray[np.float32] = normalize(features.float(), dim=-1).cpu().numpy()
    return found
