"""The options of ``glitbuild eval``."""

import math
from dataclasses import dataclass

from glitbuild.clip.facts import CONTEXT, LONG_CONTEXT, FactOptions
from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError

RETRIEVAL = "retrieval"
LOCALIZATION = "localization"
ROBUSTNESS = "robustness"
JOINT = "joint"
AVERAGING = "averaging"
SUITES = (RETRIEVAL, LOCALIZATION, ROBUSTNESS, JOINT, AVERAGING)

DEVICES = ("auto", "cpu", "cuda")
JOINT_PAIRS = ("best", "all")


@dataclass(frozen=True, slots=True)
class EvalOptions(FactOptions):
    """Options of ``glitbuild eval``; see ``glitbuild eval --help``."""

    model: str
    dir: str
    pretrained: str | None = None
    suite: str = ""
    out: str | None = None
    markdown: str | None = None
    context_length: int = LONG_CONTEXT
    joint_pairs: str = "best"
    batch_size: int = 64
    device: str = "auto"
    seed: int = 0
    gpus: int | None = None
    workers: int | None = None
    ray_address: str | None = None
    cache: str | None = None
    cache_size: float = 10.0

    def __post_init__(self) -> None:
        FactOptions.__post_init__(self)
        for name in self.suites or ():
            if name not in SUITES:
                raise ConfigError(f"--suite {name}", "unknown suite", "give some of " + ", ".join(SUITES))
        if self.context_length not in (CONTEXT, LONG_CONTEXT):
            what = f"--context-length {self.context_length}"
            raise ConfigError(what, "not a length that CLIP is read with", f"give {CONTEXT} or {LONG_CONTEXT}")
        if self.out and self.out == self.markdown:
            raise ConfigError(f"--out and --markdown {self.out}", "one file for both", "give each its own")
        check_workers(self.workers, self.gpus, self.ray_address)
        if self.device != "auto" and (self.gpus or self.workers):
            given = f"--device {self.device} and --{'gpus' if self.gpus else 'workers'}"
            raise ConfigError(given, "both given", "--gpus runs on GPUs, --workers on CPUs: leave --device out")
        if not 0 < self.cache_size < math.inf:
            raise ConfigError(f"--cache-size {self.cache_size}", "not a size", "give gigabytes, more than 0")
        if self.batch_size < 1:
            raise ConfigError(f"--batch-size {self.batch_size}", "too small", "give at least 1")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"--seed {self.seed}", "out of range", "give a whole number from 0 to 2**63 - 1")
        for option, value, known in (
            ("--device", self.device, DEVICES),
            ("--joint-pairs", self.joint_pairs, JOINT_PAIRS),
        ):
            if value not in known:
                raise ConfigError(f"{option} {value}", "unknown", "give " + " or ".join(known))

    @property
    def suites(self) -> tuple[str, ...] | None:
        """The suites that are asked for, each once; None for all that the dataset can serve."""
        if not self.suite:
            return None
        return tuple(dict.fromkeys(name.strip() for name in self.suite.split(",")))
