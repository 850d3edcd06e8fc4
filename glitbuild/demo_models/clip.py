"""The demo CLIP, trained on drawn scenes and their captions only."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.clip.fit import quiet_open_clip
from glitbuild.demo_models import FOLDER, embedded_file
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from torch import Tensor


NAME = "glitbuild-demo"
"""Name of its architecture in open_clip after ``register``."""

CONFIG = f"{NAME}.json"
WEIGHTS = "clip.safetensors"

EMBEDDING = "token_embedding.weight"
ROWS = "token_embedding.rows"
"""Tokens whose embeddings are stored: those seen in training, 1 % of the vocabulary."""


def register(folder: Path = FOLDER) -> None:
    """Register the architecture with open_clip, for its models and tokenizers.

    Raises:
        ModelError: the configuration file is missing or altered.
    """
    import open_clip

    open_clip.add_model_config(embedded_file(CONFIG, folder))


def load_demo_clip(device: str, folder: Path = FOLDER) -> Any:
    """Load the embedded CLIP as an open_clip model in evaluation mode.

    Raises:
        ModelError: a file is missing or altered, or the installed open_clip builds a different network.
    """
    import open_clip
    from safetensors.torch import load_file

    register(folder)
    weights = embedded_file(WEIGHTS, folder)
    with quiet_open_clip():
        model = open_clip.create_model(NAME, device=device)
    stored = load_file(weights)
    rows = stored.pop(ROWS).long()
    state = {name: value.float() for name, value in stored.items()}
    state[EMBEDDING] = expand(state[EMBEDDING], rows, model.token_embedding.num_embeddings)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        fix = "install the version of open_clip_torch in requirements.lock"
        raise ModelError(THE_MODEL, "the weights don't fit open_clip's network", fix) from error
    return model.eval()


def expand(embeddings: "Tensor", rows: "Tensor", vocabulary: int) -> "Tensor":
    """Expand embeddings to the whole vocabulary, with zeros for tokens not seen in training.

    Args:
        embeddings: R x D, embeddings of the tokens in ``rows``.
        rows: R token ids.
        vocabulary: number of tokens in the vocabulary.
    """
    whole = embeddings.new_zeros(vocabulary, embeddings.shape[1])
    whole[rows] = embeddings
    return whole


def compact(state: "dict[str, Tensor]", rows: "Tensor") -> "dict[str, Tensor]":
    """Return a model's state as it is stored: in float16, with only the embeddings of the tokens in ``rows``."""
    kept = state | {EMBEDDING: state[EMBEDDING][rows]}
    stored = {name: value.half().contiguous() for name, value in kept.items()}
    return stored | {ROWS: rows.int()}
