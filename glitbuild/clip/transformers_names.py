"""Names of the weights and special tokens of transformers' ``CLIPModel``, and those of open_clip for the same."""

import re
from typing import TYPE_CHECKING

from glitbuild.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

END_OF_TEXT = 49407
"""End-of-text id of CLIP, its highest id: open_clip's argmax finds the first one, as transformers does."""

START_OF_TEXT = 49406

SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
"""open_clip's and transformers' spellings of the last two tokens of the vocabulary."""

NAMES = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # transformers spells the name this way
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.proj": "visual_projection.weight",
}

IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}

MATRICES = ("text_projection", "visual.proj")
"""Matrices in open_clip that are linear layers in transformers, whose weights are their transposes."""

BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")


def renamed(state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Return the state dict of an open_clip ``CLIP`` in the names of a ``CLIPModel``.

    open_clip stacks the query, key and value weights in one matrix; they become three.

    Raises:
        ModelError: a weight has no counterpart in ``CLIPModel``.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in NAMES:
            value = value.T if name in MATRICES else value
            found[NAMES[name]] = value.reshape(()) if name == "logit_scale" else value
            continue
        parts = BLOCK.fullmatch(name)
        if parts is None or parts[3] not in (*IN_BLOCK, "attn.in_proj"):
            why = "transformers' CLIPModel has no counterpart of this weight"
            raise ModelError(f"--format hf: {name}", why, "use --format open_clip")
        tower = "vision_model" if parts[1] else "text_model"
        layer = f"{tower}.encoder.layers.{parts[2]}"
        if parts[3] != "attn.in_proj":
            found[f"{layer}.{IN_BLOCK[parts[3]]}.{parts[4]}"] = value
            continue
        for part, third in zip("qkv", value.chunk(3), strict=True):
            found[f"{layer}.self_attn.{part}_proj.{parts[4]}"] = third
    # Thirds and transposes are views, which safetensors refuses.
    return {name: value.detach().cpu().clone().contiguous() for name, value in found.items()}


LAYER = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


def restored(state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Return the state dict of a ``CLIPModel`` in the names of an open_clip ``CLIP``: the inverse of ``renamed``.

    Raises:
        ModelError: a weight has no counterpart in open_clip.
    """
    import torch

    ours, within = {their: our for our, their in NAMES.items()}, {their: our for our, their in IN_BLOCK.items()}
    found: dict[str, Tensor] = {}
    stacked: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name in ours:
            found[ours[name]] = value.T.contiguous() if ours[name] in MATRICES else value
            continue
        parts = LAYER.fullmatch(name)
        if parts is None:
            why = "open_clip's CLIP has no counterpart of this weight"
            raise ModelError(name, why, "give the model's open_clip checkpoint, or its architecture and tag")
        block = f"{'visual.' if parts[1] == 'vision' else ''}transformer.resblocks.{parts[2]}"
        if parts[3] in within:
            found[f"{block}.{within[parts[3]]}.{parts[4]}"] = value
        else:
            part = parts[3].removeprefix("self_attn.").removesuffix("_proj")
            stacked.setdefault(f"{block}.attn.in_proj_{parts[4]}", {})[part] = value
    return found | {name: torch.cat([three[part] for part in "qkv"]) for name, three in stacked.items()}
