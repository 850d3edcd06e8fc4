"""Embeddings of an image's patches in the space of whole images, for the kinds of image towers that have patches.

The embedding of a patch is what the tower's own pooling and head make of its last state alone, as if all patches of
the image were this one: final norm and projection for OpenAI's kind of ViT, for towers that pool by attention the
attention with this one key.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from glitbuild.clip.towers import ImageTower
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Grid:
    """Patches of the square input of a model.

    Attributes:
        side: number of patches per row and per column.
        share: share of the input's side that one patch covers; a remainder at the right and bottom belongs to none.
    """

    side: int
    share: float


class PatchTower(Protocol):
    """An image tower that has patches."""

    grid: Grid

    def embed(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return the embeddings of images, B x D, and of their patches, B x N x D, row by row, not normalised."""
        ...


def patch_tower(model: Any) -> PatchTower:
    """Return the image tower of a model with its patches.

    Args:
        model: open_clip model, or one that ``ClipSpec.load`` returns.

    Raises:
        ModelError: its image tower has no patches, or their embeddings are not defined.
    """
    from open_clip.timm_model import TimmModel

    if isinstance(model.visual, TimmModel):
        return _Timm(model.visual)
    own = getattr(model, "patch_tower", None)
    return own() if own else _OpenClip(model)


class _OpenClip:
    def __init__(self, model: Any) -> None:
        self._tower = ImageTower(model)
        (height, width), (size, _) = model.visual.patch_size, model.visual.image_size
        self.grid = Grid(size // height, height / size)
        if height != width:
            raise ModelError(THE_MODEL, "its patches are not square", "use a ViT of open_clip, such as ViT-B-16")

    def embed(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        states, pooled = self._tower.states(pixels)
        return pooled, self._tower.project(states)


class _Timm:
    """timm's towers: transformers with a sequence of patches, and convolutional ones with a map."""

    def __init__(self, visual: Any) -> None:
        self._visual, self._prefix = visual, int(getattr(visual.trunk, "num_prefix_tokens", 0))
        if len(visual.head) and any(name == "pool" for name, _ in visual.head.named_children()):
            why = "its image tower pools by attention over the positions of all patches"
            raise ModelError(THE_MODEL, why, "use a model with another pooling")
        self._last = getattr(visual.trunk, "output_fmt", "NCHW") == "NHWC"  # where a map has its channels
        self.grid = self._measured()

    def _measured(self) -> Grid:
        """Return the grid of patches, measured on an empty image."""
        import torch

        trunk, size = self._visual.trunk, self._visual.image_size[0]
        some = next(trunk.parameters())
        with torch.no_grad():
            found = trunk.forward_features(torch.zeros(1, 3, size, size, device=some.device, dtype=some.dtype))
        states = self._patches(found)
        side = round(states.shape[1] ** 0.5)
        if side * side != states.shape[1]:
            why = f"its image tower has {states.shape[1]} patches, which are not a square"
            raise ModelError(THE_MODEL, why, "use another model")
        patch: Any = getattr(getattr(trunk, "patch_embed", None), "patch_size", None)
        if patch is not None and size // patch[0] == side:
            return Grid(side, patch[0] / size)
        return Grid(side, 1 / side)  # the map of a convolutional tower, or of merged patches

    def _patches(self, found: "Tensor") -> "Tensor":
        """Return the patches' states, B x N x W, from the trunk's."""
        if found.ndim == 3:
            return found[:, self._prefix :]
        return (found if self._last else found.permute(0, 2, 3, 1)).flatten(1, 2)

    def embed(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        visual = self._visual
        found = visual.trunk.forward_features(pixels)
        states = self._patches(found)
        if found.ndim == 3:  # as class token and registers, the patch too: no pooling sees anything else
            alone = states.reshape(-1, 1, states.shape[-1]).expand(-1, self._prefix + 1, -1)
        else:
            width = states.shape[-1]
            alone = states.reshape(-1, *((1, 1, width) if self._last else (width, 1, 1)))
        patches = visual.head(visual.trunk.forward_head(alone))
        return visual.head(visual.trunk.forward_head(found)), patches.reshape(*states.shape[:2], -1)


class AttentionPooled:
    """A vision model of transformers whose head pools by attention, such as SigLIP's.

    Args:
        vision: its vision model.
        grid: patches of its input.
    """

    def __init__(self, vision: nn.Module, grid: Grid) -> None:
        self._vision: Any = vision
        self.grid = grid

    def embed(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return the embeddings of images and of their patches."""
        found = self._vision(pixel_values=pixels)
        states = found.last_hidden_state
        patches = self._vision.head(states.reshape(-1, 1, states.shape[-1]))
        return found.pooler_output, patches.reshape(*states.shape[:2], -1)
