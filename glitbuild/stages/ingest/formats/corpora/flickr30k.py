"""Flickr30k in Karpathy's splits, five captions per picture (https://shannon.cs.illinois.edu/DenotationGraph)."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.files import why
from glitbuild.stages.ingest.formats.corpora.coco import karpathy_entries
from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry
from glitbuild.stages.ingest.formats.json_array import read_array
from glitbuild.stages.ingest.formats.quoting import QuotedRows
from glitbuild.stages.ingest.formats.text_file import TextFile
from glitbuild.stages.ingest.remote import AnyPath
from glitbuild.stages.ingest.source import SourceOptions

KARPATHY, HUB = "dataset_flickr30k.json", "flickr_annotations_30k.csv"


class Flickr30k(CorpusSource):
    """``flickr30k-images/``, and Karpathy's JSON file or the Hub's CSV file, which has the same in it."""

    name = "flickr30k"
    license = "Flickr terms of use; non-commercial research and education"
    layout = ("flickr30k-images",)
    splits = ("train", "val", "test")

    def __init__(self, path: AnyPath, options: SourceOptions) -> None:
        super().__init__(path, options)
        lists = [name for name in (KARPATHY, HUB) if (path / name).exists()]
        if not lists:
            raise SourceError(path.name, f"neither {KARPATHY} nor {HUB} in it", "see docs/corpora.md")
        self._list = lists[0]

    def records(self) -> Iterator[Any]:
        """Yield the pictures."""
        if self._list == KARPATHY:
            return read_array(self._root / KARPATHY, "images")
        return self._rows_of_the_hub()

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return the captions of a picture."""
        return karpathy_entries(record, self.layout[0], "Flickr")

    def _rows_of_the_hub(self) -> Iterator[Any]:
        """Yield the rows of the CSV file, in the form of the JSON file."""
        header: list[str] | None = None
        for found in QuotedRows(TextFile(self._root / HUB).lines(), ","):
            if isinstance(found.cells, Rejected):
                yield found.cells
                continue
            if header is None:
                header = found.cells
                continue
            row = dict(zip(header, found.cells, strict=False))
            try:
                captions = json.loads(row["raw"])
                yield row | {"sentences": [{"raw": caption} for caption in captions]}
            except (KeyError, TypeError, ValueError) as error:
                detail = f'{row.get("filename")}: the column "raw" is not a JSON list: {why(error)}'
                yield Rejected(SkipReason.ROW_UNREADABLE, detail)
