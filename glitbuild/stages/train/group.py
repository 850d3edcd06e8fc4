"""What processes that train together tell each other; one process alone says nothing to anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of a training, of which torch's default group has been started if there are several.

    Everything is a sum of tensors of equal shape, in which each process fills its own rows and leaves the others
    zero. So processes may have different numbers of rows, or none, with any backend, and what is gathered is
    exactly what was given.

    Attributes:
        rank: of this process.
        size: processes.
    """

    rank: int = 0
    size: int = 1

    def table(self, values: Tensor) -> Tensor:
        """Return the values of all processes, a row each.

        Args:
            values: K, of this process.
        """
        whole = values.new_zeros(self.size, len(values))
        whole[self.rank] = values
        if self.size > 1:
            torch.distributed.all_reduce(whole)
        return whole

    def rows(self, own: Tensor, shares: Sequence[int]) -> Tensor:
        """Return the rows of all processes, in the order of their ranks, with their gradients.

        Args:
            own: R x D, of this process.
            shares: R of each process.
        """
        if self.size == 1:
            return own
        start = sum(shares[: self.rank])
        gathered: Tensor = _Gather.apply(own, start, sum(shares))
        return gathered

    def wait(self, device: str) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            self.table(torch.zeros(1, device=device)).sum().item()


class _Gather(torch.autograd.Function):
    """Rows of all processes; the gradient of a row is the sum of what all processes do with it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, start: int, total: int) -> Tensor:
        whole = own.new_zeros(total, own.shape[1])
        whole[start : start + len(own)] = own
        torch.distributed.all_reduce(whole)
        ctx.own = slice(start, start + len(own))
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        whole = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(whole)
        return whole[ctx.own], None, None
