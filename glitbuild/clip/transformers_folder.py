"""Folders of transformers: a ``CLIPModel`` becomes an open_clip model, SigLIP's classes are wrapped."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glitbuild.clip.facts import Facts
from glitbuild.clip.fit import fill, quiet_open_clip
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
CLASSES = {"clip": "CLIPModel", "siglip": "SiglipModel", "siglip2": "Siglip2Model"}
"""Supported classes by the configuration's ``model_type``."""

GIVE = "give a folder that transformers' save_pretrained wrote, with model, tokenizer and image processor"


def is_transformers(folder: Path) -> bool:
    """Return whether a folder contains a model of transformers, of any class."""
    return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in WEIGHTS)


def identity(folder: Path) -> str:
    """Return the SHA-256 of a folder's weights; of several files, that of their names and contents."""
    first = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    if first.suffix != ".json":
        return f"sha256:{_sha256(first)}"
    try:
        shards = sorted(set(json.loads(first.read_text())["weight_map"].values()))
        lines = "".join(f"{name} {_sha256(folder / name)}\n" for name in shards)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(str(first), f"damaged, or a part is missing ({error!r})", "download it again") from error
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts(folder: Path) -> Facts:
    """Return activation and preprocessing of the model in a folder.

    Raises:
        ModelError: the folder is damaged, lacks its image processor, or its model is not supported.
    """
    from glitbuild.clip.evidence import facts_of_transformers

    config, processor = _config(folder), _processor(folder)
    return facts_of_transformers(config.to_dict(), processor.to_dict())


def model_cfg(folder: Path) -> dict[str, Any]:
    """Return the architecture of a ``CLIPModel`` in open_clip's format.

    Raises:
        ModelError: the folder is damaged, or open_clip can't express the model.
    """
    config = _config(folder)
    if config.model_type != "clip":
        why = f"a {CLASSES[config.model_type]}, which has no open_clip configuration"
        raise ModelError(THE_MODEL, why, "give its open_clip architecture and weights instead")
    vision, text = config.vision_config, config.text_config
    if vision.hidden_act != text.hidden_act:
        raise _unsupported(f"its towers have different activations ({vision.hidden_act}, {text.hidden_act})")
    if text.eos_token_id not in (2, 49407) or text.vocab_size != 49408:
        raise _unsupported(f"its vocabulary of {text.vocab_size:,} tokens is not that of CLIP's tokenizer")
    towers = [_tower(part) for part in (vision, text)]
    return {
        "embed_dim": config.projection_dim,
        "quick_gelu": vision.hidden_act == "quick_gelu",
        "vision_cfg": towers[0]
        | {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "head_width": vision.hidden_size // vision.num_attention_heads,
        },
        "text_cfg": towers[1]
        | {
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
            "heads": text.num_attention_heads,
        },
    }


def _tower(config: Any) -> dict[str, Any]:
    """Return the options that both towers of open_clip have."""
    width, inner = config.hidden_size, config.intermediate_size
    found = {"width": width, "layers": config.num_hidden_layers}
    found["mlp_ratio"] = inner // width if inner % width == 0 else (inner + 0.5) / width  # open_clip truncates
    if config.layer_norm_eps != 1e-5:
        found["norm_kwargs"] = {"eps": config.layer_norm_eps}
    if config.hidden_act == "gelu_pytorch_tanh":
        found["act_kwargs"] = {"approximate": "tanh"}
    elif config.hidden_act not in ("quick_gelu", "gelu"):
        raise _unsupported(f"its activation {config.hidden_act} is not supported")
    return found


def load(folder: Path, device: str) -> Any:
    """Load the model of a folder in evaluation mode.

    Returns:
        A ``CLIPModel`` as an open_clip ``CLIP`` with the same embeddings; the others as a ``Siglip``.

    Raises:
        ModelError: the folder is damaged or lacks a part, or its model is not supported.
    """
    config = _config(folder)
    model = _pretrained(folder, config)
    if config.model_type == "clip":
        return _as_open_clip(folder, model, config.vision_config.image_size).to(device).eval()
    from glitbuild.clip.siglip import Siglip

    return Siglip(model, _processor(folder)).to(device).eval()


def _as_open_clip(folder: Path, model: Any, size: int) -> Any:
    import open_clip
    from open_clip.model import set_model_preprocess_cfg

    from glitbuild.clip.transformers_names import restored

    with quiet_open_clip():
        found = open_clip.CLIP(**model_cfg(folder))
    fill(found, restored(model.state_dict()), THE_MODEL, f"the network of its {CONFIG}")
    known = facts(folder).preprocess_cfg()
    set_model_preprocess_cfg(found, known | {"size": size, "mode": "RGB", "fill_color": 0})
    _check_processor(folder, size)
    return found


def _check_processor(folder: Path, size: int) -> None:
    """Check that the image processor makes inputs of the model's size, by the steps that ``Preprocess`` takes."""
    said = _processor(folder).to_dict()
    square, crops = {"height": size, "width": size}, bool(said.get("do_center_crop"))
    sizes = ({"shortest_edge": size}, square) if crops else (square,)
    if dict(said.get("size") or {}) not in sizes or (crops and dict(said.get("crop_size") or {}) != square):
        why = f"its image processor makes {said.get('crop_size') if crops else said.get('size')}, not {size} pixels"
        raise _unsupported(why)
    steps = [said.get(name, True) for name in ("do_resize", "do_rescale", "do_normalize")]
    if not all(steps) or abs(said.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise _unsupported("its image processor omits resizing, scaling to 0 to 1, or normalization")


def tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder, in the form of open_clip's.

    Raises:
        ModelError: a ``CLIPModel`` has a vocabulary other than CLIP's, or another model lacks its tokenizer.
    """
    config = _config(folder)
    if config.model_type != "clip":
        from glitbuild.clip.siglip import SiglipTokenizer

        with _reading():
            import transformers

            library: Any = transformers
            own = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return SiglipTokenizer(own, config.text_config.max_position_embeddings)
    from open_clip.tokenizer import SimpleTokenizer

    from glitbuild.clip.transformers_names import SPECIAL

    found = SimpleTokenizer(context_length=config.text_config.max_position_embeddings)
    ours = {SPECIAL.get(token, token): number for token, number in found.encoder.items()}
    if (theirs := _vocabulary(folder)) is not None and theirs != ours:
        raise _unsupported("its tokenizer's vocabulary is not that of CLIP's tokenizer")
    return found


def _vocabulary(folder: Path) -> dict[str, int] | None:
    """Return the vocabulary in a folder's tokenizer files; None if there are none."""
    try:
        if (path := folder / "vocab.json").is_file():
            return dict(json.loads(path.read_text(encoding="utf-8")))
        if (path := folder / "tokenizer.json").is_file():
            return dict(json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(str(path), f"damaged ({error!r})", "download it again") from error
    return None


def _config(folder: Path) -> Any:
    """Return the configuration of a supported model, with transformers' defaults for what it omits."""
    with _reading():
        said = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind, classes = said.get("model_type"), said.get("architectures") or []
        if kind not in CLASSES or classes not in ([], [CLASSES[kind]]):
            what = f"a transformers folder ({(classes or [kind])[0]}), which is not supported"
            raise ModelError(THE_MODEL, what, f"give one of {', '.join(CLASSES.values())}, or an open_clip model")
        import transformers

        library: Any = transformers
        return library.AutoConfig.from_pretrained(folder, local_files_only=True)


def _processor(folder: Path) -> Any:
    """Return the folder's image processor."""
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        why = "its image processor is missing (preprocessor_config.json), which says how images are preprocessed"
        raise ModelError(THE_MODEL, why, GIVE)
    with _reading():
        import transformers

        library: Any = transformers
        return library.AutoImageProcessor.from_pretrained(folder, local_files_only=True)


def _pretrained(folder: Path, config: Any) -> Any:
    """Return the model as transformers loads it; it would fill missing weights at random, with only a warning."""
    with _reading():
        import torch
        import transformers

        library: Any = transformers
        model, report = getattr(library, CLASSES[config.model_type]).from_pretrained(
            folder, output_loading_info=True, local_files_only=True, dtype=torch.float32
        )
    wrong = [str(name) for names in report.values() for name in names]
    if wrong := [name for name in wrong if not name.endswith("position_ids")]:  # written by older versions
        others = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        why = f"its weights don't fit its {CONFIG}: {wrong[0]}{others}"
        raise ModelError(THE_MODEL, why, GIVE)
    return model


@contextmanager
def _reading() -> Iterator[None]:
    """Turn the library's errors into ``ModelError``, and keep its logs and progress bars to errors."""
    try:
        from transformers.utils import logging
    except ImportError as error:
        fix = "pip install 'glitbuild[hf]'"
        raise ModelError(THE_MODEL, "a transformers folder, and transformers is not installed", fix) from error
    library: Any = logging
    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # transformers', torch's, json's and safetensors' own errors
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(THE_MODEL, f"transformers can't read it ({why})", GIVE) from error
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()


def _unsupported(why: str) -> ModelError:
    return ModelError(THE_MODEL, why, "give the model's open_clip checkpoint, or its architecture and tag")
