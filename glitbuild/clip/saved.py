"""A model as a folder that open_clip reads as ``local-dir:FOLDER``: its configuration and safetensors."""

import hashlib
import json
from pathlib import Path
from typing import Any

from glitbuild.clip.quiet import quiet_open_clip
from glitbuild.errors import ModelError
from glitbuild.files import write_whole

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def is_saved(folder: Path) -> bool:
    """Whether there is a model in a folder."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def save_model(folder: Path, model: Any, model_cfg: dict[str, Any]) -> None:
    """Write a model into a folder, its weights last; each file appears when it is whole.

    Args:
        folder: made if it is missing.
        model: an open_clip model.
        model_cfg: its architecture, as open_clip's own files describe one. What is known better by the model
            itself is put in: how many tokens it reads.
    """
    from safetensors.torch import save

    text = model_cfg["text_cfg"] | {"context_length": model.context_length}
    preprocess_cfg = {name: value for name, value in model.visual.preprocess_cfg.items() if name != "size"}
    config = {"model_cfg": model_cfg | {"text_cfg": text}, "preprocess_cfg": preprocess_cfg}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONFIG, json.dumps(config, indent=1) + "\n")
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_whole(folder / WEIGHTS, save(state))


def load_saved(folder: Path, device: str) -> Any:
    """Return the model of a folder in evaluation mode.

    Raises:
        ModelError: it is damaged, or the installed open_clip builds another network from its configuration.
    """
    import open_clip

    try:
        with quiet_open_clip():
            model = open_clip.create_model(architecture(folder), device=device, require_pretrained=True)
    except Exception as error:  # open_clip's, torch's and safetensors' own errors
        why = str(error).partition("\n")[0] or type(error).__name__
        raise ModelError(str(folder), why, "give a folder that a run or an export made") from error
    return model.eval()


def saved_model_cfg(folder: Path) -> dict[str, Any]:
    """Return the architecture of the model in a folder."""
    return dict(json.loads((folder / CONFIG).read_text())["model_cfg"])


def architecture(folder: Path) -> str:
    """Return the name that open_clip gives a model in a folder."""
    return f"local-dir:{folder}"


def identity(folder: Path) -> str:
    """Return the SHA-256 of a folder's weights."""
    return f"sha256:{hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()}"
