"""Both towers of a CLIP with the states of patches and tokens, and stretching of the text tower to more tokens."""

from typing import TYPE_CHECKING, Any

from torch import as_tensor, nn

from glitbuild.clip.facts import LONG_CONTEXT
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from torch import Tensor


KEPT = 20
"""Number of leading positions that are kept unchanged, because they are the best trained."""


def stretch_positions(positions: "Tensor", length: int = LONG_CONTEXT) -> "Tensor":
    """Stretch positional embeddings to more tokens.

    As in Long-CLIP (arXiv 2403.15378), which FAST-GOAL (arXiv 2605.26615) follows, the first 20 rows p are kept.
    Row i of the others is read at the place 20 + (i - 20) (n - 20) / (length - 20) of the n given rows, by linear
    interpolation between the two rows beside it; beyond the last row, it continues from there with the slope
    between the last two. From 77 to 248 rows, a place is a quarter of a row: Long-CLIP's formula.

    Args:
        positions: n x W, positional embeddings; n is above 20.
        length: number of rows to return, above n.

    Returns:
        length x W.
    """
    import torch

    last, rows = len(positions) - 1, length - KEPT
    numerators = torch.arange(rows, device=positions.device) * (len(positions) - KEPT)
    row, rest = KEPT + numerators // rows, (numerators % rows)[:, None]
    share = rest.to(positions.dtype) / rows
    start, end = positions[row], positions[(row + 1).clamp(max=last)]
    between = (1 - share) * start + share * end
    beyond = start + share * (positions[-1] - positions[-2])
    return torch.cat([positions[:KEPT], torch.where((row < last)[:, None], between, beyond)])


def stretch(model: Any, length: int = LONG_CONTEXT) -> None:
    """Make an open_clip model read more tokens; one that already reads as many is left unchanged.

    Positions and causal mask are extended in place. Call this before creating an optimizer, because the positions
    become a new parameter.

    Args:
        model: open_clip model.
        length: number of tokens to read.

    Raises:
        ModelError: the model reads more tokens already, or fewer than can be stretched; or it has no causal text
            tower.
    """
    import torch

    text = text_tower(model)
    own = len(text.positional_embedding)
    if own == length:
        return
    if own > length:
        fix = f"use {own}, or a model that reads fewer"
        raise ModelError(THE_MODEL, f"it reads {own} tokens already, which is more than {length}", fix)
    if own <= KEPT + 1:
        what = f"it reads {own} tokens; only those after the first {KEPT} can be stretched"
        raise ModelError(THE_MODEL, what, "use a CLIP that reads 77 tokens, such as ViT-B-16")
    with torch.no_grad():
        text.positional_embedding = torch.nn.Parameter(stretch_positions(text.positional_embedding, length))
    mask = torch.full((length, length), float("-inf"), device=text.attn_mask.device).triu_(1)
    text.register_buffer("attn_mask", mask, persistent=False)
    for part in {id(text): text, id(model): model}.values():
        part.context_length = length
        part.num_pos = length


def text_tower(model: Any) -> Any:
    """Return the module with a model's text tower: the model itself, or its ``text``.

    Raises:
        ModelError: the text tower isn't a causal transformer with learned positions.
    """
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer

    text = model if isinstance(model, CLIP) else getattr(model, "text", None)
    if not isinstance(text, CLIP | TextTransformer) or text.attn_mask is None:
        fix = "use a CLIP with open_clip's own text tower, such as ViT-B-16"
        kind = type(model if text is None else text).__name__
        raise ModelError(THE_MODEL, f"its text tower ({kind}) is not a causal transformer", fix)
    return text


def text_of_any_length(model: Any) -> Any | None:
    """Return a model's text tower if what follows the end of a text never changes its embedding, else None."""
    try:
        text = text_tower(model)
    except ModelError:
        return None
    ends = _pooling(text) in ("argmax", "eos") and getattr(text, "cls_emb", None) is None
    return text if ends else None


class ImageTower:
    """Wraps the image tower of an open_clip model, which must be a vision transformer.

    Args:
        model: open_clip model, which remains the owner of all parameters.

    Raises:
        ModelError: the image tower has no patch tokens, drops patches, or pools by attention.
    """

    def __init__(self, model: Any) -> None:
        from open_clip.transformer import VisionTransformer

        self._visual = visual = model.visual
        if not isinstance(visual, VisionTransformer):
            what = f"open_clip gives no access to the patch tokens of its image tower ({type(visual).__name__})"
            raise ModelError(THE_MODEL, what, "use a ViT of open_clip, such as ViT-B-16")
        if visual.attn_pool is not None or visual.pool_type not in ("tok", "avg"):
            raise ModelError(THE_MODEL, "its image tower pools by attention", "use one that pools by class token")
        if not isinstance(visual.patch_dropout, nn.Identity):
            raise ModelError(THE_MODEL, "its image tower drops patches", "use the same model without patch dropout")

    def states(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return the states of the patches and the embeddings of images; see ``Towers.images``."""
        visual = self._visual
        states = visual.transformer(visual._embeds(pixels))
        pooled, _ = visual._pool(states)
        return states[:, 1:], pooled if visual.proj is None else pooled @ visual.proj

    def project(self, states: "Tensor") -> "Tensor":
        """Apply final layer norm and projection to states of patches, ... x W -> ... x D."""
        visual = self._visual
        x = visual.ln_post(states)
        return as_tensor(x if visual.proj is None else x @ visual.proj)


class Towers(nn.Module):
    """Wraps an open_clip model whose image tower is a vision transformer.

    Args:
        model: open_clip model, which remains the owner of all parameters.

    Raises:
        ModelError: the image tower has no patch tokens, drops patches, or pools by attention; or the text tower is
            not a causal transformer that pools at the end of the text.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._images = ImageTower(model)
        text_tower(model)
        if text_of_any_length(model) is None:
            raise ModelError(
                THE_MODEL, "its text tower doesn't pool at the end of the text", "use a CLIP of OpenAI's kind"
            )

    @property
    def patch_size(self) -> int:
        """Edge length of a patch in pixels of the input."""
        return int(self.model.visual.patch_size[0])

    @property
    def image_size(self) -> int:
        """Edge length of the square input in pixels."""
        return int(self.model.visual.image_size[0])

    def images(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        """Encode images.

        Args:
            pixels: B x 3 x S x S, normalised pixels.

        Returns:
            The last layer's states of the patches before the final layer norm, B x N x W, row by row; and the
            pooled and projected embeddings, B x D, not normalised.
        """
        return self._images.states(pixels)

    def texts(self, ids: "Tensor") -> "tuple[Tensor, Tensor]":
        """Encode texts.

        A causal tower's state at a token does not depend on what follows, so a batch need only be as long as its
        longest text.

        Args:
            ids: B x L, token ids including start-of-text and end-of-text, padded with zeros; L is at most the
                context length.

        Returns:
            The last layer's states of the tokens before the final layer norm, B x L x W; and the embeddings, B x D.
        """
        return encode_text(text_tower(self.model), ids)

    def project_patches(self, states: "Tensor") -> "Tensor":
        """Apply final layer norm and projection to states of the image tower, ... x W -> ... x D."""
        return self._images.project(states)

    def project_tokens(self, states: "Tensor") -> "Tensor":
        """Apply final layer norm and projection to states of the text tower, ... x W -> ... x D."""
        return _project(text_tower(self.model), states)


def encode_text(text: Any, ids: "Tensor") -> "tuple[Tensor, Tensor]":
    """Encode texts with a causal text tower, as ``text_tower`` returns it; see ``Towers.texts``."""
    from open_clip.transformer import text_global_pool

    length, cast = ids.shape[1], text.transformer.get_cast_dtype()
    x = text.token_embedding(ids).to(cast) + text.positional_embedding[:length].to(cast)
    states = text.transformer(x, attn_mask=text.attn_mask[:length, :length])
    # Only the state at the end of a text is normalised, because the layer norm treats each state separately.
    eos = getattr(text, "text_eos_id", getattr(text, "eos_id", None))
    return states, _project(text, text_global_pool(states, ids, _pooling(text), eos_token_id=eos))


def _project(text: Any, states: "Tensor") -> "Tensor":
    x, projection = text.ln_final(states), text.text_projection
    if projection is None:
        return as_tensor(x)
    return as_tensor(projection(x) if isinstance(projection, nn.Linear) else x @ projection)


def _pooling(text: Any) -> str:
    return str(text.text_pool_type if hasattr(text, "text_pool_type") else text.pool_type)
