"""SigLIP and SigLIP 2 of transformers with the methods of an open_clip model, and their tokenizer and inputs."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from glitbuild.clip.patches import AttentionPooled, Grid, PatchTower
from glitbuild.clip.preprocess import Preprocess
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


class Siglip(nn.Module):
    """A ``SiglipModel`` or ``Siglip2Model`` that is used like an open_clip model.

    Args:
        model: model of transformers.
        processor: its image processor.

    Attributes:
        context_length: number of tokens that it reads.
        preprocess: how its inputs are made.
        visual: has the preprocessing in open_clip's form, for models whose inputs have one size.

    Raises:
        ModelError: the image processor doesn't make inputs of the model's size.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        super().__init__()
        self.model = model
        self.logit_scale, self.logit_bias = model.logit_scale, model.logit_bias
        self.context_length = int(model.config.text_config.max_position_embeddings)
        self.variable = model.config.model_type == "siglip2"
        """Whether the number of patches depends on the image's shape (NaFlex)."""
        self.preprocess: Preprocess | PatchInputs
        if self.variable:
            self.preprocess = PatchInputs(processor)
            self.visual: Any = SimpleNamespace()
            return
        from glitbuild.clip.evidence import facts_of_transformers

        size = int(model.config.vision_config.image_size)
        said = processor.to_dict()
        if dict(said["size"]) != {"height": size, "width": size} or said.get("do_center_crop"):
            why = f"its image processor makes {said['size']}, not {size} x {size} pixels"
            raise ModelError(THE_MODEL, why, "give the folder with the model's own image processor")
        known = facts_of_transformers(model.config.to_dict(), said).preprocess_cfg()
        self.visual = SimpleNamespace(preprocess_cfg=known | {"size": (size, size), "mode": "RGB"})
        self.preprocess = Preprocess.of(self)

    def encode_image(self, pixels: Any) -> "Tensor":
        """Return the embeddings of a batch of inputs, B x D, not normalised."""
        found: Tensor = self.model.vision_model(
            **(pixels if self.variable else {"pixel_values": pixels})
        ).pooler_output
        return found

    def encode_text(self, ids: "Tensor") -> "Tensor":
        """Return the embeddings of token ids, B x L padded to the context length, B x D, not normalised."""
        found: Tensor = self.model.text_model(input_ids=ids).pooler_output
        return found

    def patch_tower(self) -> PatchTower:
        """Return the image tower with its patches.

        Raises:
            ModelError: the number of patches depends on the image's shape.
        """
        if self.variable:
            why = "the number of its patches depends on the image's shape (NaFlex)"
            raise ModelError(THE_MODEL, why, "use a SigLIP with a fixed input size")
        vision = self.model.config.vision_config
        return AttentionPooled(
            self.model.vision_model,
            Grid(vision.image_size // vision.patch_size, vision.patch_size / vision.image_size),
        )


class PatchInputs:
    """Makes the inputs of a SigLIP 2 with a variable number of patches (NaFlex).

    Args:
        processor: image processor of the model.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def crop(self, image: "Image", box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return the pixels of a region, resized to whole patches, at most as many as the model takes.

        Args:
            image: RGB image.
            box: whole pixels of the image, half-open xyxy, not empty.

        Returns:
            H x W x 3, 0 to 255; H and W are multiples of the patch size.
        """
        from PIL.Image import Resampling
        from transformers.models.siglip2.image_processing_siglip2 import get_image_size_for_max_num_patches

        crop, processor = image.crop(box), self._processor
        height, width = get_image_size_for_max_num_patches(
            crop.height, crop.width, processor.patch_size, processor.max_num_patches
        )
        return np.asarray(crop.resize((width, height), Resampling(processor.resample)))

    def batch(self, crops: Sequence[NDArray[np.uint8]], device: str) -> Any:
        """Return crops as the model's input: patches, their mask and the shapes of the images."""
        images = [np.moveaxis(crop, 2, 0) for crop in crops]
        made = self._processor(
            images=images, do_resize=False, return_tensors="pt", input_data_format="channels_first"
        )
        return made.to(device)


class SiglipTokenizer:
    """A tokenizer of transformers in the form of open_clip's: texts padded to the context length.

    SigLIP was trained to attend to its padding, so there is no attention mask.

    Args:
        tokenizer: tokenizer of transformers.
        context_length: number of tokens to return per text.
    """

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        self.tokenizer, self.context_length = tokenizer, context_length

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> "Tensor":
        """Return the token ids of texts, B x L."""
        length = context_length or self.context_length
        found = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        ids: Tensor = found["input_ids"]
        return ids

    @staticmethod
    def clean_fn(text: str) -> str:
        """Return a text as it is: the tokenizer itself cleans it."""
        return text
