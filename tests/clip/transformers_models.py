"""Small random models of transformers, saved by transformers itself with tokenizer and image processor."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

TEXTS = ["a red car next to a tree", "Two dogs.", "the sky, and nothing else but the sky " * 6]
SIZE = 32


def pictures() -> list[Image.Image]:
    """Return smooth pictures of several shapes, which resizing filters treat alike.

    Where an odd number of pixels is cropped away, transformers rounds the offset down, open_clip to an even one.
    """
    random = np.random.default_rng(0)
    coarse = [random.integers(0, 256, (5, 7, 3), dtype=np.uint8) for _ in range(3)]
    return [
        Image.fromarray(few).resize(size, Image.Resampling.BICUBIC)
        for few, size in zip(coarse, ((90, 60), (50, 82), (64, 64)), strict=True)
    ]


def save_clip_model(folder: Path, **text: Any) -> Any:
    """Save a ``CLIPModel`` with CLIP's own tokenizer; return the model."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    from glitbuild.stages.export.transformers import save_tokenizer

    torch.manual_seed(1)
    tower = {"hidden_size": 32, "intermediate_size": 70, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config=tower | {"vocab_size": 49408, "eos_token_id": 49407, "bos_token_id": 49406} | text,
        vision_config=tower | {"image_size": SIZE, "patch_size": 8, "num_attention_heads": 2},
        projection_dim=16,
    )
    model = CLIPModel(config).eval()
    model.save_pretrained(folder)
    save_tokenizer(folder, config.text_config.max_position_embeddings)
    CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}).save_pretrained(
        folder
    )
    return model


def save_siglip(folder: Path, second: bool = False) -> Any:
    """Save a ``SiglipModel``, or a ``Siglip2Model`` with a variable number of patches; return the model."""
    import transformers

    library: Any = transformers
    torch.manual_seed(2)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    name = "Siglip2" if second else "Siglip"
    vision = {"num_patches": 16, "patch_size": 8} if second else {"image_size": SIZE, "patch_size": 8}
    config = getattr(library, f"{name}Config")(
        text_config=tower | {"vocab_size": 40, "max_position_embeddings": 12}, vision_config=tower | vision
    )
    model = getattr(library, f"{name}Model")(config).eval()
    model.save_pretrained(folder)
    sizes: dict[str, Any] = (
        {"patch_size": 8, "max_num_patches": 16} if second else {"size": {"height": SIZE, "width": SIZE}}
    )
    getattr(library, f"{name}ImageProcessor")(**sizes).save_pretrained(folder)
    save_words(folder)
    return model


def save_words(folder: Path) -> None:
    """Save a tokenizer of letters that ends each text, as SigLIP's does."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz,."
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {letter: 3 + n for n, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=12,
        model_input_names=["input_ids"],  # as in the published ones: SigLIP attends to its padding
    ).save_pretrained(folder)
