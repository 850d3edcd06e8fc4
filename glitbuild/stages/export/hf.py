"""``--format hf``: a folder that transformers opens as a ``CLIPModel``, with tokenizer and image processor."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ExportError, ModelError
from glitbuild.stages.export.hf_config import clip_config, obstacle
from glitbuild.stages.export.hf_processors import save_image_processor, save_tokenizer
from glitbuild.stages.export.hf_weights import renamed

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

WEIGHTS = "model.safetensors"


class TransformersEncoder:
    """A ``CLIPModel`` with the tokenizer and the image processor of its folder.

    Args:
        folder: as ``write`` leaves it.

    Raises:
        ExportError: transformers' network has other weights than the file.
    """

    def __init__(self, folder: Path) -> None:
        import transformers

        library: Any = transformers  # its types change with its versions
        model, report = library.CLIPModel.from_pretrained(folder, output_loading_info=True, local_files_only=True)
        # transformers fills what is missing at random, with only a warning.
        if wrong := [name for names in report.values() for name in names]:
            fix = "nothing was written; please report it with the version of transformers"
            raise ExportError(str(wrong[0]), "transformers' CLIPModel and the exported weights differ here", fix)
        self._model = model.eval()
        self._processor = library.CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
        self._tokenizer = library.CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)

    def images(self, images: "Sequence[Image]") -> "Tensor":
        """Return the projected embeddings of RGB pictures, B x D."""
        import torch

        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        pooled = self._model.vision_model(pixel_values=pixels).pooler_output
        return torch.as_tensor(self._model.visual_projection(pooled))

    def texts(self, texts: Sequence[str]) -> "Tensor":
        """Return the projected embeddings of texts, B x D."""
        import torch

        inputs = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        pooled = self._model.text_model(**inputs).pooler_output
        return torch.as_tensor(self._model.text_projection(pooled))


def check(model: Any, model_cfg: dict[str, Any]) -> None:
    """See that transformers is there and can express the model.

    Raises:
        ModelError: it is not, or can't.
    """
    try:
        import transformers.utils.logging as log
    except ImportError as error:
        raise ModelError("--format hf", "transformers is missing", "pip install 'glitbuild[hf]'") from error
    log.disable_progress_bar()  # type: ignore[no-untyped-call]  # one for a second's reading, amid the log
    if why := obstacle(model, model_cfg):
        what = f"transformers' CLIPModel can't express this model: {why}"
        raise ModelError("--format hf", what, "use --format open_clip")


def write(folder: Path, model: Any, model_cfg: dict[str, Any]) -> None:
    """Write a model into a folder: configuration, weights, tokenizer, image processor."""
    from safetensors.torch import save

    clip_config(model).save_pretrained(folder)
    # Its save_file would make a file that only its owner may read.
    (folder / WEIGHTS).write_bytes(save(renamed(model.state_dict()), metadata={"format": "pt"}))
    save_tokenizer(folder, model.context_length)
    save_image_processor(folder, model.visual.preprocess_cfg)


def read(folder: Path) -> TransformersEncoder:
    """Return what was written, as transformers reads it."""
    return TransformersEncoder(folder)
