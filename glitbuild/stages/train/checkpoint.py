"""A run that can be continued at its next sample: weights and optimizer, as safetensors."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.errors import DatasetError

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "checkpoints"
KEPT = 2
"""Checkpoints that stay: the last, and the one before it."""

STEP = "step"
KEYS = {STEP, "exp_avg", "exp_avg_sq"}
"""What AdamW keeps of each parameter."""


@dataclass(slots=True)
class State:
    """How far a run is.

    Attributes:
        step: batches that were trained on; everything else follows from it.
        sentences_beyond: local sentences that stood behind the last token of their caption.
        boxes_outside: regions of which the model's centre crop left nothing.
    """

    step: int = 0
    sentences_beyond: int = 0
    boxes_outside: int = 0


def save_checkpoint(run: Path, state: State, model: Any, optimizer: Any) -> None:
    """Write a checkpoint, which appears when it is whole, and remove old ones."""
    from safetensors.torch import save_file

    name = f"{state.step:08d}"
    folder = run / FOLDER
    partial = folder / f".{name}.part"
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    save_file(_contiguous(model.state_dict()), partial / "model.safetensors")
    save_file(_flat(model, optimizer), partial / "optimizer.safetensors")
    (partial / "state.json").write_text(json.dumps(asdict(state)) + "\n")
    if (folder / name).exists():
        shutil.rmtree(folder / name)
    partial.replace(folder / name)
    for old in _all(run)[:-KEPT]:
        shutil.rmtree(old)


def load_checkpoint(run: Path, model: Any, optimizer: Any) -> State:
    """Put the last checkpoint's weights into a model and its optimizer; without one, start at step 0.

    Raises:
        DatasetError: the checkpoint is damaged, or is of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = _all(run)
    if not found:
        return State()
    folder = found[-1]
    try:
        state = State(**json.loads((folder / "state.json").read_text()))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        _unflatten(load_file(folder / "optimizer.safetensors"), model, optimizer)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        fix = "remove this checkpoint to resume from the one before it, or start again with --overwrite"
        raise DatasetError(str(folder), f"the checkpoint is damaged or of another model ({why})", fix) from error
    return state


def last_step(run: Path) -> int | None:
    """Return the step of the checkpoint from which a run can be continued; None where there is none."""
    found = _all(run)
    return int(found[-1].name) if found else None


def _all(run: Path) -> list[Path]:
    """Return the whole checkpoints, the last one at the end."""
    folder = run / FOLDER
    return sorted(path for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []


def _contiguous(state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    return {name: value.contiguous() for name, value in state.items()}


def _flat(model: Any, optimizer: Any) -> "dict[str, Tensor]":
    """Return an optimizer's tensors by ``PARAMETER:VALUE``."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}:{key}": value.contiguous()
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def _unflatten(flat: "dict[str, Tensor]", model: Any, optimizer: Any) -> None:
    """Give an optimizer its tensors back; torch itself puts each on the device where the optimizer wants it."""
    parameters = dict(model.named_parameters())
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = {id(parameter): number for number, parameter in enumerate(trained)}
    state: dict[int, dict[str, Tensor]] = {}
    for full, value in flat.items():
        name, _, key = full.rpartition(":")
        if id(parameters[name]) not in numbers:
            raise ValueError(f"{name} is not trained")
        if key != STEP and value.shape != parameters[name].shape:
            raise ValueError(f"{full} has the shape {tuple(value.shape)}")
        state.setdefault(numbers[id(parameters[name])], {})[key] = value
    for number, values in state.items():
        if values.keys() != KEYS:
            raise ValueError(f"the optimizer's state {number} holds {', '.join(sorted(values))}")
    # AdamW counts steps on the CPU, but beside the parameter where it is fused or capturable.
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
