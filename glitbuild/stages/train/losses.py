"""Losses of a batch: features from both towers, gathered over all processes, and the objective on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.towers import Towers
from glitbuild.tsl import TSLLoss, masked_mean, patch_mask, span_mask, to_input

if TYPE_CHECKING:
    from glitbuild.stages.train.data import Batch


@dataclass(frozen=True, slots=True)
class Group:
    """Processes of a training; if there are several, torch's default process group has been started.

    Every operation is an all-reduce of tensors of equal shape, in which each process fills in its own rows and
    leaves the others zero. Processes may therefore have different numbers of rows, or none, with any backend, and
    the gathered values are exact.

    Attributes:
        rank: rank of this process.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    def table(self, values: Tensor) -> Tensor:
        """Return the values of all processes, one row per process.

        Args:
            values: values of this process, K.
        """
        whole = values.new_zeros(self.size, len(values))
        whole[self.rank] = values
        if self.size > 1:
            torch.distributed.all_reduce(whole)
        return whole

    def largest(self, values: Sequence[float], device: str) -> list[float]:
        """Return the largest of each value over all processes."""
        found: list[float] = list(values)
        if self.size > 1:
            found = self.table(torch.tensor(found, device=device)).amax(dim=0).tolist()
        return found

    def rows(self, own: Tensor, shares: Sequence[int]) -> Tensor:
        """Return the rows of all processes in the order of their ranks, with gradients.

        Args:
            own: rows of this process, R x D.
            shares: number of rows of each process.
        """
        if self.size == 1:
            return own
        start = sum(shares[: self.rank])
        gathered: Tensor = _Gather.apply(own, start, sum(shares))
        return gathered

    def wait(self, device: str) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            self.table(torch.zeros(1, device=device)).sum().item()


class _Gather(torch.autograd.Function):
    """Rows of all processes; the gradient of a row is the sum of its gradients in all processes."""

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


GLOBAL, LOCAL, TSL = "global", "local", "tsl"
LOSSES = (GLOBAL, LOCAL, TSL)

Features = dict[str, Tensor]
"""Features by name, not normalised, B x D: ``image`` and ``text`` of the whole, ``crop`` and ``sentence`` of the
region; ``patches`` and ``tokens`` are projected means of the whole's states within the region and the sentence.
``has_patches`` and ``has_tokens``, B, say which rows have any. ``logit_scale`` is the factor of the cosines."""


class Views(nn.Module):
    """Computes what the losses need, and nothing else.

    Both images of a sample go through the image tower in one pass. Captions and sentences go through the text tower
    in separate passes, so that the second is only as long as the sentences.

    Args:
        model: open_clip model.
        losses: names of the losses: some of ``global``, ``local``, ``tsl``.

    Raises:
        ModelError: the model exposes no states of patches or tokens.
    """

    def __init__(self, model: Any, losses: frozenset[str]) -> None:
        super().__init__()
        self.towers = Towers(model)
        self._losses = losses
        self._preprocess = Preprocess.of(model)

    def forward(self, batch: "Batch") -> Features:
        """Return the features of a batch, omitting a blank row."""
        rows = len(batch.images)
        whole, local = bool(self._losses & {GLOBAL, TSL}), bool(self._losses & {LOCAL, TSL})
        found: Features = {"logit_scale": self.towers.model.logit_scale.exp()}
        pixels = ([batch.images] if whole else []) + ([batch.crops] if local else [])
        states, embeddings = self.towers.images(self._preprocess.normalise(torch.cat(pixels)))
        if local:
            found["crop"] = embeddings[-rows:]
            found["sentence"] = self.towers.texts(batch.sentence_ids)[1]
        if whole:
            found["image"] = embeddings[:rows]
            token_states, found["text"] = self.towers.texts(batch.ids)
        if TSL in self._losses:
            found |= self._within(batch, states[:rows], token_states)
        if rows > len(batch):
            found |= {name: value[: len(batch)] for name, value in found.items() if name != "logit_scale"}
        return found

    def _within(self, batch: "Batch", patch_states: Tensor, token_states: Tensor) -> Features:
        towers = self.towers
        boxes = to_input(batch.boxes, batch.windows, towers.image_size)
        patches = patch_mask(boxes, towers.image_size, towers.patch_size)
        tokens = span_mask(batch.spans, batch.ids.shape[1])
        return {
            "patches": towers.project_patches(masked_mean(patch_states, patches)),
            "tokens": towers.project_tokens(masked_mean(token_states, tokens)),
            "has_patches": patches.any(dim=1),
            "has_tokens": tokens.any(dim=1),
        }


@dataclass(frozen=True, slots=True)
class Objective:
    """L = L_global + 0.5 L_local + L_TSL (FAST-GOAL, arXiv 2605.26615), or some of these terms.

    L_global and L_local are CLIP's symmetric cross-entropy. With several processes it is taken over the samples of
    all of them, gathered with their gradients, so that a step is the same for any number of processes and any
    distribution of the samples. Each process then has its own loss; the mean of these is the loss of the step, and
    the mean of their gradients is its gradient.

    Attributes:
        weights: weight of each loss that is computed.
        group: processes of the training.
    """

    weights: dict[str, float]
    group: Group = field(default_factory=Group)

    def __call__(self, features: Features, shares: Sequence[int] = ()) -> dict[str, Tensor]:
        """Return each loss, unweighted, and their weighted sum as ``loss``.

        Args:
            features: features of this process's samples; there may be none.
            shares: number of samples of each process; not needed for a single process.
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
        """Return the cross-entropy of this process's rows against all columns, as its share of the mean."""
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
        # If all processes divide by their mean count, the mean of their losses is the loss of all samples.
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


class GlitLoss(nn.Module):
    """FAST-GOAL's loss of a model on a batch: L = L_global + 0.5 L_local + L_TSL (arXiv 2605.26615).

    L_global is CLIP's contrastive loss between whole images and long captions, L_local the one between regions and
    their sentences. L_TSL ties the region within the image to the region alone, and the sentence within the caption
    to the sentence alone (``TSLLoss``). A loss whose weight is 0 is not computed.

    With several processes the contrastive losses are taken over the samples of all of them. In that case pass
    ``rank`` and ``world_size``, as for open_clip's ``ClipLoss``, and average the gradients over the processes, as
    DistributedDataParallel does.

    Args:
        local_weight: weight of L_local.
        tsl_weight: weight of L_TSL.
        rank: rank of this process.
        world_size: number of processes; their default process group must have been started.

    Example:
        >>> import glitbuild
        >>> model = glitbuild.load_clip("demo", context_length=248).train()
        >>> data = glitbuild.GlitDataset("data/pairs", model)
        >>> losses = glitbuild.GlitLoss()(model, data.collate_fn([data[0], data[1]]))
        >>> sorted(losses)
        ['global', 'local', 'loss', 'tsl']
        >>> losses["loss"].backward()
    """

    def __init__(
        self, local_weight: float = 0.5, tsl_weight: float = 1.0, *, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__()
        weights = {GLOBAL: 1.0, LOCAL: local_weight, TSL: tsl_weight}
        if not all(0 <= weight < float("inf") for weight in weights.values()):
            raise ValueError(f"weights must be finite and not negative, but are {local_weight} and {tsl_weight}")
        self._objective = Objective(
            {name: weight for name, weight in weights.items() if weight}, Group(rank, world_size)
        )

    def forward(self, model: Any, batch: "Batch") -> dict[str, Tensor]:
        """Return each loss, unweighted, and their weighted sum as ``loss``: float32 scalars.

        Args:
            model: open_clip model whose image tower is a vision transformer. DistributedDataParallel must wrap the
                module that calls this loss, not the model.
            batch: batch of a ``GlitDataset`` with at least one sample; it is moved to the model's device.

        Raises:
            TypeError: the model is wrapped, so its gradients would not be averaged.
            ModelError: the model exposes no states of patches or tokens.
        """
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            raise TypeError(
                f"pass the model itself, and wrap the module that calls the loss in {type(model).__name__}"
            )
        device, group = model.logit_scale.device, self._objective.group
        shares: list[int] = []
        if group.size > 1:
            shares = [int(count) for count in group.table(torch.tensor([len(batch)], device=device))[:, 0]]
        views = Views(model, frozenset(self._objective.weights))
        return self._objective(views(batch.to(str(device))), shares)
