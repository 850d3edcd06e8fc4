"""The options of ``glitbuild demo``."""

from dataclasses import dataclass

SCENES = 96
"""Scenes that are matched and trained on."""

HELD_OUT = 200
"""Scenes of the split ``test`` on which the model is evaluated before and after."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of ``glitbuild demo``; see ``glitbuild demo --help``."""

    out: str = "glitbuild-demo"
    real: bool = False
    overwrite: bool = False
