"""Embeddings of crops and sentences, L2-normalised."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.load import CONTEXT_LENGTH, ClipSpec
from glitbuild.clip.names import blaming
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import TextEncoder, Tokens

if TYPE_CHECKING:
    from torch import Tensor


class ClipEncoder:
    """A CLIP model that turns crops and sentences into embeddings.

    On a GPU it computes in float16 (autocast), on a CPU in float32.

    Args:
        spec: the model and its weights.
        device: a torch device: ``cpu``, ``cuda:0``.

    Raises:
        ModelError: the weights can't be had, or the model's input is of a kind not supported.
    """

    image_batch = 128
    text_batch = 256

    def __init__(self, spec: ClipSpec, device: str) -> None:
        self._model = spec.load(device)
        self._device = device
        with blaming(spec.shown):
            self.preprocess = Preprocess.of(self._model)
        self._text = TextEncoder(self._model, spec.architecture, spec.changes.get(CONTEXT_LENGTH))

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Return each text's token ids, cut to the model's context length."""
        return self._text.tokenize(texts)

    def encode_images(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[Any]]:
        """Return the embedding of each crop that ``preprocess.crop`` made: D floats of norm 1."""
        with inference(self._device):
            return self._normalised(self._model.encode_image(self.preprocess.batch(crops, self._device)))

    def encode_texts(self, tokens: Sequence[Tokens]) -> list[NDArray[Any]]:
        """Return the embedding of each text: D floats of norm 1."""
        with inference(self._device):
            return self._normalised(self._text.encode(tokens, self._device))

    @staticmethod
    def _normalised(features: "Tensor") -> list[NDArray[Any]]:
        from torch.nn.functional import normalize

        return list(normalize(features.float(), dim=-1).cpu().numpy())


def inference(device: str) -> AbstractContextManager[Any]:
    """Return the context in which embeddings are computed: without gradients, on a GPU in float16 (autocast)."""
    import torch

    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    if device.startswith("cuda"):
        stack.enter_context(torch.autocast("cuda", dtype=torch.float16))
    return stack
