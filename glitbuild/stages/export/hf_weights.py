"""The weights of an open_clip model by the names and in the shapes that transformers' ``CLIPModel`` has."""

import re
from typing import TYPE_CHECKING

from glitbuild.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

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
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # the name is theirs
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
"""In open_clip embeddings are multiplied with these from the left; theirs are linear layers: the transpose."""

BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")


def renamed(state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Return the state of an open_clip ``CLIP`` as a ``CLIPModel``'s.

    Queries, keys and values, which open_clip has in one matrix one above the other, become three.

    Raises:
        ModelError: there is a weight that a ``CLIPModel`` doesn't have.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in NAMES:
            value = value.T if name in MATRICES else value
            found[NAMES[name]] = value.reshape(()) if name == "logit_scale" else value
            continue
        parts = BLOCK.fullmatch(name)
        if parts is None or parts[3] not in (*IN_BLOCK, "attn.in_proj"):
            why = "transformers' CLIPModel has no place for this weight"
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
