"""The options of ``glitbuild scenes``: the same names on the command line and in a pipeline file."""

from dataclasses import dataclass

from glitbuild.errors import ConfigError

SPLITS = ("train", "val", "test")
MOST_OBJECTS = 9
MOST_OF_A_KIND = 6
"""Objects a kind: each needs a colour of its own, and one of them four where contrast groups differ in it."""

SIDES = (384, 1024)


@dataclass(frozen=True, slots=True)
class ScenesOptions:
    """Options of ``glitbuild scenes``; see ``glitbuild scenes --help``."""

    count: int
    out: str
    seed: int = 0
    split: str = "train"
    min_objects: int = 2
    max_objects: int = MOST_OBJECTS
    kinds: str = ""
    held_out_kinds: bool = False
    contrast: float = 0.5
    late: float = 0.8
    noise: float = 0.0
    size: int = 384
    shard_size: int = 1000
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--count", self.count), ("--shard-size", self.shard_size)):
            if value < 1:
                raise ConfigError(f"{name} {value}", "too small", "give at least 1")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"--seed {self.seed}", "out of range", "give a whole number from 0 to 2**63 - 1")
        if self.split not in SPLITS:
            raise ConfigError(f"--split {self.split}", "unknown split", "give train, val or test")
        for name, share in (("--contrast", self.contrast), ("--late", self.late), ("--noise", self.noise)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} {share}", "not a share", "give a number from 0 to 1")
        if not SIDES[0] <= self.size <= SIDES[1]:
            raise ConfigError(f"--size {self.size}", "out of range", f"give {SIDES[0]} to {SIDES[1]} pixels")
        self._check_objects()

    def _check_objects(self) -> None:
        if self.min_objects < 2:
            raise ConfigError(f"--min-objects {self.min_objects}", "too few", "give at least 2")
        if self.max_objects > MOST_OBJECTS:
            fix = f"give at most {MOST_OBJECTS}"
            raise ConfigError(f"--max-objects {self.max_objects}", "more than fit into a scene", fix)
        if self.min_objects > self.max_objects:
            what = f"--min-objects {self.min_objects} --max-objects {self.max_objects}"
            raise ConfigError(what, "the least is more than the most", "swap them")
        if self.held_out_kinds and self.split != "test":
            what = f"--held-out-kinds --split {self.split}"
            raise ConfigError(what, "these kinds are kept for test", "add --split test")
        if self.kinds:
            from glitbuild.stages.scenes.kinds import parse_kinds
            from glitbuild.stages.scenes.splits import HELD_OUT_KINDS

            names = [kind.name for kind in parse_kinds(self.kinds)]
            if self.max_objects > MOST_OF_A_KIND * len(names):
                what = f"--kinds {self.kinds} --max-objects {self.max_objects}"
                fix = f"name more kinds, or give at most {MOST_OF_A_KIND} objects a kind"
                raise ConfigError(what, "more objects than there are colours to tell them apart", fix)
            kept = [name for name in names if name in HELD_OUT_KINDS]
            if kept and not self.held_out_kinds:
                fix = "add --split test --held-out-kinds"
                raise ConfigError(f"--kinds {kept[0]}", "a kind held out of training", fix)
            if self.held_out_kinds and not kept:
                raise ConfigError(
                    f"--kinds {self.kinds}", "no held-out kind among them", "add one: " + ", ".join(HELD_OUT_KINDS)
                )
