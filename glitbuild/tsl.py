"""FAST-GOAL's token similarity loss: mapping boxes to patches and spans to tokens, pooling, and the loss itself."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from glitbuild.records import Span

if TYPE_CHECKING:
    from torch import Tensor


DECIMALS = 6
"""Decimals of a patch to which edges are rounded, so that a box ending at a patch's edge doesn't touch the next."""


def to_input(boxes: "Tensor", windows: "Tensor", size: int) -> "Tensor":
    """Map boxes from the image to the model's input.

    In FAST-GOAL (arXiv 2605.26615), the input is made by a resize of the shorter side and a centre crop:
    x' = x s - (W s - S) / 2 with s = S / min(W, H), clamped to [0, S]. Expressed with the window of the image that
    remains, the mapping also holds for models that squash the image, and for the whole pixels that resizing rounds
    to.

    Args:
        boxes: B x 4, xyxy in pixels of the image.
        windows: B x 4, part of the image that becomes the input, xyxy in pixels of the image.
        size: edge length S of the input.

    Returns:
        B x 4, xyxy in pixels of the input, float64; zero area if the box is outside the window.
    """
    boxes, windows = boxes.double(), windows.double()
    corner = windows[:, [0, 1, 0, 1]]
    extent = (windows[:, 2:] - windows[:, :2]).repeat(1, 2)
    return ((boxes - corner) / extent * size).clamp(0, size)


def patch_mask(boxes: "Tensor", size: int, patch_size: int) -> "Tensor":
    """Return which patches each box touches: floor(x1/p), floor(y1/p), ceil(x2/p), ceil(y2/p), half-open.

    Args:
        boxes: B x 4, xyxy in pixels of the input.
        size: edge length of the input.
        patch_size: edge length p of a patch; a remainder at the right and at the bottom belongs to no patch.

    Returns:
        B x N, bool, N patches row by row; all False if a box has no area.
    """
    import torch

    places = boxes.double().div(patch_size).mul(10**DECIMALS).round().div(10**DECIMALS)
    grid = torch.arange(size // patch_size, device=boxes.device)
    first, last = places[:, :2].floor()[..., None], places[:, 2:].ceil()[..., None]
    inside = (grid >= first) & (grid < last)
    filled = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return (inside[:, 1, :, None] & inside[:, 0, None, :]).flatten(1) & filled[:, None]


def token_span(starts: Sequence[int], span: Span, context_length: int) -> tuple[int, int]:
    """Return the positions of a sentence's tokens in the text tower's input, half-open.

    A token belongs to the sentence in which it starts. Position 0 is the start-of-text token. If a caption is too
    long, it is truncated and its last position is the end-of-text token; a sentence that is cut off entirely has an
    empty span.

    Args:
        starts: index of the character at which each token of the caption starts, in ascending order.
        span: range of the sentence's characters.
        context_length: context length of the text tower.
    """
    first, last = bisect_left(starts, span[0]), bisect_left(starts, span[1])
    end = context_length - 1
    return min(first + 1, end), min(last + 1, end)


def span_mask(spans: "Tensor", length: int) -> "Tensor":
    """Return which positions are in a span.

    Args:
        spans: B x 2, half-open.
        length: length L of the batch's texts in tokens.

    Returns:
        B x L, bool.
    """
    import torch

    places = torch.arange(length, device=spans.device)
    return (places >= spans[:, :1]) & (places < spans[:, 1:])


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of each sample's selected states, computed as one matrix product for the batch.

    Args:
        states: B x N x W, states of patches or tokens.
        mask: B x N, bool; True for the states to average.

    Returns:
        B x W; zeros if a sample's mask is empty.
    """
    weights = mask.to(states.dtype) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(states.dtype)
    return torch.bmm(weights[:, None], states)[:, 0]


def token_similarity(pooled: Tensor, local: Tensor, mask: Tensor, count: Tensor | None = None) -> Tensor:
    """Return one of the two terms of the token similarity loss.

    FAST-GOAL (arXiv 2605.26615): L_TSL = MSE(cos(P, v_l), 1) + MSE(cos(S, t_l), 1).
    Each sample is compared with its own pair only, without a stop-gradient or a temperature.

    Args:
        pooled: B x D, projected mean of the global view's patches (P) or tokens (S), not normalised.
        local: B x D, embedding of the sample's own crop (v_l) or sentence (t_l), not normalised.
        mask: B, bool; True if the box is not cropped away, or if the sentence starts before the last token.
        count: divisor of the sum, for batches split over processes; by default the number of selected samples.

    Returns:
        The mean over the samples that the mask selects; 0 if it selects none.
    """
    errors = (1 - cosine_similarity(pooled.float(), local.float(), dim=-1)).square()
    return (errors * mask).sum() / (mask.sum().float() if count is None else count).clamp(min=1e-6)


class TSLLoss(nn.Module):
    """FAST-GOAL's token similarity loss: L_TSL = MSE(cos(P, v_l), 1) + MSE(cos(S, t_l), 1) (arXiv 2605.26615).

    It pulls the pooled patches of a region in the whole image towards the embedding of the region's own crop, and
    the pooled tokens of a sentence in the long caption towards the embedding of the sentence alone. It has no
    parameters and works with the tensors of any model.

    Example:
        >>> import torch
        >>> import glitbuild
        >>> loss = glitbuild.TSLLoss()
        >>> patches, tokens = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 4.0]])
        >>> crops, sentences = torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 4.0]])
        >>> has_box, has_span = torch.tensor([True]), torch.tensor([True])
        >>> loss(patches, tokens, crops, sentences, has_box, has_span)
        tensor(1.)
    """

    def forward(
        self,
        patches: Tensor,
        tokens: Tensor,
        crops: Tensor,
        sentences: Tensor,
        has_box: Tensor,
        has_span: Tensor,
        counts: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the loss of a batch, a float32 scalar.

        No embedding needs to be normalized, and no gradient is stopped.

        Args:
            patches: B x D, projected mean of the whole image's patch states within the box (P).
            tokens: B x D, projected mean of the long caption's token states within the sentence (S).
            crops: B x D, embedding of the cropped region (v_l).
            sentences: B x D, embedding of the sentence alone (t_l).
            has_box: B, bool; False if no patch of the box remains; such a row adds nothing to the first term.
            has_span: B, bool; False if no token of the sentence remains; such a row adds nothing to the second.
            counts: divisors of the two terms, for batches that are split over processes; by default the number of
                rows that ``has_box`` and ``has_span`` select.

        Raises:
            ValueError: the shapes don't fit together.
        """
        shape = patches.shape
        if len(shape) != 2 or any(other.shape != shape for other in (tokens, crops, sentences)):
            shapes = ", ".join(str(tuple(each.shape)) for each in (patches, tokens, crops, sentences))
            raise ValueError(f"patches, tokens, crops and sentences must all be B x D, but are {shapes}")
        if any(mask.shape != shape[:1] or mask.dtype != torch.bool for mask in (has_box, has_span)):
            given = ", ".join(f"{tuple(mask.shape)} {mask.dtype}" for mask in (has_box, has_span))
            raise ValueError(f"has_box and has_span must be bool with {shape[0]} elements, but are {given}")
        boxes, spans = counts or (None, None)
        first = token_similarity(patches, crops, has_box, boxes)
        return first + token_similarity(tokens, sentences, has_span, spans)
