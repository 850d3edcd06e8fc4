"""ImageInWords: hyper-detailed descriptions, five sets (https://github.com/google/imageinwords)."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from glitbuild.stages.ingest.columns import to_caption
from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, value_of
from glitbuild.stages.ingest.formats.jsonl import read_lines

ORIGINS = {
    "IIW-400": "DOCCI AAR",
    "DCI_Test": "SA-1B",
    "DOCCI_Test": "DOCCI",
    "LocNar_Eval": "Open Images",
    "CM_3600": "Crossmodal-3600",
}
"""Whose pictures a set's descriptions are about."""


class ImageInWords(CorpusSource):
    """One of the folders of ``datasets/``: ``data.jsonl``, and in ``images/`` the pictures that it is about.

    The caption is ``IIW``, by people; ``IIW-P5B``, by a model, in the sets that have no other.
    """

    name = "iiw"
    license = "CC BY 4.0"
    layout = ("data.jsonl", "images")
    captions = ("IIW", "IIW-P5B")

    def records(self) -> Iterator[Any]:
        """Yield the lines of the list."""
        return read_lines(self._root / "data.jsonl")

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a line's picture and description."""
        key = value_of(record, "image/key" if "image/key" in record else "image", str)
        column = self._column or next((name for name in self.captions if name in record), "IIW")
        image = key if PurePosixPath(key).suffix else f"{key}.jpg"
        caption = to_caption(record.get(column), column)
        yield Entry(key, f"images/{image}", caption, origin=ORIGINS.get(self._root.name, ""))
