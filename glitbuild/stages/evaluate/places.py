"""Where the sentences of a caption are in its picture: from what is known of scenes, or from the pairs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from glitbuild.errors import DatasetError
from glitbuild.records import Box, Sample
from glitbuild.shards.layout import truth_path
from glitbuild.shards.reader import read_listed
from glitbuild.shards.schemas import parse
from glitbuild.shards.store import Store

TRUTH = "truth"
PAIRS = "best pairs"


class Place(NamedTuple):
    """A sentence and the boxes it is about, xyxy in pixels of the stored image."""

    sentence: str
    boxes: tuple[Box, ...]


def places_of_truth(row: dict[str, Any], caption: str) -> list[Place]:
    """Return the true sentences about one object, from a row of ``truth/``."""
    places = []
    for sentence in row["sentences"]:
        if sentence["about"] == "object" and sentence["true"]:
            start, end = sentence["span"]
            places.append(Place(caption[start:end], tuple(tuple(box) for box in sentence["boxes"])))
    return places


def places_of_pairs(sample: Sample) -> list[Place]:
    """Return the sentence of a matched sample's best pair, with the pair's region."""
    return [Place(sample.best.text, (sample.best.box,))]


def read_truth(store: Store, shard: str, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return the rows of a shard's file in ``truth/``, one a sample.

    Raises:
        DatasetError: it is missing, not the one in the sidecar, or about other samples.
    """
    path = truth_path(shard)
    try:
        rows = [parse("truth", line) for line in read_listed(store, shard, path).splitlines()]
    except ValueError as error:
        raise _damaged(store, path, str(error)) from error
    if [row["key"] for row in rows] != [sample.key for sample in samples]:
        raise _damaged(store, path, "its rows are not about the samples of the shard, in their order")
    return rows


def _damaged(store: Store, path: str, why: str) -> DatasetError:
    return DatasetError(store.path(path), why, "make the scenes again with glitbuild scenes --overwrite")
