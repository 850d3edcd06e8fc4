"""From stored JPEGs to what a model sees: each picture is decoded once, while the model computes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.preprocess import Preprocess
from glitbuild.errors import DatasetError
from glitbuild.flism.boxes import pixels
from glitbuild.records import Box, Sample
from glitbuild.stages.evaluate.places import Place


@dataclass(slots=True)
class Look:
    """A picture of a shard and what is wanted of it.

    Attributes:
        sample: the first of the shard that has it.
        jpeg: its bytes.
        image: its number in the shard.
        boxes: regions whose crops' embeddings are wanted, xyxy in its pixels.
        places: sentences that are looked for in it.
    """

    sample: Sample
    jpeg: bytes
    image: int
    boxes: list[Box] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def views(self, preprocess: Preprocess) -> list[NDArray[np.uint8]]:
        """Return the model's input for the whole picture and for each box.

        Raises:
            DatasetError: the picture can't be decoded.
        """
        from glitbuild.stages.ingest.images import open_rgb

        try:
            image = open_rgb(self.jpeg)
        except OSError as error:
            raise DatasetError(
                f"image {self.sample.key}", str(error), "see what glitbuild validate says of the dataset"
            ) from error
        whole = (0, 0, image.width, image.height)
        boxes = [whole, *(pixels(box, image.width, image.height) for box in self.boxes)]
        return [preprocess.crop(image, box) for box in boxes]


def in_view(
    looks: Sequence[Look], preprocess: Preprocess, batch_size: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[Sequence[Look], list[list[NDArray[Any]]]]]:
    """Yield batches of pictures with their views; the next batch is decoded meanwhile."""
    batches = [looks[start : start + batch_size] for start in range(0, len(looks), batch_size)]
    coming = [pool.submit(look.views, preprocess) for look in batches[0]] if batches else []
    for number, batch in enumerate(batches):
        views = [future.result() for future in coming]
        following = batches[number + 1] if number + 1 < len(batches) else []
        coming = [pool.submit(look.views, preprocess) for look in following]
        yield batch, views
