"""The options of ``glitbuild train``: the same names on the command line and in a pipeline file."""

import math
from dataclasses import dataclass
from pathlib import Path

from glitbuild.clip.facts import FactOptions
from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.records import writable
from glitbuild.stages.train.cache import cache_folder, size_in_bytes

LOSSES = ("global", "local", "tsl")
PAIRS = ("best", "top3", "all")


@dataclass(frozen=True, slots=True)
class TrainOptions(FactOptions):
    """Options of ``glitbuild train``; see ``glitbuild train --help``."""

    dir: str
    out: str
    model: str = "ViT-B-16"
    pretrained: str | None = None
    epochs: int = 10
    batch_size: int = 256
    accumulate: int = 1
    lr: float = 5e-6
    weight_decay: float = 0.05
    warmup: float = 0.0
    clip_grad: float = 0.0
    loss: str = "global,local,tsl"
    local_weight: float = 0.5
    tsl_weight: float = 1.0
    pairs: str = "best"
    unlocked_image_groups: int | None = None
    unlocked_text_layers: int | None = None
    gpus: int | None = None
    workers: int | None = None
    loader_workers: int = 2
    cache: str | None = None
    cache_size: str | None = None
    save_every: int = 500
    seed: int = 0
    ray_address: str | None = None
    wandb: bool = False
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        FactOptions.__post_init__(self)
        if not self.out or "://" in self.out:
            raise ConfigError(f"--out {self.out}", "not a local folder", "give a folder on this machine")
        if writable(self.out) != self.out:
            raise ConfigError(
                f"--out {self.out}", "its name is not UTF-8, as TensorBoard needs", "choose another --out"
            )
        for name in ("epochs", "batch_size", "accumulate", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigError(_option(name, getattr(self, name)), "too small", "give at least 1")
        for name in ("weight_decay", "clip_grad", "local_weight", "tsl_weight", "loader_workers", "seed"):
            if not getattr(self, name) >= 0:
                raise ConfigError(_option(name, getattr(self, name)), "too small", "give 0 or more")
        for name in ("unlocked_image_groups", "unlocked_text_layers"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(_option(name, getattr(self, name)), "too small", "give 0 or more")
        for name in ("weight_decay", "clip_grad", "local_weight", "tsl_weight"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(_option(name, getattr(self, name)), "not a finite number", "give a finite number")
        if not 0 < self.lr < math.inf:
            raise ConfigError(f"--lr {self.lr}", "not a learning rate", "give a finite number above 0")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"--warmup {self.warmup}", "not a share of the steps", "give 0 to below 1")
        if not self.losses or self.losses - set(LOSSES) or len(self.losses) != len(self.loss.split(",")):
            raise ConfigError(f"--loss {self.loss}", "not a list of losses", "give some of " + ",".join(LOSSES))
        if not any(self.weights.values()):
            names = " and ".join(f"--{name}-weight 0" for name in LOSSES if name in self.losses)
            raise ConfigError(f"--loss {self.loss}", f"nothing is left of it with {names}", "give a weight above 0")
        if self.pairs not in PAIRS:
            raise ConfigError(f"--pairs {self.pairs}", "unknown", "give " + ", ".join(PAIRS))
        if self.pairs != "best" and self.losses == {"global"}:
            raise ConfigError(f"--pairs {self.pairs}", "--loss global uses no pair", "omit it")
        if self.cache is not None and (not self.cache or "://" in self.cache):
            raise ConfigError(f"--cache {self.cache}", "not a local folder", "give a folder on this machine")
        if not self.cache_limit:
            raise ConfigError(f"--cache-size {self.cache_size}", "not a size", "give one such as 500MB or 50GB")
        check_workers(self.workers, self.gpus, self.ray_address)
        if self.workers == 0:
            raise ConfigError("--workers 0", "too small", "give at least 1, or leave it out for one process")
        if self.resume and self.overwrite:
            raise ConfigError("--resume and --overwrite", "they exclude each other", "give one of the two")

    @property
    def losses(self) -> frozenset[str]:
        """The losses that are computed."""
        return frozenset(self.loss.split(","))

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss that is computed."""
        every = {"global": 1.0, "local": self.local_weight, "tsl": self.tsl_weight}
        return {name: every[name] for name in LOSSES if name in self.losses}

    @property
    def cache_folder(self) -> Path:
        """Where the shards of a remote dataset are kept; by default where this user's programs keep such things."""
        return cache_folder(self.cache)

    @property
    def cache_limit(self) -> int:
        """The most bytes of these shards; 0 if it is not a size."""
        return size_in_bytes(self.cache_size)

    @property
    def world_size(self) -> int:
        """How many processes train."""
        return self.gpus or self.workers or 1


def _option(name: str, value: object) -> str:
    return f"--{name.replace('_', '-')} {value}"
