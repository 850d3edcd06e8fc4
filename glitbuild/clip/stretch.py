"""From 77 tokens to 248: Long-CLIP's stretch of the text tower's positions."""

from typing import TYPE_CHECKING, Any

from glitbuild.clip.names import THE_MODEL
from glitbuild.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

CONTEXT = 77
LONG_CONTEXT = 248
KEPT = 20
"""The first positions are the best trained; they stay as they are."""

FACTOR = 4


def stretch_positions(positions: "Tensor") -> "Tensor":
    """Return 248 positional embeddings for 77.

    Long-CLIP (arXiv 2403.15378), as FAST-GOAL (arXiv 2605.26615) uses it: the first 20 rows p are kept;
    between each of the following and the next, three are put in, linearly; the last four go on from p[76]
    at the slope between p[75] and p[76].

    Args:
        positions: 77 x W.

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
    """Let an open_clip model read 248 tokens; one that does already is left alone.

    Positions and causal mask grow, in place. Do this before an optimizer is made: the positions become a
    new parameter.

    Raises:
        ModelError: the model reads neither 77 nor 248 tokens, or has no causal text tower.
    """
    import torch

    text = text_tower(model)
    if len(text.positional_embedding) == LONG_CONTEXT:
        return
    if len(text.positional_embedding) != CONTEXT:
        what = f"it reads {len(text.positional_embedding)} tokens, and only {CONTEXT} can be stretched"
        raise ModelError(THE_MODEL, what, f"take one that reads {CONTEXT} or {LONG_CONTEXT}")
    with torch.no_grad():
        text.positional_embedding = torch.nn.Parameter(stretch_positions(text.positional_embedding))
    mask = torch.full((LONG_CONTEXT, LONG_CONTEXT), float("-inf"), device=text.attn_mask.device).triu_(1)
    text.register_buffer("attn_mask", mask, persistent=False)
    for part in {id(text): text, id(model): model}.values():
        part.context_length = LONG_CONTEXT
        part.num_pos = LONG_CONTEXT


def text_tower(model: Any) -> Any:
    """Return what holds a model's text tower: itself, or its ``text``.

    Raises:
        ModelError: the tower isn't a causal transformer with learned positions.
    """
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer

    text = model if isinstance(model, CLIP) else getattr(model, "text", None)
    if not isinstance(text, CLIP | TextTransformer) or text.attn_mask is None:
        fix = "take a CLIP with open_clip's own text tower, such as ViT-B-16"
        raise ModelError(THE_MODEL, f"its text tower ({type(text).__name__}) is not a causal transformer", fix)
    return text
