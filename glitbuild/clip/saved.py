"""Models saved as folders: of open_clip, which loads them as ``local-dir:FOLDER``, and of transformers."""

import hashlib
import json
from pathlib import Path
from typing import Any

from glitbuild.clip import transformers_folder
from glitbuild.clip.facts import Facts
from glitbuild.clip.fit import quiet_open_clip
from glitbuild.errors import ModelError
from glitbuild.files import write_whole

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def is_model(folder: Path) -> bool:
    """Return whether a folder contains a model, of open_clip or of transformers."""
    return is_saved(folder) or transformers_folder.is_transformers(folder)


def is_saved(folder: Path) -> bool:
    """Return whether a folder contains a model of open_clip, as runs and exports do."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def save_model(folder: Path, model: Any, model_cfg: dict[str, Any]) -> None:
    """Write a model to a folder, its weights last; each file appears only when it is complete.

    Args:
        folder: folder to write, created if it is missing.
        model: open_clip model.
        model_cfg: configuration of its architecture in open_clip's format; the number of tokens that it reads is
            replaced by the model's own.
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
    """Load the model of a folder in evaluation mode.

    Raises:
        ModelError: the folder is damaged, or its model is not supported; or the installed open_clip builds a
            different network from the configuration.
    """
    if not is_saved(folder):
        return transformers_folder.load(folder, device)
    import open_clip

    from glitbuild.clip.checkpoint_file import read_checkpoint
    from glitbuild.clip.fit import context_length, fill

    checkpoint = read_checkpoint(folder / WEIGHTS, str(folder / WEIGHTS))
    try:
        with quiet_open_clip():
            model = open_clip.create_model(
                architecture(folder),
                load_weights=False,
                pretrained_text=False,
                # open_clip would shrink a position table that is longer than the configuration says.
                force_context_length=context_length(checkpoint.state, saved_model_cfg(folder)),
            )
    except Exception as error:  # open_clip's, torch's and safetensors' own errors
        why = str(error).partition("\n")[0] or type(error).__name__
        raise ModelError(str(folder), why, "give a folder that a run or an export made") from error
    fill(model, checkpoint.state, str(folder), f"the network of its {CONFIG}")
    return model.to(device).eval()


def saved_model_cfg(folder: Path) -> dict[str, Any]:
    """Return the architecture of the model in a folder, in open_clip's format.

    Raises:
        ModelError: the configuration is damaged, or the model has none.
    """
    if not is_saved(folder):
        return transformers_folder.model_cfg(folder)
    return dict(_config(folder)["model_cfg"])


def saved_facts(folder: Path) -> Facts:
    """Return the facts about the model in a folder.

    Raises:
        ModelError: the configuration is damaged, or the model is not supported.
    """
    if not is_saved(folder):
        return transformers_folder.facts(folder)
    from glitbuild.clip.evidence import facts_of_config

    return facts_of_config(_config(folder))


def no_model(path: Path, pretrained: str, model: str = "") -> tuple[str, str]:
    """Return why a path is not a folder with a model, and what to give instead.

    Args:
        path: folder or file.
        pretrained: option that takes a checkpoint.
        model: option that takes a folder, if the path was given as a checkpoint.
    """
    if path.is_file():
        return (
            "a file, which doesn't determine its architecture",
            f"give an architecture, and the file as {pretrained}",
        )
    if model and is_model(path):
        return "a folder, not a checkpoint", f"give it as {model}, without {pretrained}"
    names = {each.name for each in path.iterdir()}
    if CONFIG in names:
        others = sorted(name for name in names if name.endswith((".bin", ".safetensors", ".pt", ".pth")))
        if others:
            fix = f"give the architecture, and {path / others[0]} as {pretrained}"
            return f"its weights are not called {WEIGHTS}", fix
        return f"the weights are missing ({WEIGHTS})", "give a folder that a run or an export made"
    if "run.json" in names:
        return "its training isn't finished, so there is no model yet", "run the same glitbuild train command again"
    return (
        f"it contains no model ({CONFIG} and {WEIGHTS})",
        "give a run's folder or an export with --format open_clip",
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if {"embed_dim", "vision_cfg", "text_cfg"} <= config["model_cfg"].keys():
            return dict(config)
        why = "it lacks a part of model_cfg"
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        why = f"damaged ({error!r})"
    raise ModelError(str(folder / CONFIG), why, "give a folder that a run or an export made")


def architecture(folder: Path) -> str:
    """Return the name by which open_clip loads a model from a folder."""
    return f"local-dir:{folder}"


def tokenizer(folder: Path, context_length: int | None = None) -> Any:
    """Return the tokenizer of the model in a folder, in open_clip's form.

    Args:
        folder: folder with a model.
        context_length: number of tokens that the model reads, if its configuration doesn't say it.

    Raises:
        ModelError: the tokenizer is missing, or is not the model's.
    """
    import open_clip

    if not is_saved(folder):
        return transformers_folder.tokenizer(folder)
    return open_clip.get_tokenizer(architecture(folder), context_length=context_length)


def identity(folder: Path) -> str:
    """Return the SHA-256 of a folder's weights."""
    if not is_saved(folder):
        return transformers_folder.identity(folder)
    with (folder / WEIGHTS).open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
