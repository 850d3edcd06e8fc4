"""``--format open_clip``: a folder for ``local-dir:`` and, once it is on the Hub, for ``hf-hub:``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.clip.saved import load_saved, save_model, tokenizer
from glitbuild.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


class OpenClipEncoder:
    """An open_clip model with its own preprocessing and tokenizer.

    Args:
        model: model in evaluation mode.
        tokenizer: its tokenizer in open_clip's form.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self._model = model
        self._transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
        self._tokenizer = tokenizer

    def images(self, images: "Sequence[Image]") -> "Tensor":
        """Return the projected embeddings of RGB images, B x D."""
        import torch

        pixels = torch.stack([self._transform(image) for image in images])
        return torch.as_tensor(self._model.encode_image(pixels))

    def texts(self, texts: Sequence[str]) -> "Tensor":
        """Return the projected embeddings of texts, B x D."""
        import torch

        ids = self._tokenizer(list(texts), context_length=self._model.context_length)
        return torch.as_tensor(self._model.encode_text(ids))


def check(model: Any, model_cfg: dict[str, Any]) -> None:
    """Check that a folder can hold the whole model.

    Raises:
        ModelError: its tokenizer is a Hugging Face one, whose files open_clip would look for in the folder.
    """
    if name := model_cfg["text_cfg"].get("hf_tokenizer_name"):
        why = f"the model's tokenizer {name} can't be part of the export"
        raise ModelError("--format open_clip", why, "choose a model with CLIP's own tokenizer, such as ViT-B-16")


def write(folder: Path, model: Any, model_cfg: dict[str, Any]) -> None:
    """Write a model to a folder: its configuration, including its context length, and its weights."""
    save_model(folder, model, model_cfg)


def read(folder: Path) -> OpenClipEncoder:
    """Return an exported model as open_clip reads it."""
    return OpenClipEncoder(load_saved(folder, "cpu"), tokenizer(folder))
