"""A run's folder: what it says of the run, whether it may be written, and its beginning and end."""

import importlib.util
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glitbuild.clip.saved import is_saved
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.files import write_whole
from glitbuild.options import resumable
from glitbuild.shards.lock import LOCK
from glitbuild.shards.overlap import refuse_inside
from glitbuild.shards.sidecar import Config, refuse_changes
from glitbuild.stages.train.checkpoint import FOLDER, last_step
from glitbuild.stages.train.options import TrainOptions

RUN = "run.json"
"""What a run was begun with, and at its end what it came to."""

SCHEMA = "glit-run/1"


class RunFolder:
    """The folder of one run.

    Args:
        options: of the command.
        config: what the run is begun with, without the options that may change.
    """

    def __init__(self, options: TrainOptions, config: Config) -> None:
        self._options, self._config = options, config
        self.path = Path(options.out).expanduser().resolve()

    def done(self) -> dict[str, Any] | None:
        """Return what the run came to, where it is done already.

        Raises:
            OptionsChangedError: it was begun with other options.
            DatasetError: it is damaged, or of another schema.
            ConfigError: the folder holds something else.
        """
        if self._options.overwrite or not self._begun():
            return None
        path = self.path / RUN
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            if content["schema"] != SCHEMA:
                fix = "continue it with the version that began it, or start again with --overwrite"
                raise DatasetError(
                    str(path), f"its schema is {content['schema']}, this version writes {SCHEMA}", fix
                )
            free = resumable(TrainOptions)  # earlier versions wrote some of them too
            before = {name: value for name, value in content["config"].items() if name not in free}
            refuse_changes(self._options.out, before, self._config)
        except (ValueError, KeyError, AttributeError) as error:
            raise DatasetError(str(path), f"damaged ({error!r})", "start again with --overwrite") from error
        done: dict[str, Any] | None = content.get("done")
        if done and not is_saved(self.path):
            why = "the run is done, but its model is gone"
            raise DatasetError(self._options.out, why, "start again with --overwrite")
        return done

    def check(self, reads: Sequence[str]) -> None:
        """See that the run can be begun or continued, before anything is loaded or written.

        Args:
            reads: files and folders that the training reads; the folder must hold none of them.

        Raises:
            ConfigError: it can't.
        """
        options = self._options
        refuse_inside(reads, options.out)
        if options.overwrite and self.path.exists():
            if not (self.path / RUN).exists():
                raise ConfigError(f"--out {options.out}", "not a run, so it is not removed", "choose another --out")
        elif options.resume and last_step(self.path) is None:
            raise ConfigError(f"--resume {options.out}", "there is no checkpoint", "omit --resume to begin")
        there = next(path for path in (self.path, *self.path.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            why = f"{there} is no folder that can be written to"
            raise ConfigError(f"--out {options.out}", why, "choose another --out")
        if options.wandb and importlib.util.find_spec("wandb") is None:
            raise ConfigError("--wandb", "wandb is not installed", "pip install 'glitbuild[wandb]'")

    def begin(self) -> None:
        """Write what the run is begun with; what an earlier one left goes first, if that is asked for.

        The folder is there and locked.

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
        """Write what the run came to, and remove what it needed meanwhile."""
        self._write({"done": done})
        shutil.rmtree(self.path / FOLDER, ignore_errors=True)

    @property
    def steps(self) -> int:
        """The steps of which there is a checkpoint that stays."""
        return 0 if self._options.overwrite else last_step(self.path) or 0

    def _begun(self) -> bool:
        if (self.path / RUN).exists():
            return True
        if self.path.exists() and (
            not self.path.is_dir() or any(entry.name != LOCK for entry in self.path.iterdir())
        ):
            what, why = f"--out {self._options.out}", "the folder is not empty and holds no run"
            raise ConfigError(what, why, "choose another --out")
        return False

    def _write(self, more: dict[str, Any]) -> None:
        content = {"schema": SCHEMA, "config": self._config} | more
        write_whole(self.path / RUN, json.dumps(content, indent=1) + "\n")


def _empty(folder: Path) -> None:
    """Remove all that is in a folder, but for its lock."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()
