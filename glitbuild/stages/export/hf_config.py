"""An open_clip model's architecture in transformers' words, and what those have no word for."""

from collections.abc import Iterator
from typing import Any

END_OF_TEXT = 49407
"""Of CLIP's own vocabulary. No id is higher: open_clip's argmax finds the first of them, as transformers does."""

START_OF_TEXT = 49406


def obstacle(model: Any, model_cfg: dict[str, Any]) -> str | None:
    """Return why transformers' ``CLIPModel`` can't express a model, as a clause; None where it can.

    Args:
        model: an open_clip model.
        model_cfg: its architecture, as open_clip's own files describe one.
    """
    return next(_obstacles(model, model_cfg), None)


def clip_config(model: Any) -> Any:
    """Return the ``CLIPConfig`` of a model that has no obstacle."""
    from transformers import CLIPConfig

    visual, projection = model.visual, int(model.visual.proj.shape[1])
    text = _tower(model.transformer, model.ln_final) | {
        "projection_dim": projection,
        "vocab_size": model.token_embedding.num_embeddings,
        "max_position_embeddings": model.context_length,
        "bos_token_id": START_OF_TEXT,
        "eos_token_id": END_OF_TEXT,  # any but 2, for which CLIPModel pools at the highest id
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
        yield f"its text tower is a module of its own ({type(getattr(model, 'text', model)).__name__})"
    elif not isinstance(model.visual, VisionTransformer):
        yield f"its image tower is not a vision transformer ({type(model.visual).__name__})"
    else:
        yield from _of_images(model.visual)
        yield from _of_texts(model, model_cfg["text_cfg"])
        yield from _of_blocks("image", model.visual.transformer)
        yield from _of_blocks("text", model.transformer)
        if model.logit_bias is not None:
            yield "it has a bias of logits"


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
        yield f"its pictures are padded (resize mode {mode})"


def _of_texts(model: Any, text_cfg: dict[str, Any]) -> Iterator[str]:
    from torch import nn

    if name := text_cfg.get("hf_tokenizer_name"):
        yield f"its tokenizer is not CLIP's own ({name})"
    if options := text_cfg.get("tokenizer_kwargs"):
        yield f"its tokenizer has options of its own ({', '.join(options)})"
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
            yield f"its {tower} tower is made of other blocks ({type(block).__name__})"
        elif not isinstance(block.ls_1, nn.Identity):
            yield f"its {tower} tower has a layer scale"
        elif _activation(block.mlp.gelu) is None:
            yield f"its {tower} tower has another activation ({type(block.mlp.gelu).__name__})"
