"""Masked mean pooling and the token similarity loss."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of some states of each sample, as one matrix product for the batch.

    Args:
        states: B x N x W.
        mask: B x N, bool.

    Returns:
        B x W; zeros where the mask is empty.
    """
    weights = mask.to(states.dtype) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(states.dtype)
    return torch.bmm(weights[:, None], states)[:, 0]


def token_similarity(pooled: Tensor, local: Tensor, mask: Tensor, count: Tensor | None = None) -> Tensor:
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
    errors = (1 - cosine_similarity(pooled.float(), local.float(), dim=-1)).square()
    return (errors * mask).sum() / (mask.sum().float() if count is None else count).clamp(min=1e-6)


class TSLLoss(nn.Module):
    """FAST-GOAL's token similarity loss: L_TSL = MSE(cos(P, v_l), 1) + MSE(cos(S, t_l), 1) (arXiv 2605.26615).

    It ties the patches of a region, as the whole image shows them, to the embedding of the region's own crop, and
    the tokens of a sentence within the long caption to the embedding of the sentence alone. It has no parameters
    and takes tensors of any model.

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
            has_box: B, bool; False where no patch is left of the box. Such a row adds nothing to the first term.
            has_span: B, bool; False where no token is left of the sentence. Such a row adds nothing to the second.
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
