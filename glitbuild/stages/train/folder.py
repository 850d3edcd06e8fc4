"""A run's folder: its start and end, its log, and checkpoints that resume with the next sample."""

import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from glitbuild.clip.saved import is_saved
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.files import write_whole
from glitbuild.options import resumable
from glitbuild.shards.output import LOCK, refuse_inside
from glitbuild.shards.sidecar import Config, refuse_changes
from glitbuild.stages.train.options import TrainOptions

if TYPE_CHECKING:
    from torch import Tensor


FOLDER, RAY = "checkpoints", "ray"
"""Names of the folders with the checkpoints, and with Ray Train's own files during a run of several processes."""

KEPT = 2
"""Number of checkpoints kept: the last one and the one before it."""

STEP = "step"
KEYS = {STEP, "exp_avg", "exp_avg_sq"}
"""State that AdamW keeps per parameter."""


@dataclass(slots=True)
class State:
    """Progress of a run.

    Attributes:
        step: number of batches trained on; the position in the data follows from it.
        sentences_beyond: number of local sentences beyond the last token of their caption.
        boxes_outside: number of regions that the model's centre crop removed.
    """

    step: int = 0
    sentences_beyond: int = 0
    boxes_outside: int = 0


def save_checkpoint(run: Path, state: State, model: Any, optimizer: Any) -> None:
    """Write a checkpoint, which appears only once it is complete, and remove old ones."""
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
    """Load the last checkpoint into a model and its optimizer; without one, start at step 0.

    Raises:
        DatasetError: the checkpoint is damaged, or belongs to another model.
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
        raise DatasetError(
            str(folder), f"the checkpoint is damaged or belongs to another model ({why})", fix
        ) from error
    return state


def last_step(run: Path) -> int | None:
    """Return the step of the checkpoint from which a run can be resumed, or None if there is none."""
    found = _all(run)
    return int(found[-1].name) if found else None


def _all(run: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first."""
    folder = run / FOLDER
    return sorted(path for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []


def _contiguous(state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    return {name: value.contiguous() for name, value in state.items()}


def _flat(model: Any, optimizer: Any) -> "dict[str, Tensor]":
    """Return an optimizer's tensors, keyed ``PARAMETER:VALUE``."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}:{key}": value.contiguous()
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def _unflatten(flat: "dict[str, Tensor]", model: Any, optimizer: Any) -> None:
    """Load an optimizer's tensors; torch moves each to the device where the optimizer needs it."""
    parameters = dict(model.named_parameters())
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = {id(parameter): number for number, parameter in enumerate(trained)}
    state: dict[int, dict[str, Tensor]] = {}
    for full, value in flat.items():
        name, _, key = full.rpartition(":")
        if id(parameters[name]) not in numbers:
            raise ValueError(f"{name} is not trained")
        if key != STEP and value.shape != parameters[name].shape:
            raise ValueError(f"{full} has the unexpected shape {tuple(value.shape)}")
        state.setdefault(numbers[id(parameters[name])], {})[key] = value
    for number, values in state.items():
        if values.keys() != KEYS:
            raise ValueError(f"the optimizer's state {number} holds {', '.join(sorted(values))}")
    # AdamW keeps its step counts on the CPU, or beside the parameter if it is fused or capturable.
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


LINES = "log.jsonl"


class RunLog:
    """Log in a run's folder; what an interrupted run wrote after its last checkpoint is removed.

    Args:
        run: folder of the run.
        step: number of steps that are done.
        config: configuration of the run, for Weights & Biases.
        wandb: whether to log to Weights & Biases too.

    Raises:
        ConfigError: wandb is not installed.
    """

    def __init__(self, run: Path, step: int, config: Mapping[str, Any], wandb: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = run / LINES
        before = path.read_text().splitlines(keepends=True) if path.exists() else []
        # Line 0, the validation before the first step, is written again by a run that starts there.
        kept = [line for line in before if line.endswith("\n") and step and json.loads(line)["step"] <= step]
        write_whole(path, "".join(kept))
        self._lines: TextIO = path.open("a")
        self._board: Any = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)
        self._wandb = _start_wandb(run, config) if wandb else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of one step."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._wandb:
            self._wandb.log(dict(values), step=step)

    def close(self) -> None:
        """Flush and close the log."""
        self._lines.close()
        self._board.close()
        if self._wandb:
            self._wandb.finish()


def _start_wandb(run: Path, config: Mapping[str, Any]) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise ConfigError("--wandb", "wandb is not installed", "pip install 'glitbuild[wandb]'") from error
    return wandb.init(project="glitbuild", dir=str(run), name=run.name, config=dict(config), resume="allow")


RUN = "run.json"
"""Name of the file with the options that a run was started with and, at its end, its results."""

SCHEMA = "glit-run/1"


class RunFolder:
    """The folder of one run.

    Args:
        options: options of the command.
        config: options that must stay the same when the run is resumed.
    """

    def __init__(self, options: TrainOptions, config: Config) -> None:
        self._options, self._config = options, config
        self.path = Path(options.out).expanduser().resolve()

    def done(self) -> dict[str, Any] | None:
        """Return the results if the run is already done, otherwise None.

        Raises:
            OptionsChangedError: it was started with other options.
            DatasetError: it is damaged, or has another schema.
            ConfigError: the folder holds something else.
        """
        if self._options.overwrite or not self._begun():
            return None
        path = self.path / RUN
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            if content["schema"] != SCHEMA:
                fix = "resume it with the version that started it, or start again with --overwrite"
                raise DatasetError(
                    str(path), f"its schema is {content['schema']}, but this version writes {SCHEMA}", fix
                )
            free = resumable(TrainOptions)  # earlier versions recorded some of these too
            before = {name: value for name, value in content["config"].items() if name not in free}
            refuse_changes(self._options.out, before, self._config)
        except (ValueError, KeyError, AttributeError) as error:
            raise DatasetError(str(path), f"damaged ({error!r})", "start again with --overwrite") from error
        done: dict[str, Any] | None = content.get("done")
        if done and not is_saved(self.path):
            why = "the run is done, but its model is missing"
            raise DatasetError(self._options.out, why, "start again with --overwrite")
        return done

    def check(self, reads: Sequence[str]) -> None:
        """Check that the run can be started or resumed, before anything is loaded or written.

        Args:
            reads: files and folders that the training reads; the run's folder must contain none of them.

        Raises:
            ConfigError: it can't be started or resumed.
        """
        options = self._options
        refuse_inside(reads, options.out)
        if options.overwrite and self.path.exists():
            if not (self.path / RUN).exists():
                raise ConfigError(f"--out {options.out}", "not a run, so it is not removed", "choose another --out")
        elif options.resume and last_step(self.path) is None:
            raise ConfigError(
                f"--resume {options.out}", "there is no checkpoint", "omit --resume to start a new run"
            )
        there = next(path for path in (self.path, *self.path.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            why = f"{there} is not a writable folder"
            raise ConfigError(f"--out {options.out}", why, "choose another --out")
        if options.wandb and importlib.util.find_spec("wandb") is None:
            raise ConfigError("--wandb", "wandb is not installed", "pip install 'glitbuild[wandb]'")

    def begin(self) -> None:
        """Write the options that the run is started with; with --overwrite, first remove an earlier run.

        The folder exists and is locked.

        Raises:
            ConfigError: the folder can't be written to.
        """
        if self._options.overwrite and self.path.exists():
            _empty(self.path)
        try:
            self._write({})
        except OSError as error:
            what, why = f"--out {self._options.out}", f"can't be written to ({error.strerror or error})"
            raise ConfigError(what, why, "choose another --out") from error

    def finish(self, done: dict[str, Any]) -> None:
        """Write the results of the run, and remove its checkpoints."""
        self._write({"done": done})
        shutil.rmtree(self.path / FOLDER, ignore_errors=True)

    @property
    def steps(self) -> int:
        """Step of the checkpoint from which the run resumes; 0 without one or with --overwrite."""
        return 0 if self._options.overwrite else last_step(self.path) or 0

    def _begun(self) -> bool:
        if (self.path / RUN).exists():
            return True
        if self.path.exists() and (
            not self.path.is_dir() or any(entry.name != LOCK for entry in self.path.iterdir())
        ):
            what, why = f"--out {self._options.out}", "the folder is not empty and is not a run"
            raise ConfigError(what, why, "choose another --out")
        return False

    def _write(self, more: dict[str, Any]) -> None:
        content = {"schema": SCHEMA, "config": self._config} | more
        write_whole(self.path / RUN, json.dumps(content, indent=1) + "\n")


def _empty(folder: Path) -> None:
    """Remove everything in a folder except its lock."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()
