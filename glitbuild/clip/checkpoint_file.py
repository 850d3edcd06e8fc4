"""From a file with weights, of whatever kind, to a CLIP's state as open_clip names its parts."""

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
"""Google's own files of SigLIP, which open_clip converts while it loads them."""

OPENAI_NUMBERS = ("input_resolution", "context_length", "vocab_size")
"""OpenAI's archives have these beside the weights."""

MASKS = ("attn_mask", "mask1", "mask2")
"""Parts of a model that some ways of saving put among the weights."""

POSITIONS, LONG_POSITIONS = "positional_embedding", "positional_embedding_res"

NOT_THE_MODEL = ("optim", "scaler", "sched", "loss", "teacher")
"""Parts of a checkpoint whose names begin with these hold no model that counts."""


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """What is in a file.

    Attributes:
        state: the weights of the CLIP, by the names that open_clip has for them; empty for ``BIG_VISION``.
        facts: what the file itself tells of its weights for sure.
        said: what else it holds: settings of a training, metadata.
        left_out: names of weights that are no part of the CLIP, and of other models.
    """

    state: "State"
    facts: Facts = UNKNOWN
    said: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_checkpoint(path: Path, what: str) -> CheckpointFile:
    """Read a file; what it is, its content says and not its name.

    Args:
        path: the file.
        what: the option with its value, for errors.

    Raises:
        ModelError: it is damaged, something else than weights, or holds no CLIP, or several.
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
    """Whether a file begins as safetensors do: the length of a JSON object, then the object."""
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
    """Return the state of a model that was saved as a program, as OpenAI's are; the program isn't run."""
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

    # Trainings put their arguments and the best score beside the weights; neither can run anything.
    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    harmless = [argparse.Namespace, np.dtype, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar")]
    with torch.serialization.safe_globals(harmless):
        if path.suffix == ".safetensors":  # torch would believe the name
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None)


def _reason(error: Exception) -> tuple[str, str]:
    """Return why a file can't be read, and what to do."""
    text = str(error)
    if found := re.search(r"(?:GLOBAL|Unsupported class) `?([A-Za-z_][\w.]*)", text):
        why = f"a pickle of Python objects ({found[1]}), which could run any code and is not loaded"
        return why, "save the weights alone: torch.save(model.state_dict(), FILE)"
    if isinstance(error, MemoryError):
        return "it does not fit into memory", "use a machine with more memory"
    line = text.strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
    return f"cut off, damaged or no checkpoint ({line})", "download or save it again"


def _understood(content: Any, said: Mapping[str, Any], facts: Facts, what: str) -> CheckpointFile:
    if not isinstance(content, Mapping):
        fix = "save the weights alone: torch.save(model.state_dict(), FILE)"
        raise ModelError(what, f"it holds a {type(content).__name__}, not the weights of a model", fix)
    others: list[str] = []
    weights = content
    if not _looks_like_clip(content) and (models := dict(_models(content))):
        name = "state_dict" if "state_dict" in models else next(iter(models))
        others = [other for other in models if other != name]
        if others and name != "state_dict":
            fix = "save the one that counts as a file of its own"
            raise ModelError(what, f"it holds several models: {', '.join(models)}", fix)
        weights = models[name]
        said = {key: value for key, value in content.items() if key not in models} | dict(said)
    state, left_out = _without_prefix(_tensors(weights), what)
    if not state:
        raise ModelError(what, "it holds no weights", "give a CLIP's checkpoint")
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        why = "weights of a transformers model (CLIPModel, SiglipModel), whose names are not open_clip's"
        raise ModelError(what, why, "give the model's open_clip checkpoint, or its architecture and tag there")
    if state.keys() & set(OPENAI_NUMBERS):
        facts = facts.filled(OPENAI)
    state = {name: value for name, value in state.items() if not _is_beside(name)}
    if any(name.rpartition("text.")[2] == LONG_POSITIONS for name in state):
        # Long-CLIP began with OpenAI's models and prepares pictures as they do.
        state, facts = _long_clip(state, what), facts.filled(OPENAI)
    return CheckpointFile(state, facts, said, (*others, *left_out))


def _looks_like_clip(content: Mapping[Any, Any]) -> bool:
    parts = ("visual.", "image_encoder.", "text.", "token_embedding.", "vision_model.")
    names = [name for name, value in content.items() if isinstance(name, str) and hasattr(value, "shape")]
    return any(f".{part}" in f".{name}" for name in names for part in parts)


def _models(content: Mapping[Any, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the models among a checkpoint's parts, also one level below: ``{"model": {"state_dict": ...}}``."""
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
    return {name.replace("_orig_mod.", ""): value for name, value in found.items()}  # of torch.compile


def _without_prefix(state: "State", what: str) -> "tuple[State, tuple[str, ...]]":
    """Take away what a wrapper put before the names, such as ``module.`` or ``model.``.

    Returns:
        The weights of the CLIP, and the names of those that are no part of it.
    """
    ends = ("logit_scale", "visual.proj", "visual.conv1.weight", "token_embedding.weight")
    for end in ends:
        found = {name.removesuffix(end) for name in state if f".{name}".endswith(f".{end}")}
        prefixes = sorted({prefix.removesuffix("text.") for prefix in found})
        prefixes = [prefix for prefix in prefixes if any(name.startswith(prefix + "visual.") for name in state)]
        if len(prefixes) > 1:
            listed = ", ".join(prefix or "(no prefix)" for prefix in prefixes)
            fix = "save the one that counts as a file of its own"
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
    """Return Long-CLIP's state with one table of positions instead of its two.

    Its first holds the positions that are frozen, the second those that are trained; its forward takes the first 20
    rows of the one and the others of the other.
    """
    import torch

    found = dict(state)
    prefix = "text." if f"text.{LONG_POSITIONS}" in state else ""
    trained, first = found.pop(prefix + LONG_POSITIONS), found.get(prefix + POSITIONS)
    if first is None or first.shape != trained.shape:
        why = f"{POSITIONS} and {LONG_POSITIONS} are not of one shape"
        raise ModelError(what, why, "give a checkpoint that Long-CLIP's training wrote")
    found[prefix + POSITIONS] = torch.cat([first[:KEPT], trained[KEPT:]])
    return found


def text_of(value: Any) -> Any:
    """Return what metadata says: JSON where a text is JSON, else the text itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return {"True": True, "False": False}.get(value, value)
