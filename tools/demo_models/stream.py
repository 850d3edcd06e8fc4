"""Stream of training scenes, drawn while a model trains; no scene is used twice, and none is stored."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from torch.utils.data import DataLoader, Dataset

from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import render
from glitbuild.stages.scenes.scene import Scene
from glitbuild.stages.scenes.world import make_scene

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class Scenes(Dataset[T], Generic[T]):
    """Scenes as training examples.

    Args:
        options: options of the scenes, including their number ``count``.
        example: function that makes an example from a scene and its image.
    """

    def __init__(self, options: ScenesOptions, example: "Callable[[Scene, Image], T]") -> None:
        self._options, self._example = options, example

    def __len__(self) -> int:
        return self._options.count

    def __getitem__(self, index: int) -> T:
        scene = make_scene(self._options, index)
        return self._example(scene, render(scene))


def scene_batches(
    example: "Callable[[Scene, Image], T]",
    batches: int,
    batch_size: int,
    seed: int,
    split: str = "train",
    processes: int = 1,
) -> Iterator[list[T]]:
    """Yield batches of examples in the order of the scenes, which ``processes`` processes draw ahead.

    There are no contrast groups, because their scenes would be false negatives of each other.
    """
    options = ScenesOptions(batches * batch_size, "", seed, split, contrast=0.0)
    scenes = Scenes(options, example)
    yield from DataLoader(scenes, batch_size, num_workers=processes, prefetch_factor=4, collate_fn=list)
