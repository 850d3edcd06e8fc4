"""``--format hf``: a CLIP as transformers writes and reads it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.clip.transformers_names import END_OF_TEXT, SPECIAL, START_OF_TEXT, renamed
from glitbuild.errors import ExportError, ModelError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


def obstacle(model: Any, model_cfg: dict[str, Any]) -> str | None:
    """Return why transformers' ``CLIPModel`` can't express a model, as a clause; None if it can.

    Args:
        model: open_clip model.
        model_cfg: architecture of the model, in the form of open_clip's own files.
    """
    return next(_obstacles(model, model_cfg), None)


def clip_config(model: Any) -> Any:
    """Return the ``CLIPConfig`` of a model without obstacles."""
    from transformers import CLIPConfig

    visual, projection = model.visual, int(model.visual.proj.shape[1])
    text = _tower(model.transformer, model.ln_final) | {
        "projection_dim": projection,
        "vocab_size": model.token_embedding.num_embeddings,
        "max_position_embeddings": model.context_length,
        "bos_token_id": START_OF_TEXT,
        "eos_token_id": END_OF_TEXT,  # must not be 2, for which CLIPModel pools at the highest id
        "pad_token_id": END_OF_TEXT,
    }
    vision = _tower(visual.transformer, visual.ln_post) | {
        "projection_dim": projection,
        "image_size": int(visual.image_size[0]),
        "patch_size": int(visual.patch_size[0]),
    }
    config = CLIPConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=projection,
        logit_scale_init_value=float(model.logit_scale.detach()),
    )
    config.architectures = ["CLIPModel"]
    return config


def _tower(transformer: Any, norm: Any) -> dict[str, Any]:
    block = transformer.resblocks[0]
    return {
        "hidden_size": block.mlp.c_fc.in_features,
        "intermediate_size": block.mlp.c_fc.out_features,
        "num_hidden_layers": len(transformer.resblocks),
        "num_attention_heads": block.attn.num_heads,
        "hidden_act": _activation(block.mlp.gelu),
        "layer_norm_eps": norm.eps,
    }


def _activation(module: Any) -> str | None:
    from open_clip.transformer import QuickGELU
    from torch import nn

    if isinstance(module, QuickGELU):
        return "quick_gelu"
    if isinstance(module, nn.GELU):
        return {"none": "gelu", "tanh": "gelu_pytorch_tanh"}[module.approximate]
    return None


def _obstacles(model: Any, model_cfg: dict[str, Any]) -> Iterator[str]:
    from open_clip.model import CLIP
    from open_clip.transformer import VisionTransformer

    if type(model) is not CLIP:
        yield f"its text tower is a separate module ({type(getattr(model, 'text', model)).__name__})"
    elif not isinstance(model.visual, VisionTransformer):
        yield f"its image tower is not a vision transformer ({type(model.visual).__name__})"
    else:
        yield from _of_images(model.visual)
        yield from _of_texts(model, model_cfg["text_cfg"])
        yield from _of_blocks("image", model.visual.transformer)
        yield from _of_blocks("text", model.transformer)
        if model.logit_bias is not None:
            yield "it has a logit bias"


def _of_images(visual: Any) -> Iterator[str]:
    from torch import nn

    if visual.attn_pool is not None:
        yield "its image tower pools by attention"
    if visual.pool_type != "tok":
        yield f"its image tower doesn't pool at the class token ({visual.pool_type})"
    if isinstance(visual.ln_pre, nn.Identity):
        yield "its image tower has no layer norm before the transformer"
    if visual.proj is None:
        yield "its image tower has no projection"
    for what, (height, width) in (("input", visual.image_size), ("patches", visual.patch_size)):
        if height != width:
            yield f"its image tower's {what} of {width}x{height} pixels are not square"
    if (mode := visual.preprocess_cfg["resize_mode"]) not in ("shortest", "squash"):
        yield f"its preprocessing pads images (resize mode {mode})"


def _of_texts(model: Any, text_cfg: dict[str, Any]) -> Iterator[str]:
    from torch import nn

    if name := text_cfg.get("hf_tokenizer_name"):
        yield f"its tokenizer is not CLIP's own ({name})"
    if options := text_cfg.get("tokenizer_kwargs"):
        yield f"its tokenizer has custom options ({', '.join(options)})"
    if model.attn_mask is None:
        yield "its text tower is not causal"
    if len(model.positional_embedding) != model.context_length:
        yield "its text tower has a class token"
    pools = model.text_pool_type
    if pools != "argmax" and (pools, model.text_eos_id) != ("eos", END_OF_TEXT):
        yield f"its text tower doesn't pool at the end of the text ({pools})"
    if model.text_projection is None:
        yield "its text tower has no projection"
    if isinstance(model.text_projection, nn.Linear):
        yield "its text projection has a bias"


def _of_blocks(tower: str, transformer: Any) -> Iterator[str]:
    from open_clip.transformer import ResidualAttentionBlock
    from torch import nn

    for block in transformer.resblocks:
        if type(block) is not ResidualAttentionBlock:
            yield f"its {tower} tower has unsupported blocks ({type(block).__name__})"
        elif not isinstance(block.ls_1, nn.Identity):
            yield f"its {tower} tower has a layer scale"
        elif _activation(block.mlp.gelu) is None:
            yield f"its {tower} tower has an unsupported activation ({type(block.mlp.gelu).__name__})"


def save_tokenizer(folder: Path, context_length: int) -> None:
    """Write a CLIP tokenizer, created from the vocabulary that open_clip ships.

    Args:
        folder: folder to write to.
        context_length: length at which the tokenizer truncates texts when asked to.
    """
    import transformers
    from open_clip.tokenizer import SimpleTokenizer

    known = SimpleTokenizer()
    vocabulary = {SPECIAL.get(token, token): number for token, number in known.encoder.items()}
    merges = sorted(known.bpe_ranks, key=known.bpe_ranks.__getitem__)
    # Every version of transformers creates this tokenizer from these three files; the fourth speeds up loading.
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    start, end = SPECIAL.values()
    names = {"bos_token": start, "eos_token": end, "pad_token": end, "unk_token": end}
    config = names | {"tokenizer_class": "CLIPTokenizer", "model_max_length": context_length}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    library: Any = transformers
    tokenizer = library.CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def save_image_processor(folder: Path, preprocess_cfg: dict[str, Any]) -> None:
    """Write an image processor that does the same as open_clip's evaluation transform.

    Args:
        folder: folder to write to.
        preprocess_cfg: preprocessing of open_clip's image tower, with resize mode ``shortest`` or ``squash``.
    """
    from PIL.Image import Resampling
    from transformers import CLIPImageProcessor

    size = preprocess_cfg["size"]
    edge = int(size if isinstance(size, int) else size[0])
    square = {"height": edge, "width": edge}
    squash = preprocess_cfg["resize_mode"] == "squash"
    bilinear = preprocess_cfg["interpolation"] == "bilinear"  # open_clip uses bicubic for any other value
    CLIPImageProcessor(
        size=square if squash else {"shortest_edge": edge},
        do_center_crop=not squash,
        crop_size=square,
        resample=Resampling.BILINEAR if bilinear else Resampling.BICUBIC,
        image_mean=list(preprocess_cfg["mean"]),
        image_std=list(preprocess_cfg["std"]),
    ).save_pretrained(folder)


WEIGHTS = "model.safetensors"


class TransformersEncoder:
    """A ``CLIPModel`` with the tokenizer and image processor of its folder.

    Args:
        folder: folder written by ``write``.

    Raises:
        ExportError: the weights that transformers expects differ from those in the file.
    """

    def __init__(self, folder: Path) -> None:
        import transformers

        library: Any = transformers  # its type hints differ between versions
        model, report = library.CLIPModel.from_pretrained(folder, output_loading_info=True, local_files_only=True)
        # transformers initialises missing weights at random, with only a warning.
        if wrong := [name for names in report.values() for name in names]:
            fix = "nothing was written; please report it with the version of transformers"
            raise ExportError(str(wrong[0]), "transformers' CLIPModel and the exported weights differ here", fix)
        self._model = model.eval()
        self._processor = library.CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
        self._tokenizer = library.CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)

    def images(self, images: "Sequence[Image]") -> "Tensor":
        """Return the projected embeddings of RGB images, B x D."""
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
    """Check that transformers is installed and can express the model.

    Raises:
        ModelError: it is not installed, or can't.
    """
    try:
        import transformers.utils.logging as log
    except ImportError as error:
        raise ModelError("--format hf", "transformers is not installed", "pip install 'glitbuild[hf]'") from error
    log.disable_progress_bar()  # type: ignore[no-untyped-call]  # a progress bar of one second would only clutter the log
    if why := obstacle(model, model_cfg):
        what = f"transformers' CLIPModel can't express this model: {why}"
        raise ModelError("--format hf", what, "use --format open_clip")


def write(folder: Path, model: Any, model_cfg: dict[str, Any]) -> None:
    """Write a model to a folder: configuration, weights, tokenizer, image processor."""
    from safetensors.torch import save

    clip_config(model).save_pretrained(folder)
    # safetensors' save_file would create a file that only its owner may read.
    (folder / WEIGHTS).write_bytes(save(renamed(model.state_dict()), metadata={"format": "pt"}))
    save_tokenizer(folder, model.context_length)
    save_image_processor(folder, model.visual.preprocess_cfg)


def read(folder: Path) -> TransformersEncoder:
    """Return an exported model as transformers reads it."""
    return TransformersEncoder(folder)
