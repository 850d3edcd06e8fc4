"""The loss of a step, from the features of all samples."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from glitbuild.train.views import GLOBAL, LOCAL, TSL, Features
from glitbuild.tsl.loss import token_similarity


@dataclass(frozen=True, slots=True)
class Objective:
    """L = L_global + 0.5 L_local + L_TSL (FAST-GOAL, arXiv 2605.26615), or a part of it.

    L_global and L_local are CLIP's symmetric cross-entropy. With several processes it is over the samples of all
    of them, gathered with their gradients, so that a step is the same however many there are.

    Attributes:
        weights: of each loss that is computed.
        rank: of this process.
        world_size: processes.
    """

    weights: dict[str, float]
    rank: int = 0
    world_size: int = 1

    def __call__(self, features: Features) -> dict[str, Tensor]:
        """Return each loss, unweighted, and their weighted sum as ``loss``."""
        losses: dict[str, Tensor] = {}
        if GLOBAL in self.weights:
            losses[GLOBAL] = self._contrast(features, "image", "text")
        if LOCAL in self.weights:
            losses[LOCAL] = self._contrast(features, "crop", "sentence")
        if TSL in self.weights:
            losses[TSL] = self._similarity(features, "patches", "crop") + self._similarity(
                features, "tokens", "sentence"
            )
        losses["loss"] = torch.stack([weight * losses[name] for name, weight in self.weights.items()]).sum()
        return losses

    def _contrast(self, features: Features, image: str, text: str) -> Tensor:
        from open_clip.loss import ClipLoss

        several = self.world_size > 1
        loss: Any = ClipLoss(several, several, rank=self.rank, world_size=self.world_size)
        pair = (normalize(features[name].float(), dim=-1) for name in (image, text))
        return torch.as_tensor(loss(*pair, features["logit_scale"].float()))

    def _similarity(self, features: Features, pooled: str, local: str) -> Tensor:
        mask = features[f"has_{pooled}"]
        count = mask.sum().float()
        if self.world_size > 1:
            # The mean of the processes' gradients is that of the whole batch if all divide by their mean count.
            torch.distributed.all_reduce(count)
            count = count / self.world_size
        return token_similarity(features[pooled], features[local], mask, count)
