"""SA-1B: 11 million pictures, with masks but without captions (https://ai.meta.com/datasets/segment-anything)."""

from collections.abc import Iterable, Iterator
from typing import Any

from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, by_number


class Sa1b(CorpusSource):
    """Folders ``sa_000000/`` and so on, one a tar, with ``sa_N.jpg`` beside ``sa_N.json``; or one such folder."""

    name = "sa1b"
    license = "SA-1B Dataset Research License"

    def records(self) -> Iterator[Any]:
        """Yield the paths of the pictures: those of the folder itself, then folder by folder, by number."""
        folders = [path.name for path in self._root.iterdir() if path.is_dir() and path.name.startswith("sa_")]
        for folder in ("", *sorted(folders)):
            names = (path.name for path in (self._root / folder).iterdir())
            pictures = (name for name in names if name.startswith("sa_") and name.endswith(".jpg"))
            yield from (f"{folder}/{name}".lstrip("/") for name in sorted(pictures, key=by_number))

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a picture, which has no caption."""
        yield Entry(record, record, None, origin="SA-1B")
