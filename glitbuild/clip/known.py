"""What open_clip's own tables say of an architecture's weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from glitbuild.clip.facts import DEFAULTS, OPTIONS, Facts, colour
from glitbuild.errors import ModelError
from glitbuild.options import flag


def facts_of_tag(model: str, tag: str) -> Facts | None:
    """Return what is known of the weights that a tag names; None where the architecture has no such tag."""
    import open_clip

    known = open_clip.get_pretrained_cfg(model, tag)
    return _facts(model, known) if known else None


def facts_of_file(model: str, path: Path, sha256: str) -> Facts:
    """Return what is known of a file that is a tag's: by its SHA-256, its name, or its place in the Hub's cache."""
    import open_clip

    for tag in open_clip.list_pretrained_tags_by_model(model):
        known = open_clip.get_pretrained_cfg(model, tag)
        if _is_file_of(known, path, sha256):
            return _facts(model, known)
    return Facts()


def usual_facts(model: str) -> Facts:
    """Return what open_clip takes for an architecture where nothing else is said."""
    import open_clip

    return replace(DEFAULTS, quick_gelu=bool(open_clip.get_model_config(model).get("quick_gelu")))


def by_architecture(model: str, facts: Facts, what: str, written: Callable[..., str] = flag) -> Facts:
    """Complete facts by what is known of an architecture's weights, where these leave no choice.

    Args:
        model: one of open_clip's architectures.
        facts: what is known for sure of the weights.
        what: the option with the checkpoint, for errors.
        written: how errors write an option and its value.

    Raises:
        ModelError: weights of this architecture exist that differ in what is not known.
    """
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    kinds = [_facts(model, open_clip.get_pretrained_cfg(model, tag)) for tag in tags] or [usual_facts(model)]
    usual = usual_facts(model).quick_gelu
    if all(kind.quick_gelu != usual for kind in kinds):
        # All that are published have the other activation, but those that are trained under this name don't.
        kinds += [replace(kind, quick_gelu=usual) for kind in kinds]
    for name in OPTIONS:
        value = getattr(facts, name)
        kinds = [kind for kind in kinds if value in (None, getattr(kind, name))] or kinds
    choices = {name: list(dict.fromkeys(getattr(kind, name) for kind in kinds)) for name in facts.unknown}
    open_ones = {name: values for name, values in choices.items() if len(values) > 1}
    if open_ones:
        raise ModelError(what, _why(model, open_ones), _fix(open_ones, written))
    return facts.filled(kinds[0])


def _why(model: str, open_ones: dict[str, list[Any]]) -> str:
    words = {
        "quick_gelu": "whether they were trained with QuickGELU",
        "mean": "the mean of their pictures' pixels",
        "std": "the deviation of these",
        "interpolation": "how their pictures are interpolated",
        "resize_mode": "how these are made square",
    }
    listed = ", ".join(words[name] for name in open_ones)
    return f"neither the file nor one beside it says {listed}, and weights of {model} differ in that"


def _fix(open_ones: dict[str, list[Any]], written: Callable[..., str]) -> str:
    ways = []
    for name, values in open_ones.items():
        spelled = [written(OPTIONS[name], value) for value in values]
        if name == "quick_gelu":
            spelled = [f"{written(OPTIONS[name], True)} (OpenAI, DFN, MetaCLIP)", written(OPTIONS[name], False)]
        ways.append(" or ".join(spelled))
    return "give " + ", ".join(ways) + "; or put the weights' open_clip_config.json beside them"


def _facts(model: str, known: dict[str, Any]) -> Facts:
    said = Facts(
        bool(known.get("quick_gelu")) or usual_facts(model).quick_gelu,
        colour(known.get("mean")),
        colour(known.get("std")),
        known.get("interpolation"),
        known.get("resize_mode"),
    )
    return said.filled(DEFAULTS)


def _is_file_of(known: dict[str, Any], path: Path, sha256: str) -> bool:
    url, hub = known.get("url", ""), known.get("hf_hub", "").rpartition("/")[0]
    name = url.rpartition("/")[2]
    if "openaipublic" in url and sha256 == url.split("/")[-2]:
        return True
    # Of these the name ends in the first digits.
    if "mlfoundations" in url and sha256.startswith(name.rpartition("-")[2].partition(".")[0]):
        return True
    if "fbaipublicfiles" in url and path.name == name:
        return True
    cached, cloned = f"models--{hub.replace('/', '--')}", hub.rpartition("/")[2]
    return bool(hub) and (cached in path.parts or path.parent.name == cloned)
