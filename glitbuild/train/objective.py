"""The loss of a step, from the features of all samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from glitbuild.train.group import Group
from glitbuild.train.views import GLOBAL, LOCAL, TSL, Features
from glitbuild.tsl.loss import TSLLoss


@dataclass(frozen=True, slots=True)
class Objective:
    """L = L_global + 0.5 L_local + L_TSL (FAST-GOAL, arXiv 2605.26615), or a part of it.

    L_global and L_local are CLIP's symmetric cross-entropy. With several processes it is over the samples of all
    of them, gathered with their gradients, so that a step is the same however many there are and however the
    samples are shared out. Each process then has a loss of its own: the loss of the step is their mean, and so
    are its gradients.

    Attributes:
        weights: of each loss that is computed.
        group: the processes.
    """

    weights: dict[str, float]
    group: Group = field(default_factory=Group)

    def __call__(self, features: Features, shares: Sequence[int] = ()) -> dict[str, Tensor]:
        """Return each loss, unweighted, and their weighted sum as ``loss``.

        Args:
            features: of this process's samples, which may be none.
            shares: how many samples each process has; one process alone needn't say.
        """
        losses: dict[str, Tensor] = {}
        if GLOBAL in self.weights:
            losses[GLOBAL] = self._contrast(features, "image", "text", shares)
        if LOCAL in self.weights:
            losses[LOCAL] = self._contrast(features, "crop", "sentence", shares)
        if TSL in self.weights:
            losses[TSL] = self._similarities(features)
        losses["loss"] = torch.stack([weight * losses[name] for name, weight in self.weights.items()]).sum()
        return losses

    def _contrast(self, features: Features, image: str, text: str, shares: Sequence[int]) -> Tensor:
        """Return the cross-entropy of this process's rows against all columns, as its part of the mean."""
        own = torch.cat([normalize(features[name].float(), dim=-1) for name in (image, text)], dim=1)
        every = self.group.rows(own, shares)
        (images, texts), (all_images, all_texts) = own.chunk(2, dim=1), every.chunk(2, dim=1)
        start = sum(shares[: self.group.rank])
        labels = torch.arange(start, start + len(own), device=own.device)
        scale = features["logit_scale"].float()
        total = cross_entropy(scale * images @ all_texts.T, labels, reduction="sum")
        total = total + cross_entropy(scale * texts @ all_images.T, labels, reduction="sum")
        return total / 2 * (self.group.size / max(1, len(every)))

    def _similarities(self, features: Features) -> Tensor:
        masks = [features["has_patches"], features["has_tokens"]]
        counts = self.group.table(torch.stack([mask.sum() for mask in masks]).double())
        # The mean of the processes' losses is that of all samples if all divide by their mean count.
        boxes, spans = counts.mean(dim=0).float()
        loss: Tensor = TSLLoss()(
            patches=features["patches"],
            tokens=features["tokens"],
            crops=features["crop"],
            sentences=features["sentence"],
            has_box=features["has_patches"],
            has_span=features["has_tokens"],
            counts=(boxes, spans),
        )
        return loss
