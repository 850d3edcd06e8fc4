"""From a sentence's characters to its tokens."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glitbuild.records import Span

if TYPE_CHECKING:
    from torch import Tensor


def token_span(starts: Sequence[int], span: Span, context_length: int) -> tuple[int, int]:
    """Return the positions of a sentence's tokens in the text tower's input, half-open.

    A token belongs to the sentence in which it begins. Position 0 is the start of text. Of a caption that is
    too long, the last position is the end of text: what does not fit is cut off, and a sentence of which
    nothing fits has an empty span.

    Args:
        starts: of each of the caption's tokens the character at which it begins, rising.
        span: of the sentence, in characters.
        context_length: of the text tower.
    """
    first, last = bisect_left(starts, span[0]), bisect_left(starts, span[1])
    end = context_length - 1
    return min(first + 1, end), min(last + 1, end)


def span_mask(spans: "Tensor", length: int) -> "Tensor":
    """Return which positions are in a span.

    Args:
        spans: B x 2, half-open.
        length: of the batch's texts.

    Returns:
        B x L, bool.
    """
    import torch

    places = torch.arange(length, device=spans.device)
    return (places >= spans[:, :1]) & (places < spans[:, 1:])
