"""The options of ``glitbuild preview``."""

from dataclasses import dataclass

from glitbuild.errors import ConfigError

SIDES = (64, 2048)


@dataclass(frozen=True, slots=True)
class PreviewOptions:
    """Options of ``glitbuild preview``; see ``glitbuild preview --help``."""

    dir: str
    out: str
    samples: int = 200
    seed: int | None = None
    max_side: int = 512

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"--samples {self.samples}", "too small", "give at least 1")
        if self.seed is not None and self.seed < 0:
            raise ConfigError(f"--seed {self.seed}", "negative", "give a whole number from 0")
        if not SIDES[0] <= self.max_side <= SIDES[1]:
            what = f"--max-side {self.max_side}"
            raise ConfigError(what, "out of range", f"give {SIDES[0]} to {SIDES[1]} pixels")
