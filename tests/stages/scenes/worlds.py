from functools import cache
from typing import Any

from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.scene import Scene
from glitbuild.stages.scenes.truth import describe
from glitbuild.stages.scenes.world import make_scene


def options(**changes: Any) -> ScenesOptions:
    return ScenesOptions(**({"count": 1, "out": "unused", "seed": 7} | changes))


@cache
def world(split: str = "train", count: int = 120, **changes: Any) -> list[tuple[Scene, str, dict[str, Any]]]:
    """Scenes of a split with caption and truth, made once."""
    made = (make_scene(options(split=split, **changes), index) for index in range(count))
    return [(scene, *describe(scene)) for scene in made]
