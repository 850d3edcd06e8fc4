"""Token ids of texts, and a text tower's forward that is as long as the batch's longest text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glitbuild.clip.bpe import quicken
from glitbuild.clip.names import THE_MODEL
from glitbuild.clip.stretch import text_tower
from glitbuild.errors import ModelError

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer
    from torch import Tensor


def clip_tokenizer(architecture: str) -> "SimpleTokenizer":
    """Return an architecture's tokenizer, where it is CLIP's own.

    Raises:
        ModelError: it is another one, of which the tokens of a sentence aren't known.
    """
    import open_clip
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = open_clip.get_tokenizer(architecture)
    if type(tokenizer) is not SimpleTokenizer:
        fix = "take a model with CLIP's own tokenizer, such as ViT-B-16"
        raise ModelError(THE_MODEL, f"its tokenizer is {type(tokenizer).__name__}", fix)
    return quicken(tokenizer)


def own_tokenizer(model: Any) -> "SimpleTokenizer":
    """Return CLIP's own tokenizer for a model in memory, of which no name says which tokenizer it was trained with.

    Raises:
        ModelError: its vocabulary is not that tokenizer's, or its text tower is not OpenAI's.
    """
    from open_clip.tokenizer import SimpleTokenizer

    text, tokenizer = text_tower(model), SimpleTokenizer(context_length=model.context_length)
    if text.token_embedding.num_embeddings != len(tokenizer.encoder):
        why = (
            f"its vocabulary of {text.token_embedding.num_embeddings:,} tokens is not that of CLIP's own tokenizer"
        )
        raise ModelError(THE_MODEL, why, "give its architecture and weights by name")
    return quicken(tokenizer)


def framed(tokenizer: Any, ids: Sequence[int], context_length: int) -> tuple[int, ...]:
    """Return a text's token ids between start and end of text, cut to the context length."""
    return (tokenizer.sot_token_id, *ids[: context_length - 2], tokenizer.eot_token_id)


def padded(texts: Sequence[tuple[int, ...]]) -> "Tensor":
    """Return token ids side by side, B x L, zeros behind; L is that of the longest text."""
    import torch

    ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    return ids


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of one text, start and end of text included.

    Attributes:
        ids: at most the model's context length.
        truncated: the text was longer; its end is cut off, end-of-text is put back.
    """

    ids: tuple[int, ...]
    truncated: bool


class TextEncoder:
    """Tokenises and encodes texts with an open_clip model's text tower.

    CLIP's causal tower gives the same embedding at the end of a text whatever stands behind it, so a
    batch is padded to its longest text, not to the context length. Towers of another build (SigLIP,
    Hugging Face's) get the full length, with their own tokenizer's padding.

    Args:
        model: an open_clip model.
        name: its architecture's name, for the tokenizer; None for a model in memory, whose tokenizer must be
            CLIP's own.
        context_length: tokens that it reads, where that is not what its architecture's name says.

    Raises:
        ModelError: a model in memory has another tokenizer.
    """

    def __init__(self, model: Any, name: str | None, context_length: int | None = None) -> None:
        import open_clip
        from open_clip.model import CLIP
        from open_clip.tokenizer import SimpleTokenizer

        self._model = model
        self._tokenizer = (
            open_clip.get_tokenizer(name, context_length=context_length) if name else own_tokenizer(model)
        )
        if type(self._tokenizer) is SimpleTokenizer:
            quicken(self._tokenizer)
        causal = (
            isinstance(model, CLIP) and model.attn_mask is not None and model.text_pool_type in ("argmax", "eos")
        )
        self._trim = causal and type(self._tokenizer) is SimpleTokenizer
        self.context_length: int = model.context_length if self._trim else self._tokenizer.context_length

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Return each text's token ids."""
        if not self._trim:
            return [Tokens(tuple(row), False) for row in self._tokenizer(list(texts)).tolist()]
        return [self._tokenize(text) for text in texts]

    def _tokenize(self, text: str) -> Tokens:
        ids = self._tokenizer.encode(text)
        return Tokens(framed(self._tokenizer, ids, self.context_length), len(ids) + 2 > self.context_length)

    def encode(self, tokens: Sequence[Tokens], device: str) -> "Tensor":
        """Return the pooled, projected, not yet normalised embeddings, B x D."""
        import torch

        ids = padded([text.ids for text in tokens]).to(device)
        if not self._trim:
            return torch.as_tensor(self._model.encode_text(ids))
        # open_clip's encode_text adds all positions and so takes the full length only.
        from glitbuild.clip.towers import encode_text

        return encode_text(self._model, ids)[1]
