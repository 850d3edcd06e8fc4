"""Masked mean pooling and the token similarity loss."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def masked_mean(states: "Tensor", mask: "Tensor") -> "Tensor":
    """Return the mean of some states of each sample, as one matrix product for the batch.

    Args:
        states: B x N x W.
        mask: B x N, bool.

    Returns:
        B x W; zeros where the mask is empty.
    """
    import torch

    weights = mask.to(states.dtype) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(states.dtype)
    return torch.bmm(weights[:, None], states)[:, 0]


def token_similarity(pooled: "Tensor", local: "Tensor", mask: "Tensor", count: "Tensor | None" = None) -> "Tensor":
    """Return one side of the token similarity loss.

    FAST-GOAL (arXiv 2605.26615): L_TSL = MSE(cos(P, v_l), 1) + MSE(cos(S, t_l), 1); this is one of the terms.
    Only a sample's own pair counts, without a stop-gradient or a temperature.

    Args:
        pooled: B x D, the projected mean of a global view's patches (P) or tokens (S), not normalised.
        local: B x D, the embedding of the sample's own crop (v_l) or sentence (t_l), not normalised.
        mask: B, bool: samples whose box the crop left something of, or whose sentence is within the last token.
        count: what the sum is divided by, where other processes have samples too; by default the mask's number.

    Returns:
        The mean over the samples of the mask; 0 where there is none.
    """
    from torch.nn.functional import cosine_similarity

    errors = (1 - cosine_similarity(pooled.float(), local.float(), dim=-1)).square()
    return (errors * mask).sum() / (mask.sum().float() if count is None else count).clamp(min=1e-6)
