"""``--format open_clip``: a folder for ``local-dir:`` and, once it is on the Hub, for ``hf-hub:``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.clip.fit import quiet_open_clip
from glitbuild.clip.saved import architecture, load_saved, save_model
from glitbuild.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


class OpenClipEncoder:
    """An open_clip model with its own preprocessing and tokenizer.

    Args:
        model: model in evaluation mode.
        name: open_clip's name of the architecture, for the tokenizer.
    """

    def __init__(self, model: Any, name: str) -> None:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self._model = model
        self._transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
        with quiet_open_clip():
            self._tokenizer = open_clip.get_tokenizer(name)

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
    return OpenClipEncoder(load_saved(folder, "cpu"), architecture(folder))
