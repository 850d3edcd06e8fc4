"""What a model makes of a batch: the embeddings of both views, and those of the region within the whole."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.towers import Towers
from glitbuild.tsl.loss import masked_mean
from glitbuild.tsl.patches import patch_mask, to_input
from glitbuild.tsl.spans import span_mask

if TYPE_CHECKING:
    from glitbuild.stages.train.loader import Batch

GLOBAL, LOCAL, TSL = "global", "local", "tsl"
LOSSES = (GLOBAL, LOCAL, TSL)

Features = dict[str, Tensor]
"""By name, not normalised, B x D: ``image`` and ``text`` of the whole, ``crop`` and ``sentence`` of the region,
``patches`` and ``tokens``, the projected means of the whole's states within the region and the sentence.
``has_patches`` and ``has_tokens``, B, tell where there are any. ``logit_scale``: the factor of the cosines."""


class Views(nn.Module):
    """Computes what the losses need, and nothing else.

    Both pictures of a sample go through the image tower in one pass. So do captions through the text tower, and
    sentences in another pass that is only as long as they are.

    Args:
        model: an open_clip model.
        losses: some of ``global``, ``local``, ``tsl``.

    Raises:
        ModelError: the model gives no states of patches or tokens.
    """

    def __init__(self, model: Any, losses: frozenset[str]) -> None:
        super().__init__()
        self.towers = Towers(model)
        self._losses = losses
        self._preprocess = Preprocess.of(model)

    def forward(self, batch: "Batch") -> Features:
        """Return the features of a batch, those of a blank row left out."""
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
