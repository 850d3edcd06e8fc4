"""The demo CLIP: understands captions of scenes, and nothing of photographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.clip.fit import quiet_open_clip
from glitbuild.demo_models import FOLDER, embedded_file
from glitbuild.errors import ModelError
from glitbuild.options import THE_MODEL

if TYPE_CHECKING:
    from torch import Tensor


NAME = "glitbuild-demo"
"""Its architecture, as open_clip knows it after ``register``."""

CONFIG = f"{NAME}.json"
WEIGHTS = "clip.safetensors"

EMBEDDING = "token_embedding.weight"
ROWS = "token_embedding.rows"
"""The tokens whose embeddings are stored: those it was trained on, 1 % of the vocabulary."""


def register(folder: Path = FOLDER) -> None:
    """Make the architecture known to open_clip, for its models and tokenizers.

    Raises:
        ModelError: the file is missing or altered.
    """
    import open_clip

    open_clip.add_model_config(embedded_file(CONFIG, folder))


def load_demo_clip(device: str, folder: Path = FOLDER) -> Any:
    """Return the embedded CLIP in evaluation mode, an open_clip model.

    Raises:
        ModelError: a file is missing or altered, or the installed open_clip builds another network.
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
        fix = "install the open_clip_torch that requirements.lock names"
        raise ModelError(THE_MODEL, "the weights don't fit open_clip's network", fix) from error
    return model.eval()


def expand(embeddings: "Tensor", rows: "Tensor", vocabulary: int) -> "Tensor":
    """Return the embeddings of a whole vocabulary: zeros for tokens that were never seen.

    Args:
        embeddings: R x D.
        rows: the R tokens they are of.
        vocabulary: how many tokens there are.
    """
    whole = embeddings.new_zeros(vocabulary, embeddings.shape[1])
    whole[rows] = embeddings
    return whole


def compact(state: "dict[str, Tensor]", rows: "Tensor") -> "dict[str, Tensor]":
    """Return a model's state as it is stored: in float16, with the embeddings of the tokens in ``rows`` alone."""
    kept = state | {EMBEDDING: state[EMBEDDING][rows]}
    stored = {name: value.half().contiguous() for name, value in kept.items()}
    return stored | {ROWS: rows.int()}
