"""Loading weights only if their shapes match the network; open_clip would silently resize what doesn't fit."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    State = Mapping[str, Tensor]


@contextmanager
def quiet_open_clip() -> Iterator[None]:
    """Suppress warnings and log messages below the level of errors."""
    root = logging.getLogger()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        root.addFilter(_is_error)
        try:
            yield
        finally:
            root.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


NAMED = 3
"""Most weights that an error lists by name; the others are only counted."""

GRID = "visual.positional_embedding"


def text_positions(state: "State") -> int | None:
    """Return the number of rows of the text tower's position table; None if there is none."""
    table = state.get("positional_embedding", state.get("text.positional_embedding"))
    return None if table is None or table.ndim != 2 else int(table.shape[0])


def context_length(state: "State", model_cfg: Mapping[str, Any]) -> int | None:
    """Return the number of tokens that weights read if it differs from the architecture's, else None."""
    text, rows = model_cfg["text_cfg"], text_positions(state)
    if rows is None or text.get("hf_model_name"):
        return None
    length = rows - bool(text.get("embed_cls"))
    return length if length != text.get("context_length", 77) else None


def fill(model: Any, state: "State", what: str, name: str) -> None:
    """Load weights into a network, which must have exactly their shapes.

    Args:
        model: open_clip model.
        state: weights by open_clip's names, or by those of a model that open_clip converts.
        what: origin of the weights, for errors.
        name: name of the architecture.

    Raises:
        ModelError: weights are missing, unknown or of another shape; the message says which.
    """
    state = _converted(model, state)
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    unknown = [key for key in state if key not in own]
    other = [key for key in own if key in state and own[key].shape != state[key].shape]
    if not (missing or unknown or other):
        model.load_state_dict(state)
        return
    problems = []
    if GRID in other and hasattr(model.visual, "grid_size"):
        problems.append(_grid(model, state[GRID]))
        other.remove(GRID)
    if other:
        shapes = (f"{key} is {_shape(state[key])} instead of {_shape(own[key])}" for key in other[:NAMED])
        problems.append("of another shape: " + ", ".join(shapes) + _more(other))
    for title, keys in (("missing", missing), ("unknown", unknown)):
        if keys:
            problems.append(f"{title}: " + ", ".join(keys[:NAMED]) + _more(keys))
    raise ModelError(what, f"these are not weights of {name}: " + "; ".join(problems), _advice(state))


def fitting_architectures(state: "State") -> list[str]:
    """Return open_clip's architectures whose shapes match these weights; only for open_clip's own towers."""
    import open_clip

    wanted = _measures(state)
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()} if wanted else {}
    return [name for name, config in configs.items() if _measures_of(config) == wanted]


def _converted(model: Any, state: "State") -> "dict[str, Tensor]":
    """Rename weights as open_clip does when it loads them."""
    import torch
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    with quiet_open_clip():
        found: dict[str, Tensor] = dict(convert_state_dict(model, dict(state)))
    if "positional_embedding" in found and not hasattr(model, "positional_embedding"):
        found = convert_to_custom_text_state_dict(found)
    found.pop("text.transformer.embeddings.position_ids", None)  # saved by older versions of transformers
    for name in ("logit_scale", "logit_bias"):
        own = getattr(model, name, None)
        if name in found and own is not None and found[name].numel() == own.numel():
            found[name] = found[name].reshape(own.shape)
    if getattr(model, "logit_bias", None) is not None and "logit_bias" not in found:
        found["logit_bias"] = torch.zeros_like(model.logit_bias)
    return found


def _grid(model: Any, table: "Tensor") -> str:
    high, wide = model.visual.grid_size
    edge, patch = round((len(table) - 1) ** 0.5), model.visual.patch_size[0]
    theirs = (
        f"images of {edge * patch} pixels ({edge} x {edge} patches)"
        if edge**2 + 1 == len(table)
        else (f"{len(table)} patch positions")
    )
    return f"they are for {theirs}, it is for {high * model.visual.patch_size[0]} pixels ({high} x {wide})"


def _shape(value: "Tensor") -> str:
    return "x".join(map(str, value.shape)) or "one number"


def _more(keys: list[str]) -> str:
    return f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""


def _advice(state: "State") -> str:
    if near := fitting_architectures(state):
        return "their shapes match " + ", ".join(near[:5])
    return "give the architecture that they were trained with"


def _measures(state: "State") -> tuple[Any, ...] | None:
    """Return the dimensions that distinguish open_clip's vision transformers; None for other towers."""
    names = ("visual.conv1.weight", "visual.proj", GRID)
    tokens = state.get("token_embedding.weight", state.get("text.token_embedding.weight"))
    if tokens is None or any(name not in state for name in names) or "visual.attn_pool.query" in state:
        return None
    conv, projection, grid = (state[name] for name in names)
    vision = (conv.shape[0], conv.shape[-1], len(grid), _blocks(state, r"visual\.transformer"), projection.shape[1])
    return (*vision, *tokens.shape, _blocks(state, r"(?:text\.)?transformer"))


def _measures_of(config: Mapping[str, Any]) -> tuple[Any, ...] | None:
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    vision, text = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    if vision.timm_model_name or text.hf_model_name or vision.attentional_pool:
        return None
    if not all(isinstance(each, int) for each in (vision.layers, vision.image_size, vision.patch_size)):
        return None
    grid = (vision.image_size // vision.patch_size) ** 2 + 1
    measures = (vision.width, vision.patch_size, grid, vision.layers, config["embed_dim"])
    return (*measures, text.vocab_size, text.width, text.layers)


def _blocks(state: "State", tower: str) -> int:
    found = (re.match(rf"{tower}\.resblocks\.(\d+)\.", name) for name in state)
    return len({match[1] for match in found if match})
