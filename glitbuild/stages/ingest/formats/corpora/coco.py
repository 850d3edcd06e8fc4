"""COCO captions in Karpathy's splits, five captions per picture (https://cocodataset.org)."""

from collections.abc import Iterable, Iterator
from typing import Any

from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, value_of
from glitbuild.stages.ingest.formats.json_array import read_array


class Coco(CorpusSource):
    """``dataset_coco.json`` of Karpathy's ``caption_datasets.zip`` beside ``train2014/`` and ``val2014/``."""

    name = "coco"
    license = "captions: CC BY 4.0; images: Flickr terms of use"
    layout = ("dataset_coco.json",)
    splits = ("train", "restval", "val", "test")

    def records(self) -> Iterator[Any]:
        """Yield the pictures."""
        return read_array(self._root / self.layout[0], "images")

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return the captions of a picture."""
        folder = value_of(record, "filepath", str)
        return karpathy_entries(record, folder, f"coco/{folder}")


def karpathy_entries(record: Any, folder: str, origin: str) -> Iterator[Entry]:
    """Yield the captions of a picture, as Karpathy's lists have them.

    Args:
        record: the picture: its file's name, its split, its sentences.
        folder: where the file is.
        origin: of the picture.

    Raises:
        Rejected: the record lacks something.
    """
    name, split = value_of(record, "filename", str), value_of(record, "split", str)
    for number, sentence in enumerate(value_of(record, "sentences", list)):
        yield Entry(f"{name}#{number}", f"{folder}/{name}", value_of(sentence, "raw", str), split, origin)
