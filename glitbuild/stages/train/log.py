"""What a run writes down at every step: JSON lines, TensorBoard, and Weights & Biases where it is asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from glitbuild.errors import ConfigError
from glitbuild.files import write_whole

LINES = "log.jsonl"


class RunLog:
    """Writes to a run's folder; what an interrupted run wrote after its last checkpoint is taken back.

    Args:
        run: the run's folder.
        step: steps that are done.
        config: of the run, for Weights & Biases.
        wandb: whether to log there too.

    Raises:
        ConfigError: wandb is not installed.
    """

    def __init__(self, run: Path, step: int, config: Mapping[str, Any], wandb: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = run / LINES
        before = path.read_text().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in before if line.endswith("\n") and json.loads(line)["step"] <= step]
        write_whole(path, "".join(kept))
        self._lines: TextIO = path.open("a")
        self._board: Any = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)
        self._wandb = _start_wandb(run, config) if wandb else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write one step's values."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._wandb:
            self._wandb.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is left."""
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
