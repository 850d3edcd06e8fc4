"""The options of ``glitbuild demo``."""

from dataclasses import dataclass

SCENES = 120


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of ``glitbuild demo``; see ``glitbuild demo --help``."""

    out: str = "glitbuild-demo"
    real: bool = False
    overwrite: bool = False
