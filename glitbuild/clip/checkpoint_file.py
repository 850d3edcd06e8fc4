"""Reading checkpoint files of various kinds into a CLIP state dict with open_clip's names."""

import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.clip.facts import OPENAI, UNKNOWN, Facts
from glitbuild.clip.towers import KEPT
from glitbuild.errors import ModelError
from glitbuild.files import not_weights

if TYPE_CHECKING:
    from torch import Tensor

    State = dict[str, Tensor]

BIG_VISION = (".npz", ".npy")
"""Extensions of Google's original SigLIP files, which open_clip converts while loading them."""

OPENAI_NUMBERS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's archives store next to the weights."""

MASKS = ("attn_mask", "mask1", "mask2")
"""Masks that some ways of saving a model put among the weights."""

POSITIONS, LONG_POSITIONS = "positional_embedding", "positional_embedding_res"

NOT_THE_MODEL = ("optim", "scaler", "sched", "loss", "teacher")
"""Prefixes of the parts of a checkpoint that don't hold the model."""


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """Contents of a checkpoint file.

    Attributes:
        state: weights of the CLIP by open_clip's names; empty for ``BIG_VISION``.
        facts: facts about the weights that the file itself proves.
        said: other content: training settings and metadata.
        left_out: names of other models, and of weights that don't belong to the CLIP.
    """

    state: "State"
    facts: Facts = UNKNOWN
    said: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_checkpoint(path: Path, what: str) -> CheckpointFile:
    """Read a file; its format is recognised by its content, not by its name.

    Args:
        path: checkpoint file.
        what: option and its value, for errors.

    Raises:
        ModelError: the file is damaged, doesn't contain weights, or contains no CLIP or several models.
    """
    if wrong := not_weights(path):
        raise ModelError(what, *wrong)
    if path.suffix in BIG_VISION:
        return CheckpointFile({})
    said: Mapping[str, Any] = {}
    facts = Facts()
    try:
        if _is_safetensors(path):
            content, said = _safetensors(path)
        elif _is_torchscript(path):
            content, facts = _torchscript(path)
        else:
            content = _pickled(path)
    except Exception as error:  # safetensors', torch's, zipfile's and pickle's own errors
        raise ModelError(what, *_reason(error)) from error
    return _understood(content, said, facts, what)


def _is_safetensors(path: Path) -> bool:
    """Return whether a file starts like safetensors: with the length of a JSON object, then the object."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def _safetensors(path: Path) -> "tuple[State, Mapping[str, Any]]":
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in archive.namelist())


def _torchscript(path: Path) -> "tuple[State, Facts]":
    """Return the state of a TorchScript model, such as OpenAI's; the program is not run."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch calls its own format deprecated
        model = torch.jit.load(str(path), map_location="cpu")
    kinds = {part.original_name for name, part in model.named_modules() if name.endswith("gelu")}
    return dict(model.state_dict()), Facts({("QuickGELU",): True, ("GELU",): False}.get(tuple(kinds)))


def _pickled(path: Path) -> Any:
    import argparse

    import numpy as np
    import torch

    # Training code stores its arguments and the best score with the weights; these types can't run any code.
    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    harmless = [argparse.Namespace, np.dtype, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar")]
    with torch.serialization.safe_globals(harmless):
        if path.suffix == ".safetensors":  # torch would trust the extension
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None)


def _reason(error: Exception) -> tuple[str, str]:
    """Return why a file can't be read, and what to do about it."""
    text = str(error)
    if found := re.search(r"(?:GLOBAL|Unsupported class) `?([A-Za-z_][\w.]*)", text):
        why = f"a pickle of Python objects ({found[1]}), which could run any code and is not loaded"
        return why, "save only the weights: torch.save(model.state_dict(), FILE)"
    if isinstance(error, MemoryError):
        return "it does not fit into memory", "use a machine with more memory"
    line = text.strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
    return f"truncated, damaged or not a checkpoint ({line})", "download or save it again"


def _understood(content: Any, said: Mapping[str, Any], facts: Facts, what: str) -> CheckpointFile:
    if not isinstance(content, Mapping):
        fix = "save only the weights: torch.save(model.state_dict(), FILE)"
        raise ModelError(what, f"it holds a {type(content).__name__}, not the weights of a model", fix)
    others: list[str] = []
    weights = content
    if not _looks_like_clip(content) and (models := dict(_models(content))):
        name = "state_dict" if "state_dict" in models else next(iter(models))
        others = [other for other in models if other != name]
        if others and name != "state_dict":
            fix = "save the one to use in a separate file"
            raise ModelError(what, f"it holds several models: {', '.join(models)}", fix)
        weights = models[name]
        said = {key: value for key, value in content.items() if key not in models} | dict(said)
    state, left_out = _without_prefix(_tensors(weights), what)
    if not state:
        raise ModelError(what, "it holds no weights", "give a CLIP's checkpoint")
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        why = "weights of a transformers model (CLIPModel, SiglipModel), whose names are not open_clip's"
        raise ModelError(what, why, "give the model's open_clip checkpoint, or its open_clip architecture and tag")
    if state.keys() & set(OPENAI_NUMBERS):
        facts = facts.filled(OPENAI)
    state = {name: value for name, value in state.items() if not _is_beside(name)}
    if any(name.rpartition("text.")[2] == LONG_POSITIONS for name in state):
        # Long-CLIP is based on OpenAI's models and preprocesses images as they do.
        state, facts = _long_clip(state, what), facts.filled(OPENAI)
    return CheckpointFile(state, facts, said, (*others, *left_out))


def _looks_like_clip(content: Mapping[Any, Any]) -> bool:
    parts = ("visual.", "image_encoder.", "text.", "token_embedding.", "vision_model.")
    names = [name for name, value in content.items() if isinstance(name, str) and hasattr(value, "shape")]
    return any(f".{part}" in f".{name}" for name in names for part in parts)


def _models(content: Mapping[Any, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the models among a checkpoint's parts, also nested one level: ``{"model": {"state_dict": ...}}``."""
    for name, part in content.items():
        if not isinstance(part, Mapping) or str(name).startswith(NOT_THE_MODEL):
            continue
        if _looks_like_clip(part):
            yield str(name), part
        else:
            for inner, value in part.items():
                if isinstance(value, Mapping) and _looks_like_clip(value):
                    yield f"{name}.{inner}", value


def _tensors(weights: Mapping[Any, Any]) -> "State":
    import torch

    found = {str(name): value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    return {name.replace("_orig_mod.", ""): value for name, value in found.items()}  # added by torch.compile


def _without_prefix(state: "State", what: str) -> "tuple[State, tuple[str, ...]]":
    """Remove prefixes that a wrapper added to the names, such as ``module.`` or ``model.``.

    Returns:
        The weights of the CLIP, and the names of weights that don't belong to it.
    """
    ends = ("logit_scale", "visual.proj", "visual.conv1.weight", "token_embedding.weight")
    for end in ends:
        found = {name.removesuffix(end) for name in state if f".{name}".endswith(f".{end}")}
        prefixes = sorted({prefix.removesuffix("text.") for prefix in found})
        prefixes = [prefix for prefix in prefixes if any(name.startswith(prefix + "visual.") for name in state)]
        if len(prefixes) > 1:
            listed = ", ".join(prefix or "(no prefix)" for prefix in prefixes)
            fix = "save the one to use in a separate file"
            raise ModelError(what, f"it holds several models, with the prefixes {listed}", fix)
        if prefixes and (prefix := prefixes[0]):
            own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            return own, tuple(name for name in state if not name.startswith(prefix))
        if prefixes:
            break
    return state, ()


def _is_beside(name: str) -> bool:
    last = name.removeprefix("text.")
    return last in MASKS or last in OPENAI_NUMBERS


def _long_clip(state: "State", what: str) -> "State":
    """Return Long-CLIP's state with its two position tables merged into one.

    The first table holds the frozen positions, the second the trained ones; Long-CLIP's forward pass uses the first
    20 rows of the first table and the remaining rows of the second.
    """
    import torch

    found = dict(state)
    prefix = "text." if f"text.{LONG_POSITIONS}" in state else ""
    trained, first = found.pop(prefix + LONG_POSITIONS), found.get(prefix + POSITIONS)
    if first is None or first.shape != trained.shape:
        why = f"{POSITIONS} and {LONG_POSITIONS} differ in shape"
        raise ModelError(what, why, "give a checkpoint written by Long-CLIP's training")
    found[prefix + POSITIONS] = torch.cat([first[:KEPT], trained[KEPT:]])
    return found


def text_of(value: Any) -> Any:
    """Return a metadata value, parsed if it is a JSON string, else unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return {"True": True, "False": False}.get(value, value)
