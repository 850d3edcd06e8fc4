"""Evidence of how a checkpoint was trained: from files next to it, and from metadata stored with its weights."""

import ast
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from glitbuild.clip.checkpoint_file import text_of
from glitbuild.clip.facts import DEFAULTS, INTERPOLATIONS, OPTIONS, RESIZE_MODES, Facts, colour, facts_of_tag
from glitbuild.errors import ModelError

OPEN_CLIP = "open_clip_config.json"
TRANSFORMERS, PROCESSOR = "config.json", "preprocessor_config.json"
ARGUMENTS = "params.txt"
"""File to which open_clip's training writes its options, in the folder that contains ``checkpoints``."""

RUN = "run.json"
"""File of ``glitbuild train``; the checkpoints are two folders below it."""

RESAMPLE = {2: "bilinear", 3: "bicubic"}
"""Pillow's filter numbers, as transformers stores them."""


def facts_beside(path: Path, model: str, what: str) -> Facts:
    """Return the facts from files next to a checkpoint; the most reliable ones take precedence.

    Args:
        path: path of the checkpoint as the user gave it; links are not followed, because the names of cache folders
            count.
        model: open_clip architecture that the user gave for the checkpoint.
        what: option and its value, for errors.

    Raises:
        ModelError: one of the files is damaged.
    """
    folder, found = path.parent, Facts()
    if (config := _json(folder / OPEN_CLIP, what)) and _is_of(config, model):
        found = found.filled(facts_of_config(config))
    for place in (folder, folder.parent):
        if (place / ARGUMENTS).is_file():
            found = found.filled(facts_of_arguments(_arguments(place / ARGUMENTS)))
    if run := _json(folder.parent.parent / RUN, what):
        found = found.filled(_facts_of_run(run.get("config", {})))
    return found.filled(facts_of_transformers(_json(folder / TRANSFORMERS, what), _json(folder / PROCESSOR, what)))


def facts_of_config(config: Mapping[str, Any]) -> Facts:
    """Return the facts from an ``open_clip_config.json``, with open_clip's defaults for what it omits."""
    model, preprocess = config.get("model_cfg", config), config.get("preprocess_cfg", {})
    if "vision_cfg" not in model:
        return Facts()
    return Facts(bool(model.get("quick_gelu"))).filled(_of_preprocess(preprocess)).filled(DEFAULTS)


def facts_of_arguments(given: Mapping[str, Any]) -> Facts:
    """Return the facts about a model that follow from the options of open_clip's training."""
    import open_clip

    name = str(given.get("model", "")).replace("/", "-")
    architecture = open_clip.get_model_config(name) if name else None
    if architecture is None:
        return Facts()
    tag = facts_of_tag(name, str(given.get("pretrained") or ""))
    quick: bool | None = bool(given.get("force_quick_gelu") or architecture.get("quick_gelu"))
    if not quick and (given.get("pretrained") or "force_quick_gelu" not in given):
        quick = None  # versions of open_clip handle weights with the other activation differently
    if "image_mean" not in given:
        return Facts(quick)
    said = _of_preprocess({name: given.get(f"image_{name}") for name in OPTIONS if name != "quick_gelu"})
    began = tag or (Facts() if given.get("pretrained") else DEFAULTS)
    return Facts(quick).filled(said).filled(replace(began, quick_gelu=None))


def facts_within(said: Mapping[str, Any]) -> Facts:
    """Return the facts stored with a checkpoint's weights: configuration, training arguments, single values."""
    said = {name: text_of(value) for name, value in said.items()}
    found = Facts()
    for config in (said, said.get("open_clip_config")):
        if isinstance(config, Mapping) and isinstance(config.get("model_cfg"), Mapping):
            found = found.filled(facts_of_config(config))
    if isinstance(preprocess := said.get("preprocess_cfg"), Mapping):
        found = found.filled(_of_preprocess(preprocess))
    for name in ("args", "hyper_parameters", "hparams", "config", "cfg"):
        inner = said.get(name)
        inner = inner if isinstance(inner, Mapping) else getattr(inner, "__dict__", None)
        if inner:
            found = found.filled(_single(inner)).filled(facts_of_arguments(inner))
    # The run name that open_clip's training generates contains the architecture.
    if "-quickgelu-lr_" in str(said.get("name", "")):
        found = found.filled(Facts(True))
    return found.filled(_single(said))


def _single(said: Mapping[str, Any]) -> Facts:
    """Return the facts that are stored under open_clip's own names for them."""
    quick = said.get("quick_gelu", said.get("force_quick_gelu"))
    preprocess = {name: said.get(option, said.get(name)) for name, option in OPTIONS.items()}
    # Only together do they describe preprocessing: "mean" alone may refer to anything.
    if preprocess["mean"] is None or preprocess["std"] is None:
        preprocess = {}
    # A training flag that is off says nothing about an architecture that has QuickGELU anyway.
    return Facts(quick if isinstance(quick, bool) and (quick or "quick_gelu" in said) else None).filled(
        _of_preprocess(preprocess)
    )


def _of_preprocess(said: Mapping[str, Any]) -> Facts:
    interpolation, mode = said.get("interpolation"), said.get("resize_mode")
    if interpolation == "random":  # for training; for evaluation, open_clip uses bicubic
        interpolation = "bicubic"
    return Facts(
        None,
        colour(said.get("mean")),
        colour(said.get("std")),
        interpolation if interpolation in INTERPOLATIONS else None,
        mode if mode in RESIZE_MODES else None,
    )


def _facts_of_run(config: Mapping[str, Any]) -> Facts:
    """Return the facts that follow from the options of a ``glitbuild train`` run."""
    import open_clip

    name = str(config.get("model"))
    architecture = open_clip.get_model_config(name)
    if config.get("stage") != "train" or architecture is None:
        return Facts()
    if tag := facts_of_tag(name, str(config.get("pretrained"))):
        return tag
    said = {fact: config.get(option) for fact, option in OPTIONS.items()}
    quick = said.pop("quick_gelu")
    own = bool(architecture.get("quick_gelu"))
    return Facts(own if quick is None else bool(quick)).filled(_of_preprocess(said)).filled(DEFAULTS)


def _is_of(config: Mapping[str, Any], model: str) -> bool:
    """Return whether an ``open_clip_config.json`` is consistent with this architecture."""
    import open_clip

    said, known = config.get("model_cfg", config), open_clip.get_model_config(model)
    parts = [(said, known), *((said.get(tower, {}), known[tower]) for tower in ("vision_cfg", "text_cfg"))]
    names = (
        "embed_dim",
        "layers",
        "width",
        "head_width",
        "heads",
        "patch_size",
        "timm_model_name",
        "hf_model_name",
    )
    return all(one[name] == other[name] for one, other in parts for name in names if name in one and name in other)


def facts_of_transformers(config: Mapping[str, Any], processor: Mapping[str, Any]) -> Facts:
    """Return the facts from the contents of transformers' ``config.json`` and ``preprocessor_config.json``."""
    quick = None
    if config.get("model_type") in ("clip", "siglip", "siglip2") and "vision_config" in config:
        usual = "quick_gelu" if config["model_type"] == "clip" else "gelu"
        acts = {(config.get(f"{tower}_config") or {}).get("hidden_act", usual) for tower in ("text", "vision")}
        quick = {("quick_gelu",): True, ("gelu",): False}.get(tuple(acts))
    if processor.get("image_mean") is None:
        return Facts(quick)
    crops, resizes = processor.get("do_center_crop"), processor.get("do_resize", True)
    shortest = isinstance(processor.get("size"), int) or "shortest_edge" in (processor.get("size") or {})
    mode = None if not resizes else "shortest" if crops and shortest else None if shortest else "squash"
    said = {
        "mean": processor.get("image_mean"),
        "std": processor.get("image_std"),
        "interpolation": RESAMPLE.get(processor.get("resample", 3)),
        "resize_mode": mode,
    }
    return Facts(quick).filled(_of_preprocess(said))


def _json(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = f"{path.name} next to it, which says how the weights were trained, is damaged ({error})"
        raise ModelError(what, why, "repair that file, or move it elsewhere") from error
    return content if isinstance(content, dict) else {}


def _arguments(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, colon, value = line.partition(": ")
        if not colon:
            continue
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found
