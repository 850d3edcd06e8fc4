"""DOCCI: 15k photographs with long descriptions by people (https://google.github.io/docci)."""

from collections.abc import Iterable, Iterator
from typing import Any

from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, value_of
from glitbuild.stages.ingest.formats.jsonl import read_lines


class Docci(CorpusSource):
    """``docci_descriptions.jsonlines``, and ``images/`` from ``docci_images.tar.gz``."""

    name = "docci"
    license = "CC BY 4.0"
    layout = ("docci_descriptions.jsonlines", "images")
    splits = ("train", "test", "qual_dev", "qual_test")

    def records(self) -> Iterator[Any]:
        """Yield the lines of the list."""
        return read_lines(self._root / self.layout[0])

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a line's picture and description."""
        yield Entry(
            id=value_of(record, "example_id", str),
            image=f"images/{value_of(record, 'image_file', str)}",
            caption=value_of(record, "description", str),
            split=value_of(record, "split", str),
            origin="DOCCI",
        )
