"""Both towers of a CLIP with the states of patches and tokens, and stretching of the text tower to 248 tokens."""

from typing import TYPE_CHECKING, Any

from torch import as_tensor, nn

from glitbuild.clip.facts import CONTEXT, LONG_CONTEXT
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from torch import Tensor


KEPT = 20
"""Number of leading positions that are kept unchanged, because they are the best trained."""

FACTOR = 4


def stretch_positions(positions: "Tensor") -> "Tensor":
    """Stretch 77 positional embeddings to 248.

    As in Long-CLIP (arXiv 2403.15378), which FAST-GOAL (arXiv 2605.26615) follows: the first 20 rows p are kept;
    between each of the following rows and the next, three are interpolated linearly; the last four continue from
    p[76] with the slope between p[75] and p[76].

    Args:
        positions: 77 x W, positional embeddings.

    Returns:
        248 x W.
    """
    import torch

    steps = torch.arange(FACTOR, dtype=positions.dtype, device=positions.device).view(1, FACTOR, 1) / FACTOR
    start, end = positions[KEPT:-1, None], positions[KEPT + 1 :, None]
    between = (1 - steps) * start + steps * end
    last = positions[-1] + steps[0] * (positions[-1] - positions[-2])
    return torch.cat([positions[:KEPT], between.flatten(0, 1), last])


def stretch(model: Any) -> None:
    """Make an open_clip model read 248 tokens; one that already does is left unchanged.

    Positions and causal mask are extended in place. Call this before creating an optimizer, because the positions
    become a new parameter.

    Raises:
        ModelError: the model reads neither 77 nor 248 tokens, or has no causal text tower.
    """
    import torch

    text = text_tower(model)
    if len(text.positional_embedding) == LONG_CONTEXT:
        return
    if len(text.positional_embedding) != CONTEXT:
        what = f"it reads {len(text.positional_embedding)} tokens, and only {CONTEXT} can be stretched"
        raise ModelError(THE_MODEL, what, f"use one that reads {CONTEXT} or {LONG_CONTEXT}")
    with torch.no_grad():
        text.positional_embedding = torch.nn.Parameter(stretch_positions(text.positional_embedding))
    mask = torch.full((LONG_CONTEXT, LONG_CONTEXT), float("-inf"), device=text.attn_mask.device).triu_(1)
    text.register_buffer("attn_mask", mask, persistent=False)
    for part in {id(text): text, id(model): model}.values():
        part.context_length = LONG_CONTEXT
        part.num_pos = LONG_CONTEXT


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
        raise ModelError(THE_MODEL, f"its text tower ({type(text).__name__}) is not a causal transformer", fix)
    return text


class Towers(nn.Module):
    """Wraps an open_clip model whose image tower is a vision transformer.

    Args:
        model: open_clip model, which remains the owner of all parameters.

    Raises:
        ModelError: the image tower has no patch tokens, drops patches, or pools by attention; or the text tower is
            not a causal transformer that pools at the end of the text.
    """

    def __init__(self, model: Any) -> None:
        from open_clip.transformer import VisionTransformer

        super().__init__()
        self.model = model
        visual, text = model.visual, text_tower(model)
        if not isinstance(visual, VisionTransformer):
            what = f"open_clip gives no access to the patch tokens of its image tower ({type(visual).__name__})"
            raise ModelError(THE_MODEL, what, "use a ViT of open_clip, such as ViT-B-16")
        if visual.attn_pool is not None or visual.pool_type not in ("tok", "avg"):
            raise ModelError(THE_MODEL, "its image tower pools by attention", "use one that pools by class token")
        if not isinstance(visual.patch_dropout, nn.Identity):
            raise ModelError(THE_MODEL, "its image tower drops patches", "use the same model without patch dropout")
        if _pooling(text) not in ("argmax", "eos") or getattr(text, "cls_emb", None) is not None:
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
        visual = self.model.visual
        states = visual.transformer(visual._embeds(pixels))
        pooled, _ = visual._pool(states)
        return states[:, 1:], pooled if visual.proj is None else pooled @ visual.proj

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
        visual = self.model.visual
        x = visual.ln_post(states)
        return as_tensor(x if visual.proj is None else x @ visual.proj)

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
